"""Every clip weighs the same, whatever batch it comes in; a batch that is a step by itself is untouched by that."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader

import multiemo.encoders
import multiemo.fusion  # noqa: F401  (registers)
from multiemo.config import TrainingConfig, load_config
from multiemo.data.collate import BucketSampler, Collate
from multiemo.data.manifest.reading import read_manifest
from multiemo.inputs import build_input
from multiemo.model import EmotionModel
from multiemo.registry import encoders
from multiemo.runs.batches import prepare_part
from multiemo.training import trainer as module
from multiemo.training.losses import class_weights, dimension_loss
from multiemo.training.objectives import Contrastive, Labels, Masked, Objective
from multiemo.training.optim import MovingAverage, Thaw, build_optimizer, build_schedule
from multiemo.training.trainer import Trainer
from multiemo.types import Output, Sample, SpeechSpec, TextSpec
from tests.support.tiny_training import (
    CLASSES,
    MODALITIES,
    assert_same_weights,
    labels,
    make_loader,
    make_model,
    make_samples,
)

FREQUENCIES = torch.tensor([0.7, 0.2, 0.1])
CLIPS = 300
LENGTHS = [int(n) for n in torch.linspace(0, 1, CLIPS).pow(3) * 95 + 5]
BUDGET = 400.0


class Table(nn.Module):
    """In place of a model: each clip's logits are parameters of its own, whose gradients show what the clip weighs."""

    modalities = MODALITIES

    def __init__(self, count: int) -> None:
        super().__init__()
        parts = {m: encoders.build("features", {"hidden": 4}, where="e", modality=m, dim=1) for m in MODALITIES}
        self.encoders = nn.ModuleDict(parts)
        self.fusion = nn.Identity()
        self.rows = nn.ParameterDict({m: nn.Parameter(torch.zeros(count, CLASSES)) for m in ("fused", *MODALITIES)})

    def forward(self, batch, **_):
        said = {m: rows[[int(i) for i in batch.ids]] for m, rows in self.rows.items()}
        return Output(logits=said.pop("fused"), branch_logits=said)


def make_clips() -> list[Sample]:
    """Labels by their frequencies; the face is missing and the label unknown more often in short clips."""
    generator = torch.Generator().manual_seed(3)
    samples = []
    for i, length in enumerate(LENGTHS):
        chance = torch.rand(3, generator=generator)
        label = 0 if chance[0] < 0.7 else 1 if chance[0] < 0.9 else 2
        inputs = {"speech": torch.zeros(length, 1)}
        if chance[1] < 0.4 + 0.5 * i / CLIPS:
            inputs["face"] = torch.zeros(1, 1)
        target = torch.eye(CLASSES)[label] if chance[2] < 0.7 + 0.3 * i / CLIPS else None
        samples.append(Sample(str(i), "c", "s", inputs, {}, target, torch.full((3,), float("nan"))))
    return samples


def weigh(monkeypatch, **extra) -> tuple[list[dict[str, torch.Tensor]], list[float], list[dict]]:
    """One epoch: for each step and head what each clip weighs, ``[clips]``; the bounds of the gradient; the history."""
    settings = TrainingConfig(epochs=1, lr=1e-9, batch_size=32, branch_loss=1.0, **extra)
    samples = make_clips()
    model = Table(CLIPS)
    sampler = BucketSampler(LENGTHS, 32, seed=1, costs=[(LENGTHS, BUDGET)] if settings.budget else ())
    loader = DataLoader(samples, batch_sampler=sampler, collate_fn=Collate(MODALITIES, CLASSES))
    census = Collate(MODALITIES, CLASSES)(samples)
    objective = Labels(model, settings, task="single", frequencies=FREQUENCIES, census=census)
    target = torch.stack([torch.zeros(CLASSES) if s.target is None else s.target for s in samples])
    steps: list[dict[str, torch.Tensor]] = []
    bounds: list[float] = []

    def bound(parameters, largest):
        bounds.append(largest)
        slopes = {m: torch.zeros(CLIPS, CLASSES) if p.grad is None else p.grad for m, p in model.rows.items()}
        steps.append({m: -(g * target).sum(1) / (1 - 1 / CLASSES) for m, g in slopes.items()})

    monkeypatch.setattr(module.nn.utils, "clip_grad_norm_", bound)
    result = Trainer(Accelerator(cpu=True), settings, seed=0).fit(objective, loader, lambda _: {"uar": 1.0})
    return steps, bounds, result.history


@pytest.mark.parametrize("power", [0.0, 1.0])
@pytest.mark.parametrize("extra", [{"budget": {"speech": BUDGET}}, {"budget": {"speech": BUDGET}, "accumulate": 3}])
def test_under_a_budget_every_clip_weighs_the_same(extra, power, monkeypatch):
    steps, bounds, history = weigh(monkeypatch, class_weights=power, **extra)
    samples = make_clips()
    known = torch.tensor([s.target is not None for s in samples])
    here = {"fused": known, **{m: known & torch.tensor([m in s.inputs for s in samples]) for m in MODALITIES}}
    own = class_weights(FREQUENCIES, power) if power else torch.ones(CLASSES)
    weights = torch.stack([torch.zeros(()) if s.target is None else own[s.target.argmax()] for s in samples])
    for m, rows in here.items():
        weighed = torch.stack([step[m] for step in steps]).sum(0)
        assert torch.count_nonzero(weighed[~rows]) == 0
        each = weighed[rows] / weights[rows]
        torch.testing.assert_close(each, each.mean().expand_as(each), rtol=1e-4, atol=0.0)
        assert float(weighed.sum()) == pytest.approx(len(steps), rel=1e-4)  # a step's loss is as large as a mean
    clips = [int((step["fused"] != 0).sum()) for step in steps]
    assert max(clips) > 3 * min(clips)
    # What a step may move the weights by is in proportion to its clips, too.
    sizes = torch.tensor(bounds)
    assert float(sizes.mean()) == pytest.approx(1.0)
    assert float(sizes.max() / sizes.min()) > 3
    assert history[0]["loss"] == pytest.approx(3 * math.log(CLASSES), rel=1e-4)  # of the fused answer and two branches


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_accumulated_batches_are_one_mean_over_their_clips(power, monkeypatch):
    steps, bounds, history = weigh(monkeypatch, class_weights=power, accumulate=4)
    assert set(bounds) == {1.0}
    assert len(steps) == 3
    samples = make_clips()
    own = class_weights(FREQUENCIES, power) if power else torch.ones(CLASSES)
    weights = torch.stack([torch.ones(()) if s.target is None else own[s.target.argmax()] for s in samples])
    for step in steps:
        for weighed in step.values():
            each = (weighed / weights)[weighed != 0]
            torch.testing.assert_close(each, each[:1].expand_as(each), rtol=1e-4, atol=0.0)
            assert float(weighed.sum()) == pytest.approx(1.0, rel=1e-4)
    assert history[0]["loss"] == pytest.approx(3 * math.log(CLASSES), rel=1e-4)


def test_accumulated_batches_have_the_gradient_of_one_batch():
    """Clips without a label or a face fall unevenly on the two batches; every loss but the concordance is linear."""
    samples = make_samples(12, 0)
    for i, sample in enumerate(samples):
        sample.target = None if i in (0, 1, 2) else sample.target
        sample.dimensions = torch.tensor([0.1 * i, float("nan"), -0.2 if i == 7 else float("nan")])
    settings = TrainingConfig(class_weights=1.0, modality_dropout=0.0, dimension_loss=0.0, branch_loss=0.7)
    collate = Collate(MODALITIES, CLASSES)
    model = make_model().eval()
    objective = Labels(model, settings, task="single", frequencies=FREQUENCIES)
    objective(collate(samples)).backward()
    wanted = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    parts = [collate(samples[:4]), collate(samples[4:])]
    each = [objective.masses(batch) for batch in parts]
    masses = {name: each[0][name] + each[1][name] for name in each[0]}
    for batch in parts:
        objective(batch, masses).backward()
    got = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    torch.testing.assert_close(got, wanted)


def test_known_values_of_dimensions_weigh_the_same_in_every_batch():
    torch.manual_seed(0)
    predicted, target = torch.rand(8, 3, requires_grad=True), torch.rand(8, 3)
    target[3:, 1] = float("nan")
    target[:, 2] = float("nan")
    parts = [(predicted[:2], target[:2]), (predicted[2:], target[2:])]
    mass = (~target.isnan()).float().sum(0)
    loss = sum(dimension_loss(p, t, mass=mass) for p, t in parts)
    columns = [[dimension_loss(p[:, c : c + 1], t[:, c : c + 1]) for p, t in parts] for c in (0, 1)]
    wanted = 0.5 * (columns[0][0] * 2 / 8 + columns[0][1] * 6 / 8 + columns[1][0] * 2 / 3 + columns[1][1] * 1 / 3)
    torch.testing.assert_close(loss, wanted)
    torch.testing.assert_close(dimension_loss(predicted, target, mass=mass), dimension_loss(predicted, target))


def test_without_labels_batches_count_by_their_clips():
    collate = Collate(MODALITIES, CLASSES)
    objectives: list[Objective] = [Contrastive(make_model().eval())]
    speech = encoders.build("features", {"hidden": 8}, where="e", modality="speech", dim=5)
    objectives.append(Masked(EmotionModel({"speech": speech}, CLASSES)))
    for objective in objectives:
        batch = collate(make_samples(6, 0))
        masses = {"clips": torch.tensor(24.0)}
        torch.manual_seed(1)
        plain = objective(batch)
        torch.manual_seed(1)
        torch.testing.assert_close(objective(batch, masses), plain * 6 / 24)
        assert objective.masses(batch) == {"clips": torch.tensor(6.0)}


@pytest.mark.parametrize("extra", [{}, {"class_weights": 1.0, "mixup": 0.4, "ema": 0.9, "unfreeze": {"face": 0.5}}])
def test_a_step_of_one_batch_is_that_of_a_bare_loop_bit_for_bit(extra):
    settings = TrainingConfig(epochs=3, lr=3e-3, **extra)
    trained, bare = make_model(), make_model()
    samples = make_samples(61, 0)
    torch.manual_seed(4)
    trainer = Trainer(Accelerator(cpu=True), settings, seed=4)
    scores = iter([{"uar": 0.1}, {"uar": 0.2}, {"uar": 0.3}])
    trainer.fit(labels(trained, settings), make_loader(samples, MODALITIES), lambda _: next(scores))

    torch.manual_seed(4)
    objective, loader = labels(bare, settings), make_loader(samples, MODALITIES)
    optimizer, thaw = build_optimizer(objective, settings), Thaw(bare, settings.unfreeze)
    schedule = build_schedule(optimizer, 3 * len(loader.batch_sampler), settings.warmup)
    average = MovingAverage(bare, settings.ema)
    for epoch in range(3):
        loader.batch_sampler.epoch = epoch
        bare.train()
        for i, batch in enumerate(loader):
            thaw.at(epoch + i / len(loader.batch_sampler))
            objective(batch).backward()
            nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], settings.clip_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            average.update()
    if settings.ema:
        average._put(average.average)
    assert_same_weights(trained, bare)


def test_a_budget_without_the_census_of_train_is_refused():
    settings = TrainingConfig(budget={"speech": 9.0})
    with pytest.raises(ValueError, match="needs the census of train"):
        labels(make_model(), settings).expected()


def test_the_census_says_what_the_batches_hold(tiny_config, small_corpus, tmp_path):
    config = load_config(tiny_config(tmp_path, modalities=("text", "speech")))
    clips = read_manifest(small_corpus)[:8]
    clips[3] = replace(clips[3], text=None)
    clips[4] = replace(clips[4], audio=None, video=None)
    inputs = {
        "text": build_input("text", TextSpec(vocab_size=600), texts=lambda: [c.text for c in clips if c.text]),
        "speech": build_input("speech", SpeechSpec()),
    }
    part = prepare_part(config, small_corpus.parent, clips, inputs)
    rows = part.rows_with(("text", "speech"))
    census = part.census(("text", "speech"), rows)
    batch = Collate(("text", "speech"), len(part.dataset.space.labels))([part.dataset[i] for i in rows])
    assert not all(here.all() for here in batch.presence.values())
    for name in ("target", "labelled", "dimensions", "other_targets", "presence"):
        torch.testing.assert_close(getattr(census, name), getattr(batch, name), equal_nan=True)


def test_what_is_drawn_more_often_is_expected_more_often():
    census = Collate(MODALITIES, CLASSES)(make_samples(5, 0))  # the last one has no face
    settings = TrainingConfig(class_weights=1.0)
    options = {"task": "single", "frequencies": FREQUENCIES, "census": census}
    own = census.target @ class_weights(FREQUENCIES, 1.0)
    alike = Labels(make_model(), settings, **options).expected()
    torch.testing.assert_close(alike["label"], own.mean())
    torch.testing.assert_close(alike["face"], own[:4].sum() / 5)
    draws = torch.tensor([1.0, 1.0, 1.0, 1.0, 4.0], dtype=torch.float64)
    unlike = Labels(make_model(), settings, **options, draws=draws).expected()
    torch.testing.assert_close(unlike["label"], (own * draws.float()).sum() / 8)
    torch.testing.assert_close(unlike["face"], own[:4].sum() / 8)
