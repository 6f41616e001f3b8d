"""Calibration of probabilities by a temperature and a bias per label::

    logits' = logits / T + bias

This is bias-corrected temperature scaling (Alexandari et al. 2020, "Maximum likelihood with bias-corrected calibration
is hard-to-beat at label shift adaptation"; Guo et al. 2017 for the temperature alone). The fit starts from the known
change of prior: a network trained with label weights gives posteriors under other label frequencies than those of train
(``losses.effective_prior``), and the bias corrects for that.

A few people say little about the next one, so the fit is shrunk towards the known change of prior by a fixed amount,
and by less only if people left out of the fit agree (see :func:`fit_scaling`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.types import SMALLEST_PRIOR

#: Bounds of the inverse temperature.
_RANGE = (0.01, 100.0)
#: Weight of the prior on the parameters, in validation people and in clips: ``benchmarks/calibration.py`` compares.
PRIOR_PEOPLE, PRIOR_CLIPS = 10.0, 300.0
#: Weaker priors, as shares of that weight, and the one-sided confidence that people left out must give to choose one.
WEAKER, CONFIDENCE = (0.3, 0.1, 0.03, 0.01, 0.003), 0.975
#: Fewest validation people who can show that the prior is too strong; fewer agree by chance too often.
_FEWEST = 5
_FOLDS = 5


def logits_of(probabilities: Array, task: str = "single") -> Array:
    """Logits of probabilities; for a softmax they are determined only up to a constant per clip.

    Args:
        probabilities: ``[..., C]``.
        task: ``multi`` inverts a sigmoid per label, the other tasks invert a softmax.
    """
    smallest = np.finfo(np.float64).tiny
    if task == "multi":
        p = np.clip(probabilities, smallest, 1 - np.finfo(np.float64).epsneg)
        return np.asarray(np.log(p) - np.log1p(-p))
    return np.asarray(np.log(np.clip(probabilities, smallest, None)))


def softmax_or_sigmoid(logits: Array, task: str = "single") -> Array:
    """Probabilities of logits ``[..., C]``: a sigmoid per label for ``multi``, else a softmax."""
    if task == "multi":
        return np.asarray(np.exp(-np.logaddexp(0, -logits)))
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def temper(probabilities: Array, temperature: float | Array, task: str = "single", bias: Array | None = None) -> Array:
    """Divide the logits of probabilities by a temperature and add a bias; a temperature above 1 flattens them.

    Args:
        probabilities: ``[N, C]``.
        temperature: one for all clips, or ``[N]``.
        task: see :func:`logits_of`.
        bias: ``[C]`` or ``[N, C]``; ``None`` is zero, which preserves the ranking of the labels.

    Returns:
        ``[N, C]``.

    Example:
        >>> temper(np.array([[0.9, 0.1]]), 2.0).round(2)
        array([[0.75, 0.25]])
    """
    scaled = logits_of(probabilities, task) / np.reshape(temperature, (-1, 1))
    return softmax_or_sigmoid(scaled if bias is None else scaled + bias, task)


def fit_temperature(probabilities: Array, target: Array, task: str = "single") -> float:
    """The maximum a posteriori temperature on labelled clips (Guo et al. 2017).

    ``1 / T = argmin_b  sum_i nll(b * logits_i, target_i) + b - 1 - ln b``, convex in ``b``. The terms after the sum are
    a Gamma prior on ``b`` with its mode at 1. It has about the weight of one clip, so that a few correct validation
    clips do not make the model overconfident. Without clips the result is 1.

    Args:
        probabilities: ``[N, C]``, not calibrated.
        target: ``[N, C]``: one-hot, votes that sum to one, or several ones.
        task: ``single`` and ``soft`` use the cross-entropy, ``multi`` a binary cross-entropy per label.

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
    """The bias that converts posteriors under the label frequencies ``learnt`` to those under ``prior``.

    The temperature scales only the evidence: ``logits' = (logits - log learnt) / T + log prior``. So an uninformative
    model predicts the frequencies of train at any temperature (Saerens et al. 2002 with T = 1).

    Args:
        learnt: ``[C]`` label frequencies under which the probabilities are posteriors.
        prior: ``[C]`` label frequencies of train; a label that never occurs in train keeps a probability near 0.
        temperature: T.
        task: see :func:`logits_of`.

    Returns:
        ``[C]``.
    """
    before, after = (_prior_logits(values, task) for values in (learnt, prior))
    return np.asarray(np.where(prior > SMALLEST_PRIOR, after - before / temperature, after))


def _prior_logits(prior: Array, task: str) -> Array:
    """Logits of label frequencies, bounded away from 0 and 1."""
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
    """Fit temperature and biases on validation clips by maximum a posteriori.

    ``argmin_(b, v)  sum_i nll(b * (logits_i - log learnt) + log prior + v, target_i) + s * (b - 1 - ln b +
    sum_c prior_c (1 - prior_c) v_c^2 / 2)``, convex; ``T = 1 / b``. The terms after the sum are a prior with the weight
    of ``s`` clips: a Gamma distribution of ``b`` with its mode at 1, and a normal distribution of ``v`` around 0.

    The parameters that suit one person differ from those of the next, so the prior is weighed in people:
    ``s = 10 m + 300``, where ``m`` is the mean number of clips of a person, in which people count by their clips. A
    weaker prior is used only if at least five people are known and it predicts people left out of the fit better, by a
    one-sided t-test over people at 97.5%. Without clips the result is ``T = 1`` and only the change of prior.

    Args:
        probabilities: ``[N, C]``, not calibrated.
        target: ``[N, C]``: one-hot, votes that sum to one, or several ones.
        task: ``single`` and ``soft`` use the cross-entropy, ``multi`` a binary cross-entropy per label.
        learnt: ``[C]`` label frequencies under which the probabilities are posteriors; ``None`` = ``prior``.
        prior: ``[C]`` label frequencies of train; ``None`` = uniform.
        groups: ``[N]`` person of each clip; ``None`` treats every clip as another person.

    Returns:
        T, within 0.01 .. 100, and the bias ``[C]``.
    """
    classes = probabilities.shape[1]
    prior = np.full(classes, 0.5 if task == "multi" else 1 / classes) if prior is None else prior
    learnt = prior if learnt is None else learnt
    evidence = np.where(prior > SMALLEST_PRIOR, logits_of(probabilities, task) - _prior_logits(learnt, task), 0.0)
    people = np.arange(len(target)) if groups is None else np.unique(np.asarray(groups, str), return_inverse=True)[1]
    b, v = _fit(evidence, target, task, prior, _strength(people) * _relaxation(evidence, target, task, prior, people))
    return 1 / b, change_of_prior(learnt, prior, 1 / b, task) + v


def _strength(people: NDArray[np.int64]) -> float:
    """Weight of the prior in clips, for clips of these people ``[N]``."""
    count = np.bincount(people) if len(people) else np.ones(1)
    return PRIOR_PEOPLE * float((count**2).sum() / count.sum()) + PRIOR_CLIPS


def _relaxation(evidence: Array, target: Array, task: str, prior: Array, people: NDArray[np.int64]) -> float:
    """Share of the weight of the prior that people left out of the fit support; 1 unless they clearly support less."""
    count = np.bincount(people) if len(people) else np.zeros(0)
    if len(count) < _FEWEST:
        return 1.0
    from scipy import stats  # type: ignore[import-untyped]

    folds, shares = _folds(people), (1.0, *WEAKER)
    losses = np.array([_held_out_losses(evidence, target, task, prior, people, folds, share) for share in shares])
    best = int(losses.sum(axis=1).argmin())
    gain = np.bincount(people, weights=losses[0] - losses[best])
    deviation = gain - count * gain.sum() / count.sum()
    error = math.sqrt(len(count) / (len(count) - 1) * float((deviation**2).sum()))
    return shares[best] if gain.sum() > stats.t.ppf(CONFIDENCE, len(count) - 1) * error else 1.0


def _folds(people: NDArray[np.int64]) -> NDArray[np.int64]:
    """``[N]`` fold of each clip, with all clips of a person in one fold.

    People are assigned in order of their number of clips, the largest first, each to the fold with the fewest clips.
    """
    count = np.bincount(people)
    sizes, place = np.zeros(min(_FOLDS, len(count))), np.zeros(len(count), dtype=np.int64)
    for person in np.argsort(-count, kind="stable"):
        place[person] = sizes.argmin()
        sizes[place[person]] += count[person]
    return place[people]


def _held_out_losses(
    evidence: Array,
    target: Array,
    task: str,
    prior: Array,
    people: NDArray[np.int64],
    folds: NDArray[np.int64],
    share: float,
) -> Array:
    """``[N]`` loss of each clip under the fit on the other folds, with a share of the weight of the prior."""
    found = np.zeros(len(target))
    for fold in range(int(folds.max()) + 1):
        inside = folds == fold
        others = np.unique(people[~inside], return_inverse=True)[1]
        b, v = _fit(evidence[~inside], target[~inside], task, prior, share * _strength(others))
        found[inside] = _losses(b * evidence[inside] + _prior_logits(prior, task) + v, target[inside], task)[0]
    return found


def _losses(logits: Array, target: Array, task: str) -> tuple[Array, Array]:
    """``[N]`` negative log-likelihood of each clip, and its gradient ``[N, C]`` with respect to the logits."""
    p = softmax_or_sigmoid(logits, task)
    if task == "multi":
        return np.asarray((np.logaddexp(0, logits) - target * logits).sum(axis=1)), p - target
    top = logits.max(axis=1, initial=0.0)
    normal = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top
    mass = target.sum(axis=1)
    return np.asarray(mass * normal - (target * logits).sum(axis=1)), mass[:, None] * p - target


def _fit(evidence: Array, target: Array, task: str, prior: Array, strength: float) -> tuple[float, Array]:
    """Inverse temperature b and bias offsets v ``[C]`` for one strength of the prior."""
    from scipy import optimize  # type: ignore[import-untyped]

    start, stiff = _prior_logits(prior, task), strength * np.clip(prior * (1 - prior), SMALLEST_PRIOR, None)

    def objective(x: Array) -> tuple[float, Array]:
        b, v = math.exp(x[0]), x[1:]
        losses, slope = _losses(b * evidence + start + v, target, task)
        value = float(losses.sum())
        value += strength * (b - 1 - x[0]) + float((stiff * v * v).sum()) / 2
        by_b = b * float((slope * evidence).sum()) + strength * (b - 1)
        return value, np.concatenate([[by_b], slope.sum(axis=0) + stiff * v])

    bounds = [tuple(np.log(_RANGE)), *[(None, None)] * len(prior)]
    found = optimize.minimize(objective, np.zeros(1 + len(prior)), jac=True, method="L-BFGS-B", bounds=bounds,
                              options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-7})  # fmt: skip
    return math.exp(float(found.x[0])), np.asarray(found.x[1:])
