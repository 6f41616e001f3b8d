"""A speaker adversary: an embedding is trained so that a classifier cannot tell from it who is speaking.

Gradient reversal (Ganin & Lempitsky 2015). A classifier learns to name the training speaker from the embedding. Its
gradient reaches the encoder with the opposite sign, times a weight, so the encoder removes what the classifier uses.
The classifier is discarded after training.

An adversary that fails does not prove that nothing is left: another classifier may find what this one did not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class _Reverse(torch.autograd.Function):
    """The identity, whose gradient is multiplied by ``-weight``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradients[0], None


def reverse_gradient(x: Tensor, weight: float) -> Tensor:
    """Return ``x`` unchanged; its gradient is multiplied by ``-weight``.

    Example:
        >>> x = torch.tensor(2.0, requires_grad=True)
        >>> reverse_gradient(x, 0.5).square().backward()
        >>> x.grad
        tensor(-2.)
    """
    return _Reverse.apply(x, weight)  # type: ignore[no-any-return, no-untyped-call]


class SpeakerAdversary(nn.Module):
    """Names the training speaker of each clip from a branch's embedding.

    Args:
        dim: width D of the embedding.
        speakers: names of the training speakers, without repetition; at least two.
        weight: factor of the reversed gradient.
    """

    #: Width of the hidden layer.
    HIDDEN = 128

    def __init__(self, dim: int, speakers: Sequence[str], weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.numbers = {name: i for i, name in enumerate(speakers)}
        self.layers = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, self.HIDDEN), nn.ReLU(), nn.Linear(self.HIDDEN, len(self.numbers))
        )

    def forward(self, embedding: Tensor, speakers: Sequence[str], mix: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """The cross-entropy of the speaker of each clip.

        Args:
            embedding: ``[B, D]``.
            speakers: name of the speaker of each of the B clips, all of them training speakers.
            mix: shares ``[B]`` and partner rows ``[B]``, if the embeddings were mixed (``training.mixup``).

        Returns:
            ``[B]``.
        """
        logits = self.layers(reverse_gradient(embedding, self.weight)).float()
        numbers = torch.tensor([self.numbers[name] for name in speakers], device=logits.device)
        own = functional.cross_entropy(logits, numbers, reduction="none")
        if mix is None:
            return own
        share, partner = mix
        return share * own + (1 - share) * functional.cross_entropy(logits, numbers[partner], reduction="none")
