"""Auxiliary heads that learn labels of other sources for the same clips: multi-task learning (Caruana 1997)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from multiemo.training import losses
from multiemo.types import LABEL_SOURCES


class AuxiliaryHeads(nn.Module):
    """One linear head per other label source, on top of a branch's embedding; used only in training.

    Labels assigned from the voice, the face or the whole clip are not ground truth for the words, but they correlate
    with them. An embedding that serves all of them depends less on the noise of a single annotator.

    Args:
        dim: width D of the embedding.
        classes: number of labels C.
    """

    #: Dropout rate on the normalised embedding.
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
    across: losses.Across = losses.single_process,
    mass: Tensor | None = None,
) -> Tensor:
    """Sum over the sources of the mean loss over the rows that each source labels.

    Args:
        logits: ``[B, A, C]``, for A other sources.
        targets: ``[B, A, C]``; zeros where a source gives no label; ``None`` if no source labels any row.
        task: ``single``, ``soft`` or ``multi``.
        across: sums a tensor over all processes.
        mass: ``[A]`` divisor of each source's summed loss; by default its :func:`auxiliary_mass`.

    Returns:
        A scalar; zero (with a gradient) if there is no label.
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
    """The :func:`multiemo.training.losses.label_mass` of each source, over the rows that it labels.

    Args:
        targets: ``[B, A, C]``, as in :func:`auxiliary_loss`.
        rows: ``[B]`` weight of each row.
        task: ``single``, ``soft`` or ``multi``.

    Returns:
        ``[A]``.
    """
    known = (targets.sum(dim=2) > 0) * rows.unsqueeze(1)
    return torch.stack(
        [losses.label_mass(t, k, task=task) for t, k in zip(targets.unbind(1), known.unbind(1), strict=True)]
    )
