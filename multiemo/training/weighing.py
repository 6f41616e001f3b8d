"""The divisors of a step's losses, which give every clip the same weight.

If a step is a single batch, its loss is the mean over the batch's clips. If several batches make a step
(``accumulate``), it is the mean over the clips of all of them. If a budget makes batches of different sizes, the sum
over a step's clips is divided by the mean number of clips per step of the epoch. A clip then has the same weight in a
small batch as in a large one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from multiemo.config import TrainingConfig
from multiemo.training.objectives import Masses, Objective
from multiemo.training.parallel import sum_over_processes
from multiemo.types import Batch


class StepWeighting:
    """The loss divisors of one epoch's steps.

    Args:
        settings: training settings of the stage.
        objective: objective, which computes the masses of its losses.
        batches: rows of every batch of the epoch, over all processes.
        device: device of the losses.

    Attributes:
        steps: number of optimiser steps in the epoch.
    """

    def __init__(
        self, settings: TrainingConfig, objective: Objective, batches: Sequence[Sequence[int]], device: torch.device
    ) -> None:
        self.objective, self.sizes = objective, [len(batch) for batch in batches]
        self.accumulated = settings.accumulate > 1
        self.steps = math.ceil(len(batches) / settings.accumulate)
        self.clips = sum(self.sizes) / self.steps
        self.fixed: Masses | None = None
        if settings.budget:
            self.fixed = {name: (each * self.clips).to(device) for name, each in objective.expected().items()}

    def masses(self, group: Sequence[Batch]) -> Masses | None:
        """The loss divisors for each batch of a step; ``None`` if each batch uses its own masses."""
        if self.fixed is not None:
            return self.fixed
        if not self.accumulated:
            return None
        each = [self.objective.masses(batch) for batch in group]
        return {name: sum_over_processes(_total([masses[name] for masses in each])) for name in each[0]}

    def share(self, first: int, count: int) -> float:
        """Number of clips in a step, divided by the number that the loss is scaled for.

        Args:
            first: index of the step's first batch in the epoch.
            count: number of batches in the step.
        """
        return sum(self.sizes[first : first + count]) / self.clips if self.fixed is not None else 1.0


def _total(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum(0)


def grouped(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Group batches into lists of ``size``; the last list may be shorter."""
    group: list[Batch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
