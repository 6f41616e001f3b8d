"""Evidence for every kind of input that has none of its own: its time steps."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from multiemo.explanation.evidence.base import ClipInput, Evidence, PartView
from multiemo.explanation.records import EvidencePart, UnitKind
from multiemo.explanation.target import ClipTarget

#: Largest number of parts; longer inputs are divided into this many equal spans.
_MOST_PARTS = 32


class StepView(PartView):
    """Spans of time steps, replaced with the mean of all steps, or with zeros if the input holds whole numbers.

    Args:
        x: ``[T, ...]`` the input.
    """

    unit: UnitKind = "time"

    def __init__(self, x: Tensor) -> None:
        self._x = x
        count = min(len(x), _MOST_PARTS)
        self._part_of = torch.arange(len(x), device=x.device) * count // len(x)
        self._fill = x.mean(0) if x.is_floating_point() else torch.zeros_like(x[0])
        self.baseline = "the mean of all steps" if x.is_floating_point() else "zero"
        edges = [int((self._part_of < part).sum()) for part in range(count + 1)]
        self.parts = [
            EvidencePart(name=f"step {a + 1}" if b == a + 1 else f"steps {a + 1} to {b}", score=0.0)
            for a, b in pairwise(edges)
        ]

    def without(self, gone: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`PartView.without`."""
        replaced = gone.to(self._x.device)[:, self._part_of]
        wide = replaced.reshape(*replaced.shape, *[1] * (self._x.dim() - 1))
        return torch.where(wide, self._fill, self._x), torch.ones_like(replaced)

    def magnitude(self) -> Tensor:
        """Mean absolute distance of each span from its replacement, ``[U]``."""
        distance = (
            (self._x - self._fill).abs().float().flatten(1).mean(1) if self._x.dim() > 1 else self._x.abs().float()
        )
        totals = torch.zeros(len(self.parts), device=self._x.device).index_add_(0, self._part_of, distance)
        return totals / torch.bincount(self._part_of)


class StepEvidence(Evidence):
    """Time steps of an input of which nothing else is known."""

    def views(self, clip: ClipInput, target: ClipTarget) -> list[PartView]:
        """As :meth:`Evidence.views`."""
        return [StepView(clip.tensor)]
