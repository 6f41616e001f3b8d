"""Losses over labels (one, several, or votes) and over valence, arousal and dominance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

#: Sums a tensor over the processes of a training; with one process it is the tensor itself.
Across = Callable[[Tensor], Tensor]


def alone(x: Tensor) -> Tensor:
    """:data:`Across` of a single process."""
    return x


def label_loss(
    logits: Tensor,
    target: Tensor,
    rows: Tensor,
    *,
    task: str = "single",
    weights: Tensor | None = None,
    smoothing: float = 0.0,
    focal: float = 0.0,
    across: Across = alone,
) -> Tensor:
    """Mean loss over the rows that have a label.

    ``single`` and ``soft``: cross-entropy against the target distribution; ``multi``: binary cross-entropy a label.
    With ``focal`` each term is weighted by ``(1 - p) ** focal``, p the probability given to what is true (Lin et al.
    2017).

    Args:
        logits: ``[B, C]``.
        target: ``[B, C]``, one-hot, votes summing to one, or several ones.
        rows: ``[B]`` bool, rows that count.
        task: ``single``, ``soft`` or ``multi``.
        weights: ``[C]`` weight of each label.
        smoothing: share of the target spread evenly (``multi``: pulled towards a half).
        focal: how much less what is already right counts; 0 is plain cross-entropy.
        across: makes the mean one over all processes.

    Returns:
        A scalar; zero (with a gradient) when no row counts.
    """
    if task == "multi":
        smoothed = target * (1 - smoothing) + 0.5 * smoothing
        loss = functional.binary_cross_entropy_with_logits(logits.float(), smoothed, reduction="none", weight=weights)
        if focal > 0:
            right = logits.float().sigmoid()
            loss = loss * (target * (1 - right) + (1 - target) * right).pow(focal)
        per_row = loss.mean(dim=1)
        mass = rows.to(per_row.dtype)
    else:
        smoothed = target * (1 - smoothing) + smoothing / target.shape[1]
        scale = torch.ones_like(smoothed[0]) if weights is None else weights
        log_probabilities = logits.float().log_softmax(dim=1)
        terms = smoothed * scale * log_probabilities
        if focal > 0:
            terms = terms * (-torch.expm1(log_probabilities)).clamp_min(1e-8).pow(focal)
        per_row = -terms.sum(dim=1)
        mass = rows * (target * scale).sum(dim=1)  # so that weights change shares, not the size of the loss
    return across((per_row * rows).sum()) / across(mass.sum()).clamp_min(1e-8)


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


def effective_prior(
    frequencies: Tensor, *, task: str = "single", weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Label frequencies under which a network that learnt with :func:`label_loss` gives posteriors.

    Where the input tells nothing, the weighted loss is least at these (Elkan 2001, "The foundations of cost-sensitive
    learning", theorem 2; Saerens et al. 2002 for the change of prior): with ``single`` and ``soft``
    ``weights * ((1 - smoothing) * frequencies + smoothing / C)``, scaled to sum to one; with ``multi`` the odds
    ``weights * t / (1 - t)`` of each label, where ``t = (1 - smoothing) * frequency + smoothing / 2``.

    Args:
        frequencies: ``[C]`` of the clips as they are drawn in training.
        task: ``single``, ``soft`` or ``multi``.
        weights: ``[C]`` as the loss takes them; ``None`` = ones.
        smoothing: as the loss takes it.

    Returns:
        ``[C]``.

    Example:
        >>> effective_prior(torch.tensor([0.8, 0.2]), weights=class_weights(torch.tensor([0.8, 0.2]), 1.0))
        tensor([0.5000, 0.5000])
    """
    scale = torch.ones_like(frequencies) if weights is None else weights
    if task == "multi":
        seen = (1 - smoothing) * frequencies + smoothing / 2
        return scale * seen / (scale * seen + 1 - seen)
    mass = scale * ((1 - smoothing) * frequencies + smoothing / len(frequencies))
    return mass / mass.sum().clamp_min(1e-8)


def dimension_loss(predicted: Tensor, target: Tensor, *, across: Across = alone) -> Tensor:
    """One minus the concordance correlation (Lin 1989), a column, over the known values, plus the squared error.

    The correlation needs spread within the batch; the squared error keeps the loss defined for few values.

    Args:
        predicted, target: ``[B, 3]``; NaN in ``target`` = unknown, and what is predicted there is not looked at.
        across: makes the sums ones over all processes.

    Returns:
        A scalar, the mean over the columns of which something is known; zero (with a gradient) when there are none.
    """
    known = ~target.isnan()
    x, y = (torch.where(known, v, 0.0).float() for v in (predicted, target))
    count = across(known.float().sum(0))
    some = count.clamp_min(1e-8)

    def mean(values: Tensor) -> Tensor:
        return across((values * known).sum(0)) / some

    # Moments about zero, so that every sum is over clips alone; the values lie within -1..1, so nothing is lost.
    x_mean, y_mean = mean(x), mean(y)
    covariance = mean(x * y) - x_mean * y_mean
    spread = mean(x.square()) + mean(y.square()) - 2 * x_mean * y_mean
    agreement = 1 - 2 * covariance / spread.clamp_min(1e-6)
    column = mean((x - y).square()) + torch.where(count > 2, agreement, 0.0)
    used = (count > 0).float()
    return (column * used).sum() / used.sum().clamp_min(1.0)
