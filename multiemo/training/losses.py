"""Losses for labels (one, several, or votes) and for valence, arousal and dominance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

#: Sums a tensor over the training processes; with one process it returns the tensor unchanged.
Across = Callable[[Tensor], Tensor]


def single_process(x: Tensor) -> Tensor:
    """The :data:`Across` function of a single process: the identity."""
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
    across: Across = single_process,
    mass: Tensor | None = None,
) -> Tensor:
    """Mean loss over the labelled rows, optionally with :func:`class_weights`.

    ``single`` and ``soft`` use the cross-entropy against the target distribution; ``multi`` uses the binary
    cross-entropy of each label. With ``focal`` each term is weighted by ``(1 - p) ** focal``, where p is the predicted
    probability of the true outcome (Lin et al. 2017).

    Args:
        logits: ``[B, C]``.
        target: ``[B, C]``: one-hot, votes that sum to one, or a one for each of several labels.
        rows: ``[B]`` bool, the labelled rows.
        task: ``single``, ``soft`` or ``multi``.
        weights: result of :func:`class_weights` for the same task.
        smoothing: share of the target spread evenly over the labels (``multi``: pulled towards 0.5).
        focal: exponent of the focal loss; 0 is plain cross-entropy.
        across: sums a tensor over all processes.
        mass: divisor of the summed loss; by default :func:`label_mass` over all processes.

    Returns:
        A scalar; zero (with a gradient) if no row is labelled.
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
    """Sum of the weights in the rows' losses. Dividing by it keeps the loss at the same scale with or without weights.

    Args:
        target: ``[B, C]``, as in :func:`label_loss`.
        rows: ``[B]`` bool, or the weight of each row.
        task: ``single``, ``soft`` or ``multi``.
        weights: result of :func:`class_weights` for the same task.

    Returns:
        A scalar; without weights the number of rows (or the sum of their targets, if a target does not sum to one).
    """
    if task == "multi":
        if weights is None:
            return rows.to(target.dtype).sum()
        return (rows * (target * weights[0] + (1 - target) * weights[1]).mean(dim=1)).sum()
    scale = torch.ones_like(target[0]) if weights is None else weights
    return (rows * (target * scale).sum(dim=1)).sum()


def class_weights(frequencies: Tensor, power: float, *, task: str = "single") -> Tensor:
    """Weights proportional to frequency to the power of ``-power``, with mean one over clips.

    A network trained with these weights learns a different posterior from that of the data. With frequencies f, weights
    w and p the posterior under f, it learns::

        single, soft:  q_c = w_c p_c / sum_k w_k p_k          with the prior  w_c f_c,  proportional to f_c^(1-power)
        multi:         q_c / (1 - q_c) = (w+_c / w-_c) p_c / (1 - p_c)
                       with the prior  w+_c f_c = f_c^(1-power) / (f_c^(1-power) + (1-f_c)^(1-power))

    so q must be divided by its own prior, not by f, to obtain a likelihood. Label smoothing s replaces p by
    ``(1-s) p_c + s/C`` (multi: ``(1-s) p_c + s/2``), and likewise f in the prior. Sampling clips with other frequencies
    f' (``balanced_sampling``) replaces f by f', and p by the posterior under f'; w is unchanged. A focal loss has no
    such formula.

    Args:
        frequencies: ``[C]`` share of the clips that have each label.
        power: 0 for no weights, 1 for balanced labels.
        task: with ``multi``, clips with a label are weighted against those without it, for each label.

    Returns:
        ``[C]``; for ``multi`` ``[2, C]``, w+ of clips with the label above w- of clips without it. A label that never
        occurs gets the weight of the rarest one that does; with ``multi``, a label that always or never occurs is not
        weighted.

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
    """Label frequencies that are the prior of the posteriors a network learns with :func:`label_loss`.

    If the input is uninformative, they minimise the weighted loss (Elkan 2001, "The foundations of cost-sensitive
    learning", theorem 2; Saerens et al. 2002 for the change of prior): with ``single`` and ``soft``
    ``weights * ((1 - smoothing) * frequencies + smoothing / C)``, scaled to sum to one; with ``multi`` the odds
    ``weights[0] / weights[1] * t / (1 - t)`` of each label, where ``t = (1 - smoothing) * frequency + smoothing / 2``.

    Args:
        frequencies: ``[C]`` label frequencies of the clips as sampled in training.
        task: ``single``, ``soft`` or ``multi``.
        weights: result of :func:`class_weights` for the same task; ``None`` = ones.
        smoothing: label smoothing of the loss.

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


def dimension_loss(
    predicted: Tensor, target: Tensor, *, across: Across = single_process, mass: Tensor | None = None
) -> Tensor:
    """One minus the concordance correlation (Lin 1989) plus the mean squared error, per column, over the known values.

    The correlation needs variance within the batch; the squared error keeps the loss defined for few values.

    Args:
        predicted: ``[B, 3]``.
        target: ``[B, 3]``; NaN = unknown, and the prediction is then ignored.
        across: sums a tensor over all processes.
        mass: ``[3]`` number of known values in a whole optimiser step; these rows are then weighted by their share of
            it. The correlation is still computed within these rows.

    Returns:
        A scalar, the mean over the columns with known values; zero (with a gradient) if there are none.
    """
    known = ~target.isnan()
    x, y = (torch.where(known, v, 0.0).float() for v in (predicted, target))
    count = across(known.float().sum(0))
    some = count.clamp_min(1e-8)

    def mean(values: Tensor) -> Tensor:
        return across((values * known).sum(0)) / some

    # Moments about zero, so that each is a plain sum over clips; values lie within -1..1, so precision is sufficient.
    x_mean, y_mean = mean(x), mean(y)
    covariance = mean(x * y) - x_mean * y_mean
    spread = mean(x.square()) + mean(y.square()) - 2 * x_mean * y_mean
    agreement = 1 - 2 * covariance / spread.clamp_min(1e-6)
    column = mean((x - y).square()) + torch.where(count > 2, agreement, 0.0)
    used = ((count if mass is None else mass) > 0).float()
    if mass is not None:
        column = column * count / mass.clamp_min(1e-8)
    return (column * used).sum() / used.sum().clamp_min(1.0)
