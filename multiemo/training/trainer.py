"""The one loop: it pretrains a branch and fine-tunes the fused model alike.

It gets the model, the loaders and the evaluation function as arguments and knows nothing of how they are built.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from multiemo import losses
from multiemo.config import TrainingConfig
from multiemo.data.collate import BucketSampler
from multiemo.errors import CheckpointError, TrainingError
from multiemo.training.auxiliary import AuxiliaryHeads, auxiliary_loss
from multiemo.training.checkpoint import (
    STATE_VERSION,
    load_tensors,
    optimizer_groups,
    optimizer_tensors,
    pack,
    restore_optimizer,
    save_tensors,
    unpack,
)
from multiemo.training.mixup import mix_pairs
from multiemo.training.optim import MovingAverage, build_optimizer, build_schedule, learning_rates
from multiemo.types import Batch, Output

if TYPE_CHECKING:
    from multiemo.model import EmotionModel

#: On a GPU the loss is looked at this often, so that no step waits for the device.
CHECK_EVERY = 16


@dataclass(slots=True)
class FitResult:
    """How a stage went.

    Args:
        best: validation figures of the epoch that was kept.
        best_epoch: counted from one.
        epochs: epochs run.
        seconds: wall clock.
        history: one record an epoch.
    """

    best: dict[str, float]
    best_epoch: int
    epochs: int
    seconds: float
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class _Progress:
    """What survives a crash besides tensors."""

    epoch: int = 0
    step: int = 0
    best_score: float = -math.inf
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


def objective(
    output: Output, batch: Batch, settings: TrainingConfig, *, task: str, weights: Tensor | None, fused: bool
) -> Tensor:
    """The loss of one batch: fused labels, the branches' own labels, and the dimensions."""
    options: dict[str, Any] = {"task": task, "weights": weights, "smoothing": settings.label_smoothing}
    loss = losses.label_loss(output.logits, batch.target, batch.labelled, **options)
    if fused and settings.branch_loss > 0:
        for m, logits in output.branch_logits.items():
            rows = batch.labelled & batch.presence[m]
            loss = loss + settings.branch_loss * losses.label_loss(logits, batch.target, rows, **options)
    if output.dimensions is not None:
        loss = loss + settings.dimension_loss * losses.dimension_loss(output.dimensions, batch.dimensions)
    return loss


class Trainer:
    """Trains one stage.

    Args:
        accelerator: device, precision and processes.
        settings: of the stage.
        task: ``single``, ``multi`` or ``soft``.
        frequencies: ``[C]`` label frequencies of train, for class weights.
        seed: of the stage.
        state_file: where the resumable state goes after every epoch; ``None`` keeps none.
        identity: what must match for a state to be resumed (the resolved config).
    """

    def __init__(
        self,
        accelerator: Accelerator,
        settings: TrainingConfig,
        *,
        task: str,
        frequencies: Tensor,
        seed: int,
        state_file: Path | None = None,
        identity: str = "",
    ) -> None:
        self.accelerator = accelerator
        self.settings = settings
        self.task = task
        power = settings.class_weights
        self.weights = losses.class_weights(frequencies, power).to(accelerator.device) if power > 0 else None
        self.seed = seed
        self.state_file = state_file
        self.identity = identity

    def fit(
        self,
        model: EmotionModel,
        loader: DataLoader[Any],
        evaluate: Callable[[EmotionModel], Mapping[str, float]],
        *,
        on_step: Callable[[int, int], None] | None = None,
        on_epoch: Callable[[dict[str, Any]], None] | None = None,
    ) -> FitResult:
        """Train, keep the epoch with the best validation figure, and leave its weights in ``model``.

        Args:
            model: on any device.
            loader: train batches; its ``batch_sampler`` is a :class:`BucketSampler`.
            evaluate: validation figures of the model; must hold ``settings.monitor``.
            on_step: called with (step, all steps).
            on_epoch: called with the epoch's record.

        Raises:
            TrainingError: the loss is not finite; names the clips of the batch.
        """
        settings, accelerator = self.settings, self.accelerator
        sampler = loader.batch_sampler
        if not isinstance(sampler, BucketSampler):
            raise TypeError("the loader needs a BucketSampler")
        torch.manual_seed(self.seed)
        accelerator.gradient_accumulation_steps = settings.accumulate
        steps = math.ceil(len(sampler) / accelerator.num_processes / settings.accumulate) * settings.epochs
        fused = model.fusion is not None
        bare = model
        heads = self._auxiliary_heads(bare)
        optimizer = build_optimizer(bare, settings, beside=heads)
        schedule = build_schedule(optimizer, steps, settings.warmup)
        model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
        if heads is not None:
            heads = accelerator.prepare(heads)
        trained = [*bare.parameters(), *(heads.parameters() if heads is not None else ())]
        average = MovingAverage(bare, settings.ema) if settings.ema > 0 else None
        progress = _Progress()
        best: dict[str, Tensor] = {}
        if self.state_file is not None and self.state_file.is_file():
            progress, best = self._restore(bare, optimizer, schedule, average, heads)
        began = time.perf_counter() - progress.seconds
        recent: deque[tuple[Tensor, list[str]]] = deque()
        look = CHECK_EVERY if accelerator.device.type == "cuda" else 1

        while progress.epoch < settings.epochs and progress.epoch - progress.best_epoch < settings.patience:
            sampler.epoch = progress.epoch
            self._train_mode(bare)
            total = torch.zeros((), device=accelerator.device)
            batches = 0
            for batch in loader:
                with accelerator.accumulate(model):
                    loss = self._loss(model, batch, fused, heads)
                    accelerator.backward(loss)
                    if accelerator.sync_gradients:
                        accelerator.clip_grad_norm_(trained, settings.clip_norm)
                    optimizer.step()
                    if accelerator.sync_gradients:
                        schedule.step()
                        progress.step += 1
                        if average is not None:
                            average.update(bare)
                    optimizer.zero_grad(set_to_none=True)
                total += loss.detach()
                batches += 1
                recent.append((loss.detach(), batch.ids))
                if len(recent) >= look:
                    self._check(recent)
                if on_step is not None:
                    on_step(progress.step, steps)
            self._check(recent)
            progress.epoch += 1
            figures = self._validate(bare, evaluate, average)
            score = -figures["loss"] if settings.monitor == "loss" else figures[settings.monitor]
            improved = score > progress.best_score
            if improved:
                progress.best_score, progress.best_epoch, progress.best = score, progress.epoch, dict(figures)
                kept = average.state_dict() if average is not None else bare.state_dict()
                best = {k: v.detach().cpu().clone() for k, v in kept.items()}
            progress.seconds = time.perf_counter() - began
            record = {
                "epoch": progress.epoch,
                "step": progress.step,
                "loss": round(float(total) / max(batches, 1), 6),
                "lr": learning_rates(optimizer),
                "val": {k: round(v, 6) for k, v in figures.items()},
                "best": improved,
                "seconds": round(progress.seconds, 3),
            }
            progress.history.append(record)
            self._save(bare, optimizer, schedule, average, progress, best, heads)
            if on_epoch is not None:
                on_epoch(record)
        bare.load_state_dict(best)
        accelerator.free_memory()
        return FitResult(progress.best, progress.best_epoch, progress.epoch, progress.seconds, progress.history)

    # ------------------------------------------------------------------------------------------------------------
    def _auxiliary_heads(self, model: EmotionModel) -> AuxiliaryHeads | None:
        """Heads for ``auxiliary_loss``, in a branch's own stage."""
        if self.settings.auxiliary_loss <= 0 or model.fusion is not None:
            return None
        width = int(model.encoders[model.modalities[0]].out_dim)  # type: ignore[arg-type]
        return AuxiliaryHeads(width, len(model.prior)).to(self.accelerator.device)

    def _loss(self, model: Any, batch: Batch, fused: bool, heads: Any) -> Tensor:
        settings = self.settings
        mix: tuple[Tensor, Tensor] | None = None
        if settings.mixup > 0:
            batch, mix = mix_pairs(batch, settings.mixup)
        with self.accelerator.autocast():
            output = model(batch, modality_dropout=settings.modality_dropout if fused else 0.0, mix=mix)
            others = heads(next(iter(output.embeddings.values()))) if heads is not None else None
        loss = objective(output, batch, settings, task=self.task, weights=self.weights, fused=fused)
        if others is not None:
            loss = loss + settings.auxiliary_loss * auxiliary_loss(others, batch.other_targets, task=self.task)
        return loss

    def _train_mode(self, model: EmotionModel) -> None:
        model.train()
        for m in self.settings.freeze:
            if m in model.modalities:
                model.encoders[m].eval()

    def _check(self, recent: deque[tuple[Tensor, list[str]]]) -> None:
        while recent:
            loss, ids = recent.popleft()
            if not math.isfinite(float(loss)):
                shown = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
                raise TrainingError(
                    f"the loss is {float(loss)} on the batch with clips {shown}; look at their inputs, or lower "
                    "training.lr"
                )

    def _validate(
        self,
        model: EmotionModel,
        evaluate: Callable[[EmotionModel], Mapping[str, float]],
        average: MovingAverage | None,
    ) -> dict[str, float]:
        model.eval()
        if average is None:
            return dict(evaluate(model))
        live = {k: v.detach().clone() for k, v in model.state_dict().items()}
        model.load_state_dict(average.state_dict())
        figures = dict(evaluate(model))
        model.load_state_dict(live)
        return figures

    def _save(
        self,
        model: EmotionModel,
        optimizer: Any,
        schedule: Any,
        average: MovingAverage | None,
        progress: _Progress,
        best: Mapping[str, Tensor],
        heads: Any,
    ) -> None:
        if self.state_file is None or not self.accelerator.is_main_process:
            return
        inner = getattr(optimizer, "optimizer", optimizer)
        tensors = {
            **pack("model", model.state_dict()),
            **pack("best", best),
            **pack("optimizer", optimizer_tensors(inner)),
            **(pack("average", average.state_dict()) if average is not None else {}),
            **(pack("auxiliary", self.accelerator.unwrap_model(heads).state_dict()) if heads is not None else {}),
            "rng/cpu": torch.get_rng_state(),
        }
        if self.accelerator.device.type == "cuda":
            tensors["rng/cuda"] = torch.cuda.get_rng_state()
        facts = {
            "version": STATE_VERSION,
            "identity": self.identity,
            "groups": optimizer_groups(inner),
            "schedule": {"last_epoch": schedule.last_epoch, "_step_count": schedule._step_count},
            "average_steps": average.steps if average is not None else 0,
            "progress": {name: getattr(progress, name) for name in progress.__slots__},
        }
        save_tensors(self.state_file, tensors, facts)

    def _restore(
        self, model: EmotionModel, optimizer: Any, schedule: Any, average: MovingAverage | None, heads: Any
    ) -> tuple[_Progress, dict[str, Tensor]]:
        if self.state_file is None:
            raise ValueError("there is no state file")
        tensors, facts = load_tensors(self.state_file)
        if facts.get("version") != STATE_VERSION or facts.get("identity") != self.identity:
            raise CheckpointError(
                f"{self.state_file}: the saved state is of another config or version; resume with the config it was "
                "started with, or choose another --out"
            )
        model.load_state_dict(unpack("model", tensors))
        if heads is not None:
            self.accelerator.unwrap_model(heads).load_state_dict(unpack("auxiliary", tensors))
        restore_optimizer(getattr(optimizer, "optimizer", optimizer), unpack("optimizer", tensors), facts["groups"])
        schedule.load_state_dict({**schedule.state_dict(), **facts["schedule"]})
        if average is not None:
            average.load_state_dict(unpack("average", tensors), facts["average_steps"])
        torch.set_rng_state(tensors["rng/cpu"])
        if "rng/cuda" in tensors and self.accelerator.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng/cuda"])
        return _Progress(**facts["progress"]), unpack("best", tensors)


def append_jsonl(path: Path, record: Mapping[str, Any]) -> None:
    """Add one line to a log."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
