"""Probabilities that mean what they say: a temperature and a bias for each label.

    logits' = logits / T + bias

(bias-corrected temperature scaling, Alexandari et al. 2020, "Maximum likelihood with bias-corrected calibration is
hard-to-beat at label shift adaptation"; Guo et al. 2017 for the temperature alone). It starts from what is known: a
network whose training weighed labels gives posteriors under other label frequencies than those of train
(``losses.effective_prior``), and the bias carries them back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.types import SMALLEST_PRIOR

#: Smallest and largest inverse temperature that is looked at.
_RANGE = (0.01, 100.0)
#: In how many clips' worth the fit may trust what it started from; cross-validation over people chooses.
STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
_FOLDS = 5


def logits_of(probabilities: Array, task: str = "single") -> Array:
    """Logits whose probabilities these are, up to what a softmax does not see.

    Args:
        probabilities: ``[..., C]``.
        task: ``multi`` inverts a sigmoid a label, the others a softmax.
    """
    smallest = np.finfo(np.float64).tiny
    if task == "multi":
        p = np.clip(probabilities, smallest, 1 - np.finfo(np.float64).epsneg)
        return np.asarray(np.log(p) - np.log1p(-p))
    return np.asarray(np.log(np.clip(probabilities, smallest, None)))


def softmax_or_sigmoid(logits: Array, task: str = "single") -> Array:
    """Probabilities of logits ``[..., C]``: a sigmoid a label for ``multi``, else a softmax."""
    if task == "multi":
        return np.asarray(np.exp(-np.logaddexp(0, -logits)))
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def temper(probabilities: Array, temperature: float | Array, task: str = "single", bias: Array | None = None) -> Array:
    """Probabilities of the same logits divided by a temperature, which flattens above one, plus a bias.

    Args:
        probabilities: ``[N, C]``.
        temperature: one for all, or ``[N]``.
        task: see :func:`logits_of`.
        bias: ``[C]`` or ``[N, C]``; ``None`` is zero, and the order of the labels of a clip stays.

    Returns:
        ``[N, C]``.

    Example:
        >>> temper(np.array([[0.9, 0.1]]), 2.0).round(2)
        array([[0.75, 0.25]])
    """
    scaled = logits_of(probabilities, task) / np.reshape(temperature, (-1, 1))
    return softmax_or_sigmoid(scaled if bias is None else scaled + bias, task)


def fit_temperature(probabilities: Array, target: Array, task: str = "single") -> float:
    """The temperature under which the labels are most likely (Guo et al. 2017).

    ``1 / T = argmin_b  sum_i nll(b * logits_i, target_i) + b - 1 - ln b``, convex in ``b``. What follows the sum is a
    Gamma prior on ``b`` with its mode at one: it weighs about as much as one clip, so that a handful of validation
    clips that are all right does not make the model sure of everything. No clips at all give one.

    Args:
        probabilities: ``[N, C]``, not calibrated.
        target: ``[N, C]``: one-hot, votes that sum to one, or several ones.
        task: ``single`` and ``soft`` use the cross-entropy, ``multi`` a binary one a label.

    Returns:
        T, within 0.01 .. 100.
    """
    from scipy import optimize, special  # type: ignore[import-untyped]

    logits = logits_of(probabilities, task)

    def loss(log_b: float) -> float:
        b = math.exp(log_b)
        if task == "multi":
            likelihood = np.logaddexp(0, b * logits) - target * b * logits
        else:
            likelihood = special.logsumexp(b * logits, axis=1) - b * (target * logits).sum(axis=1)
        return float(likelihood.sum()) + b - 1 - log_b

    found = optimize.minimize_scalar(loss, bounds=np.log(_RANGE), method="bounded", options={"xatol": 1e-8})
    return math.exp(-float(found.x))


def change_of_prior(learnt: Array, prior: Array, temperature: float, task: str = "single") -> Array:
    """The bias ``[C]`` that carries posteriors under ``learnt`` label frequencies to ``prior`` ones.

    The temperature acts on the evidence alone: ``logits' = (logits - log learnt) / T + log prior``, so that a model
    which knows nothing says the frequencies of train, whatever its temperature (Saerens et al. 2002 with T = 1).

    Args:
        learnt, prior: ``[C]``; what train never held stays where it is, near zero.
        temperature: T.
        task: see :func:`logits_of`.
    """
    before, after = (_bounded(values, task) for values in (learnt, prior))
    return np.asarray(np.where(prior > SMALLEST_PRIOR, after - before / temperature, after))


def _bounded(prior: Array, task: str) -> Array:
    return logits_of(np.clip(prior, SMALLEST_PRIOR, 1 - SMALLEST_PRIOR), task)


def fit_scaling(
    probabilities: Array,
    target: Array,
    task: str = "single",
    *,
    learnt: Array | None = None,
    prior: Array | None = None,
    groups: Sequence[Any] | NDArray[Any] | None = None,
) -> tuple[float, Array]:
    """The temperature and biases under which the labels of validation clips are most likely.

    ``argmin_(b, v)  sum_i nll(b * (logits_i - log learnt) + log prior + v, target_i) + s * (b - 1 - ln b +
    sum_c prior_c (1 - prior_c) v_c^2 / 2)``, convex; ``T = 1 / b``. What follows the sum is a prior of the strength of
    ``s`` clips: a Gamma distribution of ``b`` with its mode at one, and a normal one of ``v`` around zero. How strong
    it must be for other people is seen by leaving people out: ``s`` is the one of :data:`STRENGTHS` under which those
    left out are most likely. No clips at all give ``T = 1`` and the change of prior alone.

    Args:
        probabilities: ``[N, C]``, not calibrated.
        target: ``[N, C]``: one-hot, votes that sum to one, or several ones.
        task: ``single`` and ``soft`` use the cross-entropy, ``multi`` a binary one a label.
        learnt: ``[C]`` label frequencies under which the probabilities are posteriors; ``None`` = ``prior``.
        prior: ``[C]`` label frequencies of train; ``None`` = even ones.
        groups: ``[N]``, whose clip each is; ``None``: each somebody else's.

    Returns:
        T, within 0.01 .. 100, and the bias ``[C]``.
    """
    classes = probabilities.shape[1]
    prior = np.full(classes, 0.5 if task == "multi" else 1 / classes) if prior is None else prior
    learnt = prior if learnt is None else learnt
    evidence = np.where(prior > SMALLEST_PRIOR, logits_of(probabilities, task) - _bounded(learnt, task), 0.0)
    folds = _folds(len(target) if groups is None else groups)
    strength = STRENGTHS[0]
    if folds.max(initial=0) > 0:
        strength = min(STRENGTHS, key=lambda s: _left_out(evidence, target, task, prior, folds, s))
    b, v = _fit(evidence, target, task, prior, strength)
    return 1 / b, change_of_prior(learnt, prior, 1 / b, task) + v


def _folds(groups: Sequence[Any] | NDArray[Any] | int) -> NDArray[np.int64]:
    """``[N]`` fold of each clip, the clips of one person in one; the largest go first, each to the emptiest fold."""
    if isinstance(groups, int):
        return np.arange(groups) % _FOLDS
    names, owner, count = np.unique(np.asarray(groups, dtype=str), return_inverse=True, return_counts=True)
    sizes, place = np.zeros(min(_FOLDS, max(len(names), 1))), np.zeros(len(names), dtype=np.int64)
    for g in np.argsort(-count, kind="stable"):
        place[g] = sizes.argmin()
        sizes[place[g]] += count[g]
    return place[owner]


def _left_out(
    evidence: Array, target: Array, task: str, prior: Array, folds: NDArray[np.int64], strength: float
) -> float:
    """Summed loss of each fold's clips under the fit of the others."""
    total = 0.0
    for fold in range(int(folds.max()) + 1):
        inside = folds == fold
        b, v = _fit(evidence[~inside], target[~inside], task, prior, strength)
        total += _loss(b * evidence[inside] + _bounded(prior, task) + v, target[inside], task)[0]
    return total


def _loss(logits: Array, target: Array, task: str) -> tuple[float, Array]:
    """Summed negative log-likelihood, and its gradient by the logits ``[N, C]``."""
    p = softmax_or_sigmoid(logits, task)
    if task == "multi":
        return float((np.logaddexp(0, logits) - target * logits).sum()), p - target
    top = logits.max(axis=1, initial=0.0)
    normal = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top
    mass = target.sum(axis=1)
    return float((mass * normal - (target * logits).sum(axis=1)).sum()), mass[:, None] * p - target


def _fit(evidence: Array, target: Array, task: str, prior: Array, strength: float) -> tuple[float, Array]:
    from scipy import optimize  # type: ignore[import-untyped]

    start, stiff = _bounded(prior, task), strength * np.clip(prior * (1 - prior), SMALLEST_PRIOR, None)

    def objective(x: Array) -> tuple[float, Array]:
        b, v = math.exp(x[0]), x[1:]
        value, slope = _loss(b * evidence + start + v, target, task)
        value += strength * (b - 1 - x[0]) + float((stiff * v * v).sum()) / 2
        by_b = b * float((slope * evidence).sum()) + strength * (b - 1)
        return value, np.concatenate([[by_b], slope.sum(axis=0) + stiff * v])

    bounds = [tuple(np.log(_RANGE)), *[(None, None)] * len(prior)]
    found = optimize.minimize(objective, np.zeros(1 + len(prior)), jac=True, method="L-BFGS-B", bounds=bounds,
                              options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-7})  # fmt: skip
    return math.exp(float(found.x[0])), np.asarray(found.x[1:])
