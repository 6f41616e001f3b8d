"""One stage of a run: loaders, objective, validation figures, and the trainer over them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from multiemo.config import Config, TrainingConfig
from multiemo.encoders.base import Encoder
from multiemo.errors import ConfigError, ManifestError
from multiemo.evaluation import evaluate_model
from multiemo.model import EmotionModel
from multiemo.progress import Progress
from multiemo.runs.batches import Part
from multiemo.runs.device import Compute, predict, trained_by
from multiemo.runs.evaluation import evaluation_loader, gatherer
from multiemo.runs.folder.layout import identity
from multiemo.runs.frozen_embeddings import Embedded, WithEmbeddings, embed_part
from multiemo.training.epochs import Epoch
from multiemo.training.objectives import Contrastive, Labels, Masked, Objective
from multiemo.training.parallel import Meeting
from multiemo.training.state import States
from multiemo.training.trainer import FitResult, Trainer
from multiemo.types import Modality


@dataclass(slots=True)
class Stage:
    """What one stage trains, and on what.

    Args:
        name: a modality, or ``fuse``.
        config: of the run.
        model: a branch, or the fused model.
        train: preprocessed part.
        val: likewise; ``None`` where every row is trained on.
        accelerator: device, precision and processes.
        meeting: where the processes wait for each other.
        folder: run folder.
        progress: told how far it is.
    """

    name: str
    config: Config
    model: EmotionModel
    train: Part
    val: Part | None
    accelerator: Accelerator
    meeting: Meeting
    folder: Path
    progress: Progress

    @property
    def settings(self) -> TrainingConfig:
        """Of this stage."""
        return self.config.training_of(self.name)

    @property
    def compute(self) -> Compute:
        """Where and in which precision validation computes: as training does."""
        return trained_by(self.accelerator)

    @property
    def processes(self) -> tuple[int, int]:
        """Which process this is, of how many."""
        return self.accelerator.process_index, self.accelerator.num_processes


def stage_seed(config: Config, stage: str) -> int:
    """Of what a stage draws."""
    return config.seed * 1009 + zlib.crc32(stage.encode()) % 1009


def fit_stage(stage: Stage, *, on_step: Callable[[int, int], None], on_epoch: Callable[[Epoch], None]) -> FitResult:
    """Train a stage; its best weights are then in ``stage.model``, on the CPU.

    Args:
        stage: what and on what.
        on_step, on_epoch: as in :meth:`Trainer.fit`.

    Raises:
        MultiemoError: no clip to learn from, a wish that the data or the encoders cannot meet, or what the trainer
            raises.
    """
    config, settings, seed = stage.config, stage.settings, stage_seed(stage.config, stage.name)
    train_loader, val_loader = _loaders(stage)
    torch.manual_seed(seed + 2)
    objective = _objective(stage, train_loader)
    trainer = Trainer(
        stage.accelerator,
        settings,
        seed=seed + 2,
        states=States(
            stage.folder / "state" / stage.name,
            identity=identity(config),
            keep=settings.keep,
        ),
        shard=config.parallel == "fsdp",
        compile_encoders=config.compile,
    )
    figures = None
    if stage.val is not None and val_loader is not None:
        labelled = settings.objective == "labels"
        figures = _label_figures(stage, stage.val, val_loader) if labelled else _plain_figures(stage, val_loader)
    result = trainer.fit(objective, train_loader, figures, on_step=on_step, on_epoch=on_epoch)
    stage.model.cpu()
    return result


def trainable_rows(part: Part, modalities: Sequence[Modality], settings: TrainingConfig, name: str) -> list[int]:
    """Rows of a part that a stage can learn from.

    Raises:
        ManifestError: there are none.
    """
    labelled, least = settings.objective == "labels", 2 if settings.objective == "contrastive" else 1
    rows = part.rows_with(modalities, labelled=labelled, least=least)
    if not rows:
        what = " or ".join(modalities) if least == 1 else f"two of {', '.join(modalities)}"
        raise ManifestError(f"{part.dataset.folder}: no {'labelled ' * labelled}clip of {name} has {what}")
    return rows


def _loaders(stage: Stage) -> tuple[DataLoader[Any], DataLoader[Any] | None]:
    """Of train and, where there is one, validation; what frozen encoders make of the clips comes ready-made."""
    settings, modalities, processes = stage.settings, stage.model.modalities, stage.processes
    loaders = []
    for name, part in (("train", stage.train), ("val", stage.val)):
        if part is None:
            continue
        rows = trainable_rows(part, modalities, settings, name)
        if len(rows) < processes[1]:
            raise ManifestError(f"{part.dataset.folder}: {len(rows)} clips of {name} for {processes[1]} processes")
        samples = None
        frozen = [m for m in settings.freeze if m in modalities]
        if frozen:
            stage.progress.stage(f"embed {name}")
            embedded = {m: _embed(stage, part, m) for m in frozen}
            samples = WithEmbeddings(part, embedded)
        shared: dict[str, Any] = {"budget": settings.budget, "samples": samples, "processes": processes}
        if name == "val":
            loaders.append(evaluation_loader(part, modalities, rows, **shared))
            continue
        order: dict[str, Any] = {"seed": stage_seed(stage.config, stage.name), "shuffle": True}
        order |= {"balance": settings.balanced_sampling}
        loaders.append(part.loader(modalities, rows, settings.batch_size, **order, **shared))
    stage.progress.stage(stage.name)
    return loaders[0], loaders[1] if len(loaders) > 1 else None


def _embed(stage: Stage, part: Part, m: Modality) -> Embedded:
    encoder = stage.model.encoders[m]
    assert isinstance(encoder, Encoder)
    return embed_part(part, m, encoder, stage.accelerator, stage.meeting, budget=stage.settings.budget)


def _objective(stage: Stage, loader: DataLoader[Any]) -> Objective:
    settings, modalities = stage.settings, stage.model.modalities
    if settings.objective == "masked":
        return Masked(stage.model)
    if settings.objective == "contrastive":
        return Contrastive(stage.model)
    if stage.name != "fuse" and settings.auxiliary_loss > 0:
        _check_other_labels(stage)
    census, draws = None, None
    if settings.budget:
        census = stage.train.census(modalities, trainable_rows(stage.train, modalities, settings, "train"))
        draws = loader.batch_sampler.weights  # type: ignore[union-attr]
    frequencies = stage.train.prepared.frequencies
    return Labels(stage.model, settings, task=stage.config.task, frequencies=frequencies, census=census, draws=draws)


def _check_other_labels(stage: Stage) -> None:
    """Raises: ConfigError: no clip of train has a label from another source to learn beside its own."""
    dataset = stage.train.dataset
    if not any(bool(dataset.space.other_targets(clip).any()) for clip in dataset.clips):
        raise ConfigError(
            f"training.auxiliary_loss: no clip of train has a label from another source than "
            f"{dataset.space.label_from!r}; give the manifest modality_labels, or set it to 0"
        )


def _label_figures(stage: Stage, val: Part, loader: DataLoader[Any]) -> Callable[[Objective], Mapping[str, float]]:
    """Validation figures of all modalities together."""
    dataset, compute = val.dataset, stage.compute
    prior = stage.train.prepared.frequencies.double().numpy()

    def figures(objective: Objective) -> dict[str, float]:
        report = evaluate_model(
            partial(predict, objective.model, compute),
            loader,
            label_set=dataset.space.labels,
            prior=prior,
            split="val",
            task=stage.config.task,
            intervals=False,
            gather=gatherer(dataset.clips, stage.processes[1]),
        )
        monitored = stage.settings.monitor  # a figure that is not defined is not logged
        found = report.subsets[report.full]
        return {k: getattr(found, k) for k, v in found.items() if k != "n" and (k == monitored or v is not None)}

    return figures


def _plain_figures(stage: Stage, loader: DataLoader[Any]) -> Callable[[Objective], Mapping[str, float]]:
    """Validation loss without labels, beside that of a guess; every epoch hides the same things."""
    compute = stage.compute

    @torch.no_grad()
    def figures(objective: Objective) -> dict[str, float]:
        sums = torch.zeros(3, dtype=torch.float64, device=compute.device)
        with torch.random.fork_rng():
            torch.manual_seed(stage_seed(stage.config, stage.name) + 3)
            for batch in loader:
                with compute.autocast():
                    loss, naive = objective.compare(batch.to(compute.device))
                sums += torch.stack([loss.double(), naive.double(), torch.ones_like(loss).double()]) * len(batch)
        loss, naive, count = stage.accelerator.reduce(sums, reduction="sum").tolist()
        return {"loss": loss / count, "naive_loss": naive / count}

    return figures
