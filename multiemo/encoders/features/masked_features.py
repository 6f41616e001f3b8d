"""Masked features: an encoder of precomputed vectors or sequences learns from them without labels."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from multiemo.encoders.base import Encoder, MaskedTask
from multiemo.encoders.speech.masked_frames import hide_spans

#: Share of the steps or columns that are hidden.
_HIDDEN_SHARE = 0.5
#: Length of a hidden span, steps.
_SPAN_STEPS = 10


class ReadsFeatures(Protocol):
    """The methods of a feature encoder that the task uses."""

    def values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Convert ``[B, T, dim]`` to standardised values, and to the augmented ones that the network reads."""
        ...

    def states(self, values: Tensor, mask: Tensor) -> Tensor:
        """Convert standardised ``[B, T, dim]`` to ``[B, T, W]``."""
        ...

    def embed(self, states: Tensor, mask: Tensor) -> Tensor:
        """Pool ``[B, T, W]`` to ``[B, D]``."""
        ...


class MaskedFeatures(MaskedTask):
    """Predicts hidden standardised values: whole steps of a sequence, or columns of a single vector.

    About half of the steps are hidden, in spans of ten (:func:`hide_spans`). If a clip is a single vector, half of its
    columns are hidden. Hidden values are set to their mean. The decoder is one linear layer over the state of the step
    and the embedding of the clip. The loss is the mean squared error. For the constant guess, the mean, it is about
    one, so the loss is the share of variance that is not explained.

    Args:
        width: W + D, the width of a step's state and of the embedding.
        dim: columns of the features.
    """

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.decode = nn.Linear(width, dim)

    def forward(self, encoder: Encoder, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`MaskedTask.forward`.

        Args:
            encoder: the feature encoder that created this task.
            x: ``[B, T, dim]`` float32.
            mask: ``[B, T]`` bool, true for real steps.
        """
        reader = cast("ReadsFeatures", encoder)
        values, shown = reader.values(x)
        hidden = hide(values, mask)
        counted = hidden & mask.unsqueeze(-1)
        count = counted.sum()
        errors = (self.predict(reader, shown, hidden, mask) - values).square()
        return (errors * counted).sum() / count, (values.square() * counted).sum() / count

    def predict(self, encoder: ReadsFeatures, values: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
        """Predict all values from the visible ones.

        Args:
            encoder: the feature encoder.
            values: ``[B, T, dim]`` standardised.
            hidden: ``[B, T, dim]`` bool, true where hidden.
            mask: ``[B, T]`` bool, true for real steps.

        Returns:
            ``[B, T, dim]`` standardised.
        """
        states = encoder.states(values.masked_fill(hidden, 0.0), mask)
        clip = encoder.embed(states, mask).unsqueeze(1).expand(-1, states.shape[1], -1)
        return self.decode(torch.cat([states, clip], -1))  # type: ignore[no-any-return]


def hide(values: Tensor, mask: Tensor) -> Tensor:
    """Draw the hidden values of ``[B, T, dim]`` with the mask ``[B, T]``: ``[B, T, dim]`` bool."""
    clips, size, dim = values.shape
    lengths = mask.sum(1)
    steps = hide_spans(lengths, size, _HIDDEN_SHARE, _SPAN_STEPS)
    order = torch.rand(clips, dim, device=values.device).argsort(1)  # a random permutation
    columns = order < max(1, round(_HIDDEN_SHARE * dim))
    return torch.where((lengths > 1).view(-1, 1, 1), steps.unsqueeze(-1), columns.unsqueeze(1))
