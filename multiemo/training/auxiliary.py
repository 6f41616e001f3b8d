"""What other sources say of the same clips, learnt beside the label: multi-task learning (Caruana 1997)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from multiemo.training import losses
from multiemo.types import LABEL_SOURCES


class AuxiliaryHeads(nn.Module):
    """One linear head for each other label source over a branch's embedding; only training has them.

    Labels that were given from the voice, the face or the whole clip are no truth about the words, but the same words
    bear on them; an embedding that must serve all of them depends less on the noise of one annotator.

    Args:
        dim: D.
        classes: C.
    """

    #: Share of the normalised embedding that is dropped in training.
    DROPOUT = 0.2

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.sources, self.classes = len(LABEL_SOURCES) - 1, classes
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(self.sources))
        self.drop = nn.Dropout(self.DROPOUT)
        self.heads = nn.ModuleList(nn.Linear(dim, classes) for _ in range(self.sources))

    def forward(self, embedding: Tensor) -> Tensor:
        """``[B, D]`` to logits ``[B, A, C]``."""
        pairs = zip(self.norms, self.heads, strict=True)
        return torch.stack([head(self.drop(norm(embedding))) for norm, head in pairs], dim=1)


def auxiliary_loss(
    logits: Tensor,
    targets: Tensor | None,
    *,
    task: str,
    across: losses.Across = losses.alone,
    mass: Tensor | None = None,
) -> Tensor:
    """Sum over the sources of their mean loss over the rows of which they say something.

    Args:
        logits: ``[B, A, C]``.
        targets: ``[B, A, C]``; rows of zeros where a source says nothing; ``None`` where none says anything.
        task, across: as in :func:`multiemo.training.losses.label_loss`.
        mass: ``[A]``, what the sum of each source is divided by; by default its :func:`auxiliary_mass`.

    Returns:
        A scalar; zero (with a gradient) where nothing is said.
    """
    if targets is None:
        return logits.sum() * 0.0
    known = targets.sum(dim=2) > 0
    options: dict[str, Any] = {"task": task, "across": across}
    masses = [None] * targets.shape[1] if mass is None else list(mass)
    each = [
        losses.label_loss(logits[:, a], targets[:, a], known[:, a], mass=own, **options) for a, own in enumerate(masses)
    ]
    return torch.stack(each).sum()


def auxiliary_mass(targets: Tensor, rows: Tensor, *, task: str) -> Tensor:
    """``[A]``: the :func:`multiemo.training.losses.label_mass` of each source, over the rows of which it says
    something.

    Args:
        targets: as in :func:`auxiliary_loss`.
        rows: ``[B]``, how much each row counts.
        task: likewise.
    """
    known = (targets.sum(dim=2) > 0) * rows.unsqueeze(1)
    return torch.stack(
        [losses.label_mass(t, k, task=task) for t, k in zip(targets.unbind(1), known.unbind(1), strict=True)]
    )
