"""Trains one stage of a run: builds its loaders, objective and validation function, and calls the trainer."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from multiemo.config import Config, TrainingConfig
from multiemo.encoders.base import Encoder
from multiemo.errors import ConfigError, ManifestError
from multiemo.evaluation import evaluate_model
from multiemo.inputs.dataset import speaker_name
from multiemo.model import EmotionModel
from multiemo.progress import Progress
from multiemo.runs.batches import Part
from multiemo.runs.device import Compute, accelerator_compute, predict
from multiemo.runs.evaluation import EVALUATION_BATCH, evaluation_loader, gatherer
from multiemo.runs.folder.layout import identity
from multiemo.runs.frozen.embeddings import embed_part
from multiemo.runs.frozen.once import Computer
from multiemo.runs.frozen.samples import WithFrozen
from multiemo.runs.frozen.states import cache_states
from multiemo.runs.private import StagePlan
from multiemo.runs.speakers import fit_offsets, speaker_draws
from multiemo.training.epochs import Epoch
from multiemo.training.objectives import Contrastive, Labels, Masked, Objective
from multiemo.training.parallel import ProcessBarrier
from multiemo.training.state import States
from multiemo.training.trainer import FitResult, Trainer
from multiemo.types import Modality


@dataclass(slots=True)
class Stage:
    """The model and data of one stage.

    Args:
        name: a modality, or ``fuse``.
        config: resolved config of the run.
        model: branch or fused model to train.
        train: preprocessed training part.
        val: preprocessed validation part; ``None`` if the split has none.
        accelerator: device, precision and processes.
        barrier: synchronises the processes.
        folder: run folder.
        progress: receives stages, steps and notes.
        private: plan of private training; ``None`` trains without it.
    """

    name: str
    config: Config
    model: EmotionModel
    train: Part
    val: Part | None
    accelerator: Accelerator
    barrier: ProcessBarrier
    folder: Path
    progress: Progress
    private: StagePlan | None = None

    @property
    def settings(self) -> TrainingConfig:
        """Training settings of this stage."""
        return self.config.training_of(self.name)

    @property
    def compute(self) -> Compute:
        """Device and precision of validation, which are those of training."""
        return accelerator_compute(self.accelerator)

    @property
    def processes(self) -> tuple[int, int]:
        """(rank of this process, number of processes)."""
        return self.accelerator.process_index, self.accelerator.num_processes


def stage_seed(config: Config, stage: str) -> int:
    """The random seed of a stage, derived from the config's seed and the stage's name."""
    return config.seed * 1009 + zlib.crc32(stage.encode()) % 1009


def fit_stage(stage: Stage, *, on_step: Callable[[int, int], None], on_epoch: Callable[[Epoch], None]) -> FitResult:
    """Train a stage and leave its best weights in ``stage.model``, on the CPU.

    A model without parameters is only validated: its result has no epochs.

    Args:
        stage: model and data.
        on_step: called with (step, total steps), as in :meth:`Trainer.fit`.
        on_epoch: called with each epoch's record, as in :meth:`Trainer.fit`.

    Raises:
        MultiemoError: there is no clip to learn from, a setting does not fit the data or the encoders, or training
            fails.
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
        cuda_graphs=config.cuda_graphs,
        private=None if stage.private is None else stage.private.mechanism,
        note=stage.progress.note,
    )
    figures = None
    if stage.val is not None and val_loader is not None:
        labelled = settings.objective == "labels"
        figures = _label_figures(stage, stage.val, val_loader) if labelled else _loss_figures(stage, val_loader)
    if next(stage.model.parameters(), None) is None:
        result = _validated(stage, objective, figures)
    else:
        result = trainer.fit(objective, train_loader, figures, on_step=on_step, on_epoch=on_epoch)
    stage.model.cpu()
    return result


def _validated(
    stage: Stage, objective: Objective, figures: Callable[[Objective], Mapping[str, float]] | None
) -> FitResult:
    """The result of a stage with nothing to train: validation figures of the model as it is.

    Args:
        stage: model and data.
        objective: objective that holds the model.
        figures: computes the validation figures; ``None`` without a validation part.
    """
    stage.progress.note(f"{stage.name}: {stage.config.encoders[stage.model.modalities[0]].name} has nothing to train")
    began = time.perf_counter()
    objective.to(stage.compute.device).eval()
    best = {} if figures is None else dict(figures(objective))
    return FitResult(best, best_epoch=0, epochs=0, seconds=time.perf_counter() - began)


def trainable_rows(part: Part, modalities: Sequence[Modality], settings: TrainingConfig, name: str) -> list[int]:
    """Rows of a part that a stage can learn from.

    Args:
        part: preprocessed part.
        modalities: modalities of the stage; contrastive training needs two of them in a row, other training one.
        settings: training settings of the stage.
        name: name of the part, for the message.

    Returns:
        Indices into the part, ascending.

    Raises:
        ManifestError: no row is usable.
    """
    labelled, least = settings.objective == "labels", 2 if settings.objective == "contrastive" else 1
    rows = part.rows_with(modalities, labelled=labelled, least=least)
    if not rows:
        what = " or ".join(modalities) if least == 1 else f"two of {', '.join(modalities)}"
        raise ManifestError(f"{part.dataset.folder}: no {'labelled ' * labelled}clip of {name} has {what}")
    return rows


def _loaders(stage: Stage) -> tuple[DataLoader[Any], DataLoader[Any] | None]:
    """The loaders of train and, if there is one, validation; frozen encoders are replaced by their output."""
    settings, modalities, processes = stage.settings, stage.model.modalities, stage.processes
    loaders = []
    for name, part in (("train", stage.train), ("val", stage.val)):
        if part is None:
            continue
        rows = trainable_rows(part, modalities, settings, name)
        if len(rows) < processes[1]:
            raise ManifestError(
                f"{part.dataset.folder}: only {len(rows)} clips of {name} for {processes[1]} processes; use fewer "
                "processes"
            )
        shared: dict[str, Any] = {
            "budget": settings.budget,
            "samples": _frozen_samples(stage, part, name),
            "processes": processes,
        }
        if name == "val":
            loaders.append(evaluation_loader(part, modalities, rows, **shared))
            continue
        if stage.private is not None:
            loaders.append(stage.private.loader(part, modalities, shared["samples"]))
            continue
        order: dict[str, Any] = {"seed": stage_seed(stage.config, stage.name), "shuffle": True}
        order |= {"balance": settings.balanced_sampling, "similar_lengths": not _normalises_over_batches(stage)}
        loaders.append(part.loader(modalities, rows, settings.batch_size, **order, **shared))
    stage.progress.stage(stage.name)
    return loaders[0], loaders[1] if len(loaders) > 1 else None


def _normalises_over_batches(stage: Stage) -> bool:
    """Whether a layer that is trained normalises over the clips of a batch."""
    stage.model.train()
    trained = [stage.model.encoders[m] for m in stage.model.modalities if m not in stage.settings.freeze]
    return any(isinstance(layer, _BatchNorm) and layer.training for e in trained for layer in e.modules())


def _frozen_samples(stage: Stage, part: Part, name: str) -> WithFrozen | None:
    """The samples of a part with the output of frozen encoders and backbones; ``None`` if nothing is frozen.

    Args:
        stage: model and data.
        part: preprocessed part.
        name: name of the part, for the progress display.
    """
    settings, modalities = stage.settings, stage.model.modalities
    encoders = {m: e for m in modalities if isinstance(e := stage.model.encoders[m], Encoder)}
    if next(stage.model.parameters(), None) is None:
        return None  # nothing is trained, so train is not read
    frozen = [m for m in encoders if m in settings.freeze or encoders[m].referenced]
    # What is hidden from the encoder with objective 'masked' differs in every epoch.
    able = [m for m in encoders if m not in frozen and settings.objective != "masked"]
    partly = [m for m in able if encoders[m].frozen_part() is not None]
    if not frozen and not partly:
        return None
    stage.progress.stage(f"embed {name}")
    computer = Computer(stage.compute, stage.barrier, settings.budget, EVALUATION_BATCH, stage.progress)
    embedded = {m: embed_part(part, m, encoders[m], computer) for m in frozen}
    states = {m: cache_states(part, m, encoders[m], computer) for m in partly}
    return WithFrozen(part, embedded, {m: s for m, s in states.items() if s is not None})


def _objective(stage: Stage, loader: DataLoader[Any]) -> Objective:
    settings, modalities = stage.settings, stage.model.modalities
    if settings.objective == "masked":
        return Masked(stage.model)
    if settings.objective == "contrastive":
        return Contrastive(stage.model)
    if stage.name != "fuse" and settings.auxiliary_loss > 0:
        _check_auxiliary_labels(stage)
    speakers = _speakers(stage) if stage.name != "fuse" and settings.speaker_adversary > 0 else []
    census, draws = None, None
    if settings.budget:
        census = stage.train.census(modalities, trainable_rows(stage.train, modalities, settings, "train"))
        draws = loader.batch_sampler.weights  # type: ignore[union-attr]
    frequencies = stage.train.prepared.frequencies
    trained = {
        m: e for m in modalities if m not in settings.freeze and isinstance(e := stage.model.encoders[m], Encoder)
    }
    others = speaker_draws(stage.train, trained, loader.dataset.dataset)  # type: ignore[attr-defined]
    if others is not None:
        fit_offsets(others)
    given: dict[str, Any] = {"census": census, "draws": draws, "speakers": speakers, "others": others}
    return Labels(stage.model, settings, task=stage.config.task, frequencies=frequencies, **given)


def _speakers(stage: Stage) -> list[str]:
    """Names of the speakers of train, sorted, for the speaker adversary.

    Raises:
        ConfigError: there are fewer than two, or a clip has none.
    """
    dataset = stage.train.dataset
    nameless = next((clip for clip in dataset.clips if clip.speaker is None), None)
    found = sorted({speaker_name(clip) for clip in dataset.clips})
    if nameless is not None or len(found) < 2:
        why = f"clip {nameless.id!r} has no speaker" if nameless is not None else f"train has only {found[0]!r}"
        raise ConfigError(f"training.speaker_adversary: needs clips of several known speakers, but {why}; set it to 0")
    return found


def _check_auxiliary_labels(stage: Stage) -> None:
    """Check that some clip of train has a label from another source, for the auxiliary loss.

    Raises:
        ConfigError: no clip has one.
    """
    dataset = stage.train.dataset
    if not any(bool(dataset.space.other_targets(clip).any()) for clip in dataset.clips):
        raise ConfigError(
            f"training.auxiliary_loss: no clip of train has a label from another source than "
            f"{dataset.space.label_from!r}; add modality_labels to the manifest, or set it to 0"
        )


def _label_figures(stage: Stage, val: Part, loader: DataLoader[Any]) -> Callable[[Objective], Mapping[str, float]]:
    """A function that computes the validation figures of the full subset."""
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
        monitored = stage.settings.monitor  # undefined figures are not logged
        found = report.subsets[report.full]
        return {k: getattr(found, k) for k, v in found.items() if k != "n" and (k == monitored or v is not None)}

    return figures


def _loss_figures(stage: Stage, loader: DataLoader[Any]) -> Callable[[Objective], Mapping[str, float]]:
    """A function that computes the validation loss of an objective without labels, and that of a naive guess.

    Every epoch uses the same random masks.
    """
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
