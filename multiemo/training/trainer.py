"""The training loop for every stage: pretraining a branch, with or without labels, and fine-tuning the fused model.

It takes the objective, the loader and the validation function as arguments, and does not depend on how they are built.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from multiemo.config import TrainingConfig
from multiemo.data.collate import BucketSampler
from multiemo.errors import TrainingError
from multiemo.files import append_line
from multiemo.training.checkpoint import optimizer_groups, optimizer_tensors, pack, restore_optimizer, unpack
from multiemo.training.compiled import run_plainly
from multiemo.training.epochs import Epoch
from multiemo.training.faster import run_faster
from multiemo.training.objectives import Objective
from multiemo.training.optim import MovingAverage, Thaw, build_optimizer, build_schedule, learning_rates, note_trained
from multiemo.training.parallel import Replica, full_tensors, gather_objects, sharded_like, share_norms
from multiemo.training.private import PoissonSampler, PrivateGradients, PrivateStage, unit_masses
from multiemo.training.state import FitProgress, States
from multiemo.training.watch import Interrupts, LossWatch, on_device
from multiemo.training.weighing import StepWeighting, grouped
from multiemo.types import Batch

#: With several processes, steps between two checks whether any of them received a signal to stop.
_STOP_CHECK_STEPS = 16


@dataclass(slots=True)
class FitResult:
    """Result of training a stage.

    Args:
        best: validation figures of the selected epoch.
        best_epoch: number of that epoch, from 1.
        epochs: number of epochs run.
        seconds: wall-clock seconds.
        history: records of all epochs.
    """

    best: dict[str, float]
    best_epoch: int
    epochs: int
    seconds: float
    history: list[Epoch] = field(default_factory=list)


@dataclass(slots=True)
class _Parts:
    """The mutable state of a training."""

    replica: Replica
    objective: Objective
    optimizer: AdamW
    schedule: LambdaLR
    average: MovingAverage | None
    thaw: Thaw
    trained: list[nn.Parameter]
    total: Tensor
    private: PrivateGradients | None = None
    progress: FitProgress = field(default_factory=FitProgress)
    best: dict[str, Tensor] = field(default_factory=dict)


class Trainer:
    """Trains one stage.

    Args:
        accelerator: device, precision and processes.
        settings: training settings of the stage.
        seed: seed of the stage; each process after the first has its own random stream.
        states: folder of resumable states; ``None`` stores none.
        shard: use FSDP instead of DDP with several processes.
        compile_encoders: run the encoders through ``torch.compile``, where it can compile them.
        cuda_graphs: replay the encoders' passes as CUDA graphs, on one GPU, unless they are compiled.
        private: mechanism of differential privacy; ``None`` trains without it.
        note: called with a message for the user.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        settings: TrainingConfig,
        *,
        seed: int,
        states: States | None = None,
        shard: bool = False,
        compile_encoders: bool = False,
        cuda_graphs: bool = True,
        private: PrivateStage | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.accelerator = accelerator
        self.settings = settings
        self.seed = seed
        self.states = states
        self.shard = shard
        self.compile_encoders = compile_encoders
        self.cuda_graphs = cuda_graphs
        self.private = private
        self.note = note
        self._stored_random_state: dict[str, Tensor] = {}

    def fit(
        self,
        objective: Objective,
        loader: DataLoader[Any],
        evaluate: Callable[[Objective], Mapping[str, float]] | None,
        *,
        on_step: Callable[[int, int], None] | None = None,
        on_epoch: Callable[[Epoch], None] | None = None,
    ) -> FitResult:
        """Train, select the best or the last epoch, and load its weights into the objective's model.

        Args:
            objective: objective on any device, created after ``torch.manual_seed``; training continues that stream.
            loader: training batches; its ``batch_sampler`` is a :class:`BucketSampler`. With ``private`` it is a
                :class:`PoissonSampler`, and the loader gives the batches of each unit of a step.
            evaluate: returns the validation figures of an objective's model, including ``settings.monitor``. ``None``
                selects the last epoch.
            on_step: called with (step, total steps).
            on_epoch: called with each epoch's record; when resuming, first with the records of finished epochs.

        Returns:
            The result; the weights of its ``best_epoch`` are in ``objective.model``.

        Raises:
            TrainingError: the loss is not finite (the message names the clips of the batch), or SIGTERM was received;
                the state is saved in the latter case.
            KeyboardInterrupt: on Ctrl-C; the state is saved.
            CheckpointError: a state cannot be written or read.
        """
        settings, device = self.settings, self.accelerator.device
        sampler = loader.batch_sampler
        if not isinstance(sampler, BucketSampler if self.private is None else PoissonSampler):
            raise TypeError("the loader needs a BucketSampler, or a PoissonSampler to train privately")
        steps = math.ceil(len(sampler) / settings.accumulate) * settings.epochs
        parts = self._prepare(objective, steps)
        self._restore(parts)
        progress = parts.progress
        for epoch in progress.history:
            if on_epoch is not None:
                on_epoch(epoch)
        began = time.perf_counter() - progress.seconds
        watch = LossWatch(device)
        with Interrupts() as interrupts:
            while progress.epoch < settings.epochs and progress.epoch - progress.best_epoch < settings.patience:
                sampler.epoch, sampler.start = progress.epoch, progress.batch
                count = len(sampler)
                weighting = StepWeighting(settings, parts.objective, sampler.batches(), device)
                self._train_mode(parts.objective)
                if progress.batch == 0:
                    self._restore_random_state()
                groups: Iterable[Any] = grouped(on_device(loader, device), settings.accumulate)
                for group in groups if parts.private is None else loader:
                    self._restore_random_state()  # within an epoch, only after the loader has drawn its seed
                    masses, share = weighting.masses(group), weighting.share(progress.batch, len(group))
                    if parts.private is not None:
                        group = self._private_gradients(parts, parts.private, group, watch)
                    for left, batch in zip(reversed(range(len(group))), group, strict=True):
                        parts.thaw.at(progress.epoch + progress.batch / count)
                        whole_step = sampler.together(progress.batch)
                        batch.together = {m: steps for m, steps in whole_step.items() if m not in settings.freeze}
                        progress.batch += 1
                        with parts.replica.step(batch, for_more=left > 0):
                            with self.accelerator.autocast() if self._mixed else nullcontext():
                                loss = parts.replica.outer(batch, masses)
                            self._backward(loss)
                        parts.total += loss.detach()
                        watch.add(loss, batch.ids)
                        del loss  # its graph would tie the weights to the stream that read them
                    self._step(parts, share)
                    if on_step is not None:
                        on_step(progress.step, steps)
                    progress.seconds = time.perf_counter() - began
                    stop = self._stop_requested(interrupts, synchronise=progress.step % _STOP_CHECK_STEPS == 0)
                    if stop or (settings.save_steps and progress.step % settings.save_steps == 0):
                        self._save(parts)
                    if stop:
                        interrupts.leave(f"the state after step {progress.step} is saved; continue with --resume")
                watch.finish()
                epoch = self._end_epoch(parts, evaluate, weighting.steps, began)
                self._save(parts)
                if on_epoch is not None:
                    on_epoch(epoch)
                if self._stop_requested(interrupts, synchronise=True):
                    interrupts.leave(f"the state after epoch {progress.epoch} is saved; continue with --resume")
        if not parts.best:
            raise TrainingError(f"no epoch had a finite {settings.monitor} on validation; lower training.lr")
        own = objective.model.state_dict()
        objective.model.load_state_dict({**own, **{k: v.reshape(own[k].shape) for k, v in parts.best.items()}})
        note_trained(objective.model, parts.objective.model, parts.optimizer)
        for m in objective.model.modalities:
            run_plainly(objective.model.encoders[m])
        return FitResult(progress.best, progress.best_epoch, progress.epoch, progress.seconds, progress.history)

    # ------------------------------------------------------------------------------------------------------------
    @property
    def _mixed(self) -> bool:
        return str(self.accelerator.mixed_precision) != "no"

    def _prepare(self, objective: Objective, steps: int) -> _Parts:
        settings, model = self.settings, objective.model
        if self.accelerator.num_processes > 1 and self.accelerator.device.type == "cuda":
            share_norms(model)
        for m in model.modalities:
            if m in settings.freeze:
                model.encoders[m].requires_grad_(False)
            if settings.gradient_checkpointing:
                model.encoders[m].recompute_activations()  # type: ignore[operator]
        replica = Replica(objective, self.accelerator, shard=self.shard)
        trained = replica.inner
        assert isinstance(trained, Objective)
        if self.accelerator.process_index > 0:
            torch.manual_seed(self.seed + self.accelerator.process_index)
        run_faster(
            trained.model,
            self.accelerator,
            settings,
            compile_encoders=self.compile_encoders,
            cuda_graphs=self.cuda_graphs,
            note=self.note,
        )
        optimizer = build_optimizer(trained, settings)
        updated = [p for group in optimizer.param_groups for p in group["params"]]
        return _Parts(
            replica=replica,
            objective=trained,
            optimizer=optimizer,
            schedule=build_schedule(optimizer, steps, settings.warmup),
            average=MovingAverage(trained.model, settings.ema) if settings.ema > 0 else None,
            thaw=Thaw(trained.model, settings.unfreeze),
            trained=updated,
            total=torch.zeros((), device=self.accelerator.device),
            private=PrivateGradients(self.private, trained, updated) if self.private is not None else None,
        )

    def _learnt(self, state: Mapping[str, Tensor], encoders: str) -> dict[str, Tensor]:
        """A state without the frozen encoders, which can be loaded again from their source."""
        frozen = tuple(f"{encoders}.{m}." for m in self.settings.freeze)
        return {k: v for k, v in state.items() if not k.startswith(frozen)}

    def _train_mode(self, objective: Objective) -> None:
        objective.train()
        for m in self.settings.freeze:
            if m in objective.model.modalities:
                objective.model.encoders[m].eval()
                head = objective.model.branch_heads[m]
                head.train(any(p.requires_grad for p in head.parameters()))

    def _backward(self, loss: Tensor) -> None:
        scaler = self.accelerator.scaler
        (loss if scaler is None else scaler.scale(loss)).backward()

    def _step(self, parts: _Parts, share: float) -> None:
        """One optimiser step; ``share`` is its number of clips divided by the mean over steps."""
        scaler, optimizer = self.accelerator.scaler, parts.optimizer
        if scaler is not None:
            scaler.unscale_(optimizer)
        parts.objective.modulate(self.seed * 1_000_003 + parts.progress.step)
        if parts.private is None:
            nn.utils.clip_grad_norm_(parts.trained, self.settings.clip_norm * share)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        parts.schedule.step()
        optimizer.zero_grad(set_to_none=True)
        parts.progress.step += 1
        if parts.average is not None:
            parts.average.update()

    def _private_gradients(
        self, parts: _Parts, private: PrivateGradients, units: Sequence[Sequence[Batch]], watch: LossWatch
    ) -> list[Batch]:
        """Compute the noisy gradients of a private step, unit by unit; no batch of the step is left to be trained on.

        Args:
            parts: the state of the training.
            private: sums the gradients.
            units: batches of each unit of the step.
            watch: receives the losses.
        """
        for batches in units:
            clips = sum(map(len, batches))
            for batch in (batch.to(self.accelerator.device) for batch in batches):
                with self.accelerator.autocast() if self._mixed else nullcontext():
                    loss = parts.objective(batch, unit_masses(parts.objective, batch, clips))
                loss.backward()
                parts.total += loss.detach() / len(units)
                watch.add(loss, batch.ids)
            private.add()
        private.release()
        parts.progress.batch += 1
        return []

    def _stop_requested(self, interrupts: Interrupts, *, synchronise: bool) -> bool:
        """Whether a signal was received; with several processes by any of them, but only checked if ``synchronise``."""
        if self.accelerator.num_processes == 1:
            return interrupts.received is not None
        if not synchronise:
            return False
        received: list[int] = [n for n in gather_objects(interrupts.received) if n is not None]
        interrupts.received = received[0] if received else None
        return len(received) > 0

    def _end_epoch(
        self, parts: _Parts, evaluate: Callable[[Objective], Mapping[str, float]] | None, steps: int, began: float
    ) -> Epoch:
        """Validate, store the weights if they are to be kept so far, and return the record of the epoch."""
        progress, settings, average = parts.progress, self.settings, parts.average
        progress.batch = 0
        progress.epoch += 1
        parts.objective.eval()
        with average.in_place() if average is not None else nullcontext():
            figures: dict[str, float] = {}
            score = float(progress.epoch)
            if evaluate is not None:
                with parts.replica.gathered():
                    figures = dict(evaluate(parts.objective))
                if settings.select == "best":
                    score = -figures["loss"] if settings.monitor == "loss" else figures[settings.monitor]
            improved = score > progress.best_score
            if improved:
                progress.best_score, progress.best_epoch, progress.best = score, progress.epoch, figures
                state = full_tensors(self._learnt(parts.objective.model.state_dict(), "encoders"))
                parts.best = {k: v.detach().cpu().clone() for k, v in state.items()}
                if self.states is not None and self.accelerator.is_main_process:
                    self.states.save_best(progress, parts.best)
        loss = round(float(parts.total) / steps, 6)
        parts.total.zero_()
        progress.seconds = round(time.perf_counter() - began, 3)
        epoch = Epoch(
            epoch=progress.epoch,
            step=progress.step,
            loss=loss,
            lr=learning_rates(parts.optimizer),
            val={k: round(v, 6) for k, v in figures.items()},
            best=improved,
            seconds=progress.seconds,
        )
        progress.history.append(epoch)
        return epoch

    def _save(self, parts: _Parts) -> None:
        if self.states is None:
            return
        average, scaler = parts.average, self.accelerator.scaler
        tensors = {
            **pack("objective", full_tensors(self._learnt(parts.objective.state_dict(), "model.encoders"))),
            **pack("optimizer", full_tensors(optimizer_tensors(parts.optimizer))),
            **(
                pack("average", full_tensors(self._learnt(average.state_dict(), "encoders")))
                if average is not None
                else {}
            ),
            "total": parts.total,
        }
        for rank, state in enumerate(gather_objects(_random_state())):
            tensors.update(pack(f"random/{rank}", state))
        if not self.accelerator.is_main_process:
            return
        facts = {
            "groups": optimizer_groups(parts.optimizer),
            "schedule": {"last_epoch": parts.schedule.last_epoch, "_step_count": parts.schedule._step_count},
            "average_steps": average.steps if average is not None else 0,
            "scaler": scaler.state_dict() if scaler is not None else None,
        }
        if self.private is not None:
            facts["privacy"] = self.private.facts(parts.progress.step)
        self.states.save(parts.progress, tensors, facts)

    def _restore(self, parts: _Parts) -> None:
        """Continue from the newest state, if there is one."""
        stored = self.states.load() if self.states is not None else None
        if self.states is None or stored is None:
            return
        progress, tensors, facts = stored.progress, stored.tensors, stored.facts
        if self.private is not None:
            self.private.check(facts.get("privacy"), progress.step)
        for name in FitProgress.__slots__:
            setattr(parts.progress, name, getattr(progress, name))
        here = parts.objective.state_dict()
        kept = unpack("objective", tensors)
        parts.objective.load_state_dict({**here, **{k: sharded_like(v, here[k]) for k, v in kept.items()}})
        restore_optimizer(parts.optimizer, unpack("optimizer", tensors), facts["groups"])
        parts.schedule.load_state_dict({**parts.schedule.state_dict(), **facts["schedule"]})
        if parts.average is not None:
            averages = parts.average.state_dict()
            kept = {k: sharded_like(v, averages[k]) for k, v in unpack("average", tensors).items()}
            parts.average.load_state_dict(kept, facts["average_steps"])
        if self.accelerator.scaler is not None and facts["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(facts["scaler"])
        parts.total.copy_(tensors["total"])
        parts.best = self.states.load_best(progress) if progress.best_file else {}
        self._stored_random_state = unpack(f"random/{self.accelerator.process_index}", tensors)

    def _restore_random_state(self) -> None:
        """Restore the random state of a loaded state, once."""
        stored, self._stored_random_state = self._stored_random_state, {}
        if stored:
            torch.set_rng_state(stored["cpu"])
        if "cuda" in stored and torch.cuda.is_available():
            torch.cuda.set_rng_state(stored["cuda"])


def _random_state() -> dict[str, Tensor]:
    """State of torch's random generators in this process."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def append_jsonl(path: Path, record: Mapping[str, Any]) -> None:
    """Append a record to a JSONL log."""
    append_line(path, json.dumps(record))
