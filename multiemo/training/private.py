"""Differentially private gradients (DP-SGD; Abadi et al. 2016), for every model and loss of the trainer.

Each step draws every clip with the same probability, independently (Poisson sampling). The gradient of each clip is
computed from a batch that holds nothing else, so it cannot depend on other clips, whatever the layers are. It is scaled
down to a largest norm and summed; Gaussian noise is added to the sum. Where a person is protected instead of a clip,
all clips of a person form one unit with one gradient.

Draws and noise come from the operating system's entropy, not from the config's seed: with a known seed, whoever has the
config could remove the noise.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler

from multiemo.data.collate import Collate
from multiemo.errors import CheckpointError, ConfigError
from multiemo.training.accounting import PrivateSteps
from multiemo.training.checkpoint import Facts
from multiemo.training.objectives import Masses, Objective
from multiemo.types import Batch, Modality, Sample

#: Clips of one speaker that are processed together.
_MOST_CLIPS = 32


@dataclass(frozen=True, slots=True)
class PrivateStage:
    """The mechanism of one stage.

    Args:
        noise_multiplier: standard deviation of the noise, divided by ``max_grad_norm``.
        max_grad_norm: largest norm of the gradient of one unit.
        sample_rate: probability with which a step includes a unit.
        expected: expected number of units in a step, by which the noisy sum is divided.
    """

    noise_multiplier: float
    max_grad_norm: float
    sample_rate: float
    expected: float

    def taken(self, stage: str, steps: int) -> PrivateSteps:
        """An entry of the accountant's ledger.

        Args:
            stage: name of the stage.
            steps: steps taken.
        """
        noise, rate = self.noise_multiplier, self.sample_rate
        return PrivateSteps(stage=stage, noise_multiplier=noise, sample_rate=rate, steps=steps)

    def facts(self, steps: int) -> Facts:
        """What a resumable state records of the accountant.

        Args:
            steps: steps taken so far.
        """
        return {"noise_multiplier": self.noise_multiplier, "sample_rate": self.sample_rate, "steps": steps}

    def check(self, stored: Facts | None, steps: int) -> None:
        """Reject a state whose steps were taken with another mechanism.

        Args:
            stored: the facts in the state; ``None`` if it has none.
            steps: steps taken in the state.

        Raises:
            CheckpointError: noise, sample rate or number of steps differ.
        """
        if stored != self.facts(steps):
            raise CheckpointError(
                "privacy: the saved state was trained with another noise, sample rate or number of epochs, so its "
                "privacy cannot be accounted for; resume with the config and manifest it was started with, or choose "
                "another --out"
            )


class PoissonSampler(Sampler[list[int]]):
    """Draws every unit independently with one probability, anew in each step. A step may be empty.

    Args:
        units: indices of the clips of each unit.
        sample_rate: probability of each unit.
        steps: steps in an epoch.
        generator: source of the draws; by default seeded by the operating system.

    Attributes:
        epoch: number of the epoch; draws do not depend on it.
        start: first step of the epoch that is still to be drawn.
    """

    def __init__(
        self, units: Sequence[Sequence[int]], sample_rate: float, steps: int, generator: torch.Generator | None = None
    ) -> None:
        self.units, self.sample_rate, self.steps = units, sample_rate, steps
        self.generator = generator or secret_generator(torch.device("cpu"))
        self.epoch = self.start = 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(self.start, self.steps):
            drawn = torch.rand(len(self.units), generator=self.generator, dtype=torch.float64) < self.sample_rate
            yield [row for i in drawn.nonzero().flatten().tolist() for row in self.units[i]]

    def together(self, number: int) -> dict[Modality, int]:
        """Nothing: the steps of a batch matter only between processes, and private training has one."""
        return {}

    def batches(self) -> list[list[int]]:
        """One empty batch for each step, since draws are not known in advance."""
        return [[] for _ in range(self.steps)]


@dataclass(frozen=True, slots=True)
class CollateUnits:
    """Collates the samples of a step into one or more batches for each unit.

    Args:
        collate: makes a batch of samples.
        by_speaker: whether neighbouring samples of one speaker are a unit; else each sample is one.
    """

    collate: Collate
    by_speaker: bool

    def __call__(self, samples: Sequence[Sample]) -> list[list[Batch]]:
        """The batches of each unit; empty for an empty step."""
        if not self.by_speaker:
            return [[self.collate([sample])] for sample in samples]
        units = [list(unit) for _, unit in groupby(samples, key=lambda sample: sample.speaker)]
        starts = [range(0, len(unit), _MOST_CLIPS) for unit in units]
        return [
            [self.collate(unit[i : i + _MOST_CLIPS]) for i in each] for unit, each in zip(units, starts, strict=True)
        ]


class PrivateGradients:
    """Sums the clipped gradients of a step's units, and replaces the gradients by the noisy mean.

    Args:
        stage: mechanism of the stage.
        objective: objective whose buffers must not change in training.
        trained: every parameter that the optimiser updates.
        generator: source of the noise; by default seeded by the operating system.
    """

    def __init__(
        self,
        stage: PrivateStage,
        objective: Objective,
        trained: Sequence[nn.Parameter],
        generator: torch.Generator | None = None,
    ) -> None:
        self.stage, self.objective, self.trained = stage, objective, list(trained)
        self.generator = generator or secret_generator(self.trained[0].device)
        self.sums = [torch.zeros_like(p, dtype=torch.float32) for p in self.trained]
        self._before: dict[str, Tensor] | None = {n: b.clone() for n, b in objective.named_buffers()}

    @torch.no_grad()
    def add(self) -> None:
        """Add the gradient of one unit, scaled down to the largest norm, and reset it.

        A gradient that is not finite adds nothing.
        """
        self._check_buffers()
        gradients = [p.grad for p in self.trained]
        present = [g for g in gradients if g is not None]
        norm = float(torch.stack([g.float().norm() for g in present]).norm()) if present else 0.0
        factor = min(1.0, self.stage.max_grad_norm / (norm + 1e-6))
        if norm < float("inf"):
            for total, gradient in zip(self.sums, gradients, strict=True):
                if gradient is not None:
                    total.add_(gradient, alpha=factor)
        for parameter in self.trained:
            parameter.grad = None

    @torch.no_grad()
    def release(self) -> None:
        """Set the gradients to the sum with noise, divided by the expected number of units, and start a new sum."""
        deviation = self.stage.noise_multiplier * self.stage.max_grad_norm
        for parameter, total in zip(self.trained, self.sums, strict=True):
            noise = torch.randn(total.shape, generator=self.generator, device=total.device) * deviation
            parameter.grad = ((total + noise) / self.stage.expected).to(parameter.dtype)
            total.zero_()

    def _check_buffers(self) -> None:
        """Reject an encoder that keeps statistics of the clips it is trained on, which no noise hides.

        Raises:
            ConfigError: a buffer has changed.
        """
        before, self._before = self._before, None
        for name, buffer in self.objective.named_buffers() if before is not None else ():
            if before is not None and not torch.equal(before[name].nan_to_num(), buffer.nan_to_num()):
                raise ConfigError(
                    f"privacy: {name.removeprefix('model.')} keeps statistics of the training clips without noise; "
                    "choose an encoder or backbone without them, or freeze it"
                )


def unit_masses(objective: Objective, batch: Batch, clips: int) -> Masses:
    """The divisors of the losses of one unit, which depend on no other clip: its number of clips.

    Args:
        objective: objective, which names its losses.
        batch: a batch of the unit.
        clips: number of clips in the whole unit.
    """
    return {name: torch.full_like(mass, clips) for name, mass in objective.masses(batch).items()}


def secret_generator(device: torch.device) -> torch.Generator:
    """A random generator seeded by the operating system."""
    return torch.Generator(device).manual_seed(secrets.randbits(63))
