"""Fits a tiny fused model without randomness, in as many processes as there are, and saves what came out.

Run by ``test_parallel.py``: alone, and by ``torchrun``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader

import multiemo.encoders
import multiemo.fusion  # noqa: F401  (registers)
from multiemo.config import TrainingConfig
from multiemo.data.collate import BucketSampler, Collate
from multiemo.evaluation import evaluate_model
from multiemo.model import EmotionModel
from multiemo.registry import encoders, fusions
from multiemo.runs.evaluation import gatherer
from multiemo.training.objectives import Contrastive, Labels
from multiemo.training.parallel import leave_processes
from multiemo.training.state import States
from multiemo.training.trainer import Trainer
from multiemo.types import Clip, Sample

MODALITIES = ("text", "speech")
CLASSES = 3
BUDGET = 12.0  # time steps a batch, of all processes together
#: {name: settings of the stage}; ``parallel`` is that of the config.
CASES = {
    "ddp": {"class_weights": 1.0},
    "ddp-ema": {"accumulate": 2, "ema": 0.9, "focal": 1.0, "save_steps": 3, "keep": 9},
    "fsdp": {"class_weights": 0.5, "ema": 0.9, "save_steps": 3, "keep": 9},
    "contrastive": {"objective": "contrastive", "monitor": "loss"},
    "ddp-budget": {"accumulate": 2, "budget": {"text": BUDGET}, "class_weights": 1.0},
    "ddp-modulation": {"accumulate": 3, "modulation": 0.5},
    "fsdp-modulation": {"modulation": 0.5},
}


def make_samples(count: int, seed: int) -> list[Sample]:
    torch.manual_seed(seed)
    samples = []
    for i in range(count):
        inputs = {m: torch.randn(1 + i % 4, 6) + torch.eye(CLASSES, 6)[i % CLASSES] for m in MODALITIES}
        if i % 5 == 4:
            inputs.pop("speech")
        known = i % 7 != 3
        dimensions = torch.tensor([i % 3 - 1.0, float("nan"), (i % 5) / 5])
        target = torch.eye(CLASSES)[i % CLASSES] if known else None
        samples.append(Sample(f"clip{i}", "c", f"s{i % 6}", inputs, {}, target, dimensions))
    return samples


def make_model() -> EmotionModel:
    torch.manual_seed(0)
    options = {"hidden": 16, "dropout": 0.0, "noise": 0.0, "feature_dropout": 0.0}
    parts = {m: encoders.build("features", options, where="e", modality=m, dim=6) for m in MODALITIES}
    fusion = fusions.build("gated", {"dim": 8}, where="f", dims={m: e.out_dim for m, e in parts.items()})
    model = EmotionModel(parts, CLASSES, fusion=fusion, dimensions=True)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def fit_cases(folder: Path, names: list[str], *, resume: bool) -> None:
    accelerator = Accelerator(cpu=True)
    processes = {"rank": accelerator.process_index, "processes": accelerator.num_processes}
    train, check = make_samples(61, 0), make_samples(33, 1)
    clips = [Clip(id=s.id, corpus="c", text="x") for s in check]
    for name in names:
        settings = TrainingConfig(epochs=3, lr=3e-3, modality_dropout=0.0, **CASES[name])
        model = make_model()
        without_labels = settings.objective == "contrastive"
        objective = (
            Contrastive(model)
            if without_labels
            else Labels(
                model,
                settings,
                task="single",
                frequencies=torch.tensor([0.2, 0.3, 0.5]),
                census=Collate(MODALITIES, CLASSES)(train),
            )
        )
        loaders = []
        for part, samples in enumerate((train, check)):
            lengths = [max(x.shape[0] for x in s.inputs.values()) for s in samples]
            costs = [(lengths, BUDGET)] if settings.budget and part == 0 else ()
            sampler = BucketSampler(lengths, 8, seed=1, shuffle=part == 0, costs=costs, **processes)
            loaders.append(DataLoader(samples, batch_sampler=sampler, collate_fn=Collate(MODALITIES, CLASSES)))
        seen: list[list[str]] = []

        def figures(objective, loader=loaders[1], seen=seen, without_labels=without_labels):
            if without_labels:
                losses = [objective.compare(batch) for batch in loader]
                return {"loss": float(torch.stack([loss for loss, _ in losses]).mean().detach())}
            report = evaluate_model(
                objective.model, loader, label_set=["a", "b", "c"], prior=torch.ones(3).double().numpy(),
                intervals=False, gather=gatherer(clips, processes["processes"]),
            )  # fmt: skip
            seen.append([record["id"] for record in report.predictions])
            return {k: v for k, v in report.subsets[report.full].items() if k != "n"}

        states = States(folder / name / "state", identity=name, keep=settings.keep)
        trainer = Trainer(
            accelerator, settings, seed=4, states=states if not without_labels else None, shard=name.startswith("fsdp")
        )
        if resume:
            for path in sorted((folder / name / "state").glob("step-*"))[2:]:
                if accelerator.is_main_process:
                    path.unlink()
            accelerator.wait_for_everyone()
        torch.manual_seed(4)
        result = trainer.fit(objective, loaders[0], figures)
        if accelerator.is_main_process:
            (folder / name).mkdir(exist_ok=True)
            end = "-resumed" if resume else ""
            save_file(
                {k: v.contiguous() for k, v in model.state_dict().items()}, folder / name / f"model{end}.safetensors"
            )
            said = {"history": result.history, "seen": seen}
            (folder / name / f"said{end}.json").write_text(json.dumps(said))
    leave_processes()


if __name__ == "__main__":
    fit_cases(Path(sys.argv[1]), sys.argv[2].split(","), resume=sys.argv[3] == "resume")
