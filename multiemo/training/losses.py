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
    mass: Tensor | None = None,
) -> Tensor:
    """Mean loss over the rows that have a label, weighted by :func:`class_weights` where there are any.

    ``single`` and ``soft``: cross-entropy against the target distribution; ``multi``: binary cross-entropy a label.
    With ``focal`` each term is weighted by ``(1 - p) ** focal``, p the probability given to what is true (Lin et al.
    2017).

    Args:
        logits: ``[B, C]``.
        target: ``[B, C]``, one-hot, votes summing to one, or several ones.
        rows: ``[B]`` bool, rows that count.
        task: ``single``, ``soft`` or ``multi``.
        weights: of :func:`class_weights`, for the same task.
        smoothing: share of the target spread evenly (``multi``: pulled towards a half).
        focal: how much less what is already right counts; 0 is plain cross-entropy.
        across: makes the mean one over all processes.
        mass: what the sum of the rows' losses is divided by; by default :func:`label_mass` over all processes.

    Returns:
        A scalar; zero (with a gradient) when no row counts.
    """
    if task == "multi":
        smoothed = target * (1 - smoothing) + 0.5 * smoothing
        loss = functional.binary_cross_entropy_with_logits(
            logits.float(),
            smoothed,
            reduction="none",
            weight=None if weights is None else weights[1],
            pos_weight=None if weights is None else weights[0] / weights[1],
        )
        if focal > 0:
            right = logits.float().sigmoid()
            loss = loss * (target * (1 - right) + (1 - target) * right).pow(focal)
        per_row = loss.mean(dim=1)
    else:
        smoothed = target * (1 - smoothing) + smoothing / target.shape[1]
        scale = torch.ones_like(smoothed[0]) if weights is None else weights
        log_probabilities = logits.float().log_softmax(dim=1)
        terms = smoothed * scale * log_probabilities
        if focal > 0:
            terms = terms * (-torch.expm1(log_probabilities)).clamp_min(1e-8).pow(focal)
        per_row = -terms.sum(dim=1)
    if mass is None:
        mass = across(label_mass(target, rows, task=task, weights=weights))
    return across((per_row * rows).sum()) / mass.clamp_min(1e-8)


def label_mass(target: Tensor, rows: Tensor, *, task: str = "single", weights: Tensor | None = None) -> Tensor:
    """Sum of the weights that the rows' losses have, so that weights change shares and not the size of the loss.

    Args:
        target, task, weights: as in :func:`label_loss`.
        rows: ``[B]`` bool, or how much each row counts.

    Returns:
        A scalar; without weights the number of rows (of shares of a target, where they do not sum to one).
    """
    if task == "multi":
        if weights is None:
            return rows.to(target.dtype).sum()
        return (rows * (target * weights[0] + (1 - target) * weights[1]).mean(dim=1)).sum()
    scale = torch.ones_like(target[0]) if weights is None else weights
    return (rows * (target * scale).sum(dim=1)).sum()


def class_weights(frequencies: Tensor, power: float, *, task: str = "single") -> Tensor:
    """Weights proportional to frequency to the power of ``-power``, with mean one over clips.

    What a network learns under them is another posterior than that of the data. With f the frequencies, w the weights
    and p the posterior under f, it learns::

        single, soft:  q_c = w_c p_c / sum_k w_k p_k          with the prior  w_c f_c,  proportional to f_c^(1-power)
        multi:         q_c / (1 - q_c) = (w+_c / w-_c) p_c / (1 - p_c)
                       with the prior  w+_c f_c = f_c^(1-power) / (f_c^(1-power) + (1-f_c)^(1-power))

    so dividing by the prior of q, not by f, is what makes it a likelihood. Label smoothing s puts ``(1-s) p_c + s/C``
    (multi: ``(1-s) p_c + s/2``) in place of p, and of f in the prior. Drawing clips by other frequencies f'
    (``balanced_sampling``) puts f', and p under f', in place of f and p; w stays. A focal loss has no such formula.

    Args:
        frequencies: ``[C]`` share of the clips that have each label.
        power: 0 none, 1 balanced.
        task: ``multi`` weighs, label by label, the clips that have it against those that do not.

    Returns:
        ``[C]``; for ``multi`` ``[2, C]``, w+ of clips with the label over w- of clips without it. A label that never
        occurs gets the weight of the rarest that does; in ``multi`` one that always or never occurs is not weighted.

    Example:
        >>> class_weights(torch.tensor([0.8, 0.2]), 1.0)
        tensor([0.6250, 2.5000])
        >>> class_weights(torch.tensor([0.8, 0.2]), 1.0, task="multi")
        tensor([[0.6250, 2.5000],
                [2.5000, 0.6250]])
    """
    if task == "multi":
        return torch.stack([class_weights(torch.stack([f, 1 - f]), power) for f in frequencies], dim=1)
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
    ``weights[0] / weights[1] * t / (1 - t)`` of each label, where ``t = (1 - smoothing) * frequency + smoothing / 2``.

    Args:
        frequencies: ``[C]`` of the clips as they are drawn in training.
        task: ``single``, ``soft`` or ``multi``.
        weights: of :func:`class_weights`, for the same task; ``None`` = ones.
        smoothing: as the loss takes it.

    Returns:
        ``[C]``.

    Example:
        >>> effective_prior(torch.tensor([0.8, 0.2]), weights=class_weights(torch.tensor([0.8, 0.2]), 1.0))
        tensor([0.5000, 0.5000])
    """
    if task == "multi":
        ratio = torch.ones_like(frequencies) if weights is None else weights[0] / weights[1]
        seen = (1 - smoothing) * frequencies + smoothing / 2
        return ratio * seen / (ratio * seen + 1 - seen)
    scale = torch.ones_like(frequencies) if weights is None else weights
    mass = scale * ((1 - smoothing) * frequencies + smoothing / len(frequencies))
    return mass / mass.sum().clamp_min(1e-8)


def dimension_loss(predicted: Tensor, target: Tensor, *, across: Across = alone, mass: Tensor | None = None) -> Tensor:
    """One minus the concordance correlation (Lin 1989), a column, over the known values, plus the squared error.

    The correlation needs spread within the batch; the squared error keeps the loss defined for few values.

    Args:
        predicted, target: ``[B, 3]``; NaN in ``target`` = unknown, and what is predicted there is not looked at.
        across: makes the sums ones over all processes.
        mass: ``[3]`` known values that a whole step has; these rows then weigh what they have of them. The correlation
            is still that within these rows.

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
    used = ((count if mass is None else mass) > 0).float()
    if mass is not None:
        column = column * count / mass.clamp_min(1e-8)
    return (column * used).sum() / used.sum().clamp_min(1.0)
