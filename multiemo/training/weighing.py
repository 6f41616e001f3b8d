"""What the losses of a step are divided by, so that every clip weighs the same.

The loss of a batch that is a step by itself is a mean over its clips. Where several batches make a step
(``accumulate``), it is one over the clips of all of them. Where a budget makes batches of unlike sizes, the sum over a
step's clips is divided by what a step of the epoch has on average, so that a clip counts as much in a small batch as in
a large one.
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


class Weighing:
    """The weighing of one epoch's steps.

    Args:
        settings: of the stage.
        objective: knows what its losses are means over.
        batches: rows of every batch of the epoch, of all processes together.
        device: where the losses are.

    Attributes:
        steps: of the epoch.
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
        """What the losses of each of a step's batches are divided by; ``None``: by what that batch has itself."""
        if self.fixed is not None:
            return self.fixed
        if not self.accumulated:
            return None
        each = [self.objective.masses(batch) for batch in group]
        return {name: sum_over_processes(_total([masses[name] for masses in each])) for name in each[0]}

    def share(self, first: int, count: int) -> float:
        """Clips in a step of ``count`` batches from ``first`` on, against those that the loss is scaled for."""
        return sum(self.sizes[first : first + count]) / self.clips if self.fixed is not None else 1.0


def _total(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum(0)


def grouped(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """The batches of each step, ``size`` of them; fewer in the last one."""
    group: list[Batch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
