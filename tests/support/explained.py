"""Targets and views of explanations whose answers are known, and targets of real models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import torch
from torch import Tensor

from multiemo.explanation.evidence.base import PartView
from multiemo.explanation.records import EvidencePart


class GameTarget:
    """Stands in for a ClipTarget: the score is any function of which parts are present."""

    def __init__(self, parts: int, value: Callable[[Tensor], Tensor]) -> None:
        self.x = torch.zeros(parts, 1)
        self.value, self.largest = value, 0
        self.model = SimpleNamespace(task="single")

    def __call__(self, x: Tensor, mask: Tensor) -> Tensor:
        self.largest = max(self.largest, len(x))
        return self.value(x.squeeze(-1) == 0)


class GameView(PartView):
    """Parts that are numbers; a removed part becomes one."""

    unit = "time"
    baseline = "one"

    def __init__(self, parts: int, scores: Sequence[float] | None = None) -> None:
        self.parts = [EvidencePart(name=str(i), score=0.0) for i in range(parts)]
        self._scores = scores

    def without(self, gone: Tensor) -> tuple[Tensor, Tensor]:
        return gone.float().unsqueeze(-1), torch.ones_like(gone)

    def gradients(self, target: object) -> Tensor | None:
        return None if self._scores is None else torch.tensor(self._scores)
