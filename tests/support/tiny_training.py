"""A tiny model of features, its samples and a whole run of the trainer over them."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

import multiemo.encoders
import multiemo.fusion  # noqa: F401  (registers)
from multiemo.data.collate import BucketSampler, Collate
from multiemo.evaluation import evaluate_model
from multiemo.model import EmotionModel
from multiemo.registry import encoders, fusions
from multiemo.training.objectives import Labels
from multiemo.training.state import States
from multiemo.training.trainer import Trainer
from multiemo.types import Sample

CLASSES = 3
MODALITIES = ("speech", "face")


def make_samples(count: int, seed: int, poison: int | None = None) -> list[Sample]:
    torch.manual_seed(seed)
    samples = []
    for i in range(count):
        label = i % CLASSES
        inputs = {m: torch.randn(1 + i % 3, 5) + 2.5 * torch.eye(CLASSES, 5)[label] for m in MODALITIES}
        absent = {}
        if i % 5 == 4:
            inputs.pop("face")
            absent["face"] = "not there"
        if i == poison:
            inputs["speech"][0, 0] = float("nan")
        target = torch.eye(CLASSES)[label]
        samples.append(Sample(f"clip{i}", "c", f"s{i % 6}", inputs, absent, target, torch.full((3,), float("nan"))))
    return samples


def make_model() -> EmotionModel:
    torch.manual_seed(0)
    parts = {m: encoders.build("features", {"hidden": 16}, where="e", modality=m, dim=5) for m in MODALITIES}
    fusion = fusions.build("gated", {"dim": 8}, where="f", dims={m: e.out_dim for m, e in parts.items()})
    return EmotionModel(parts, CLASSES, fusion=fusion)


def make_branch() -> EmotionModel:
    torch.manual_seed(0)
    part = encoders.build("features", {"hidden": 16}, where="e", modality="speech", dim=5)
    return EmotionModel({"speech": part}, CLASSES)


def make_loader(samples, modalities, shuffle=True):
    lengths = [max(x.shape[0] for x in s.inputs.values()) for s in samples]
    sampler = BucketSampler(lengths, 8, seed=1, shuffle=shuffle)
    return DataLoader(samples, batch_sampler=sampler, collate_fn=Collate(modalities, CLASSES))


class Killed(Exception):
    """What stands in for a crash."""


def labels(model, settings) -> Labels:
    return Labels(model, settings, task="single", frequencies=torch.full((CLASSES,), 1 / CLASSES))


def fit(
    model, settings, folder: Path | None = None, samples=None, identity="a", after_epoch=None, after_step=None,
    crash=Killed,
):  # fmt: skip
    """Train; after an epoch or a step, ``crash`` is raised or called."""
    samples = samples or make_samples(60, 0)
    check = make_loader(make_samples(30, 1), model.modalities, shuffle=False)
    states = States(folder, identity=identity, keep=settings.keep) if folder is not None else None
    trainer = Trainer(Accelerator(cpu=True), settings, seed=4, states=states)

    def figures(objective):
        report = evaluate_model(
            objective.model, check, label_set=["a", "b", "c"], prior=torch.ones(3).double().numpy(), intervals=False
        )
        return {k: v for k, v in report.subsets[report.full].items() if k != "n"}

    def fall():
        made = crash()
        if isinstance(made, BaseException):
            raise made

    def on_epoch(record):
        if record["epoch"] == after_epoch:
            fall()

    def on_step(step, steps):
        if step == after_step:
            fall()

    torch.manual_seed(4)
    objective = labels(model, settings)
    loader = make_loader(samples, model.modalities)
    return trainer.fit(objective, loader, figures, on_step=on_step, on_epoch=on_epoch)


def assert_same_weights(one, other):
    for key, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


def say_others(samples: list[Sample], labels) -> list[Sample]:
    """The samples with what three other sources say of each."""
    for sample, label in zip(samples, labels, strict=True):
        sample.other_targets = torch.eye(CLASSES)[int(label)].repeat(3, 1)
    return samples
