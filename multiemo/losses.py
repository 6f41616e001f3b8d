"""Losses over labels (one, several, or votes) and over valence, arousal and dominance."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def label_loss(
    logits: Tensor,
    target: Tensor,
    rows: Tensor,
    *,
    task: str = "single",
    weights: Tensor | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Mean loss over the rows that have a label.

    ``single`` and ``soft``: cross-entropy against the target distribution; ``multi``: binary cross-entropy a label.

    Args:
        logits: ``[B, C]``.
        target: ``[B, C]``, one-hot, votes summing to one, or several ones.
        rows: ``[B]`` bool, rows that count.
        task: ``single``, ``soft`` or ``multi``.
        weights: ``[C]`` weight of each label.
        smoothing: share of the target spread evenly (``multi``: pulled towards a half).

    Returns:
        A scalar; zero (with a gradient) when no row counts.
    """
    if task == "multi":
        smoothed = target * (1 - smoothing) + 0.5 * smoothing
        loss = functional.binary_cross_entropy_with_logits(logits.float(), smoothed, reduction="none", weight=weights)
        per_row = loss.mean(dim=1)
        mass = rows.to(per_row.dtype)
    else:
        smoothed = target * (1 - smoothing) + smoothing / target.shape[1]
        scale = torch.ones_like(smoothed[0]) if weights is None else weights
        per_row = -(smoothed * scale * logits.float().log_softmax(dim=1)).sum(dim=1)
        mass = rows * (target * scale).sum(dim=1)  # so that weights change shares, not the size of the loss
    return (per_row * rows).sum() / mass.sum().clamp_min(1e-8)


def class_weights(frequencies: Tensor, power: float) -> Tensor:
    """``[C]`` weights proportional to frequency to the power of ``-power``, with mean one over clips.

    A label that never occurs gets the weight of the rarest that does.

    Example:
        >>> class_weights(torch.tensor([0.8, 0.2]), 1.0)
        tensor([0.6250, 2.5000])
    """
    seen = frequencies > 0
    floor = frequencies[seen].min() if bool(seen.any()) else frequencies.new_tensor(1.0)
    raw = torch.where(seen, frequencies, floor).pow(-power)
    return raw / (raw * frequencies).sum().clamp_min(1e-8)


def dimension_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """One minus the concordance correlation (Lin 1989), a column, over the known values, plus the squared error.

    The correlation needs spread within the batch; the squared error keeps the loss defined for few values.

    Args:
        predicted, target: ``[B, 3]``; NaN in ``target`` = unknown.
    """
    known = ~target.isnan()
    total = predicted.sum() * 0.0
    columns = 0
    for c in range(target.shape[1]):
        x, y = predicted[known[:, c], c].float(), target[known[:, c], c].float()
        if x.numel() == 0:
            continue
        columns += 1
        total = total + functional.mse_loss(x, y)
        if x.numel() > 2:
            covariance = ((x - x.mean()) * (y - y.mean())).mean()
            spread = x.var(unbiased=False) + y.var(unbiased=False) + (x.mean() - y.mean()).square()
            total = total + 1 - 2 * covariance / spread.clamp_min(1e-6)
    return total / max(columns, 1)
