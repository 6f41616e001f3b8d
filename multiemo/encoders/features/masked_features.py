"""Masked features: an encoder of precomputed vectors or sequences learns from them alone."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from multiemo.encoders.base import Encoder, MaskedTask
from multiemo.encoders.speech.masked_frames import hide_spans

#: Share of the steps or columns that is hidden, and the steps of a span.
_HIDDEN, _SPAN = 0.5, 10


class ReadsFeatures(Protocol):
    """What the task needs of a feature encoder."""

    def values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, T, dim]`` to the same standardised, and, in training, the same augmented."""
        ...

    def states(self, values: Tensor, mask: Tensor) -> Tensor:
        """Standardised ``[B, T, dim]`` to ``[B, T, W]``."""
        ...

    def embed(self, states: Tensor, mask: Tensor) -> Tensor:
        """``[B, T, W]`` to ``[B, D]``."""
        ...


class MaskedFeatures(MaskedTask):
    """Predicts hidden standardised values: whole steps of a sequence, or columns of a single vector.

    About half of the steps are hidden, in spans of ten (:func:`hide_spans`); of a clip that is a single vector, half of
    the columns. Hidden values are set to their mean. The decoder is one linear layer from the state of the step beside
    the embedding of the clip. The loss is the mean squared error: that of the guess, the mean, is about one, and so the
    loss is the share of variance that is not explained.

    Args:
        width: W + D, of a step's state and of the embedding.
        dim: columns of the features.
    """

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.decode = nn.Linear(width, dim)

    def forward(self, encoder: Encoder, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`MaskedTask.forward`, for ``[B, T, dim]`` and ``[B, T]``."""
        reader = cast("ReadsFeatures", encoder)
        values, shown = reader.values(x)
        hidden = hide(values, mask)
        asked = hidden & mask.unsqueeze(-1)
        count = asked.sum()
        errors = (self.predict(reader, shown, hidden, mask) - values).square()
        return (errors * asked).sum() / count, (values.square() * asked).sum() / count

    def predict(self, encoder: ReadsFeatures, values: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
        """All values ``[B, T, dim]`` from those that are not hidden."""
        states = encoder.states(values.masked_fill(hidden, 0.0), mask)
        clip = encoder.embed(states, mask).unsqueeze(1).expand(-1, states.shape[1], -1)
        return self.decode(torch.cat([states, clip], -1))  # type: ignore[no-any-return]


def hide(values: Tensor, mask: Tensor) -> Tensor:
    """Draw what is hidden of ``[B, T, dim]`` with ``[B, T]``: bool ``[B, T, dim]``."""
    clips, size, dim = values.shape
    lengths = mask.sum(1)
    steps = hide_spans(lengths, size, _HIDDEN, _SPAN)
    order = torch.rand(clips, dim, device=values.device).argsort(1)  # a random permutation
    columns = order < max(1, round(_HIDDEN * dim))
    return torch.where((lengths > 1).view(-1, 1, 1), steps.unsqueeze(-1), columns.unsqueeze(1))
