"""Confidence: its reliability, and the trade-off between error rate and coverage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.records import Record, record


@record
class ReliabilityBins(Record):
    """A reliability diagram: the non-empty bins of confidence.

    Args:
        confidence: mean confidence of each bin, 0..1.
        accuracy: share of correct predictions in each bin, 0..1.
        n: number of clips in each bin.
    """

    confidence: list[float]
    accuracy: list[float]
    n: list[int]


@record
class RiskCurve(Record):
    """A risk-coverage curve, from only the most confident clips to all of them.

    Args:
        coverage: shares of the clips that get a label.
        risk: error rates among these clips.
    """

    coverage: list[float]
    risk: list[float]


#: Probability that a threshold keeps the allowed error rate on new clips like those of validation.
ASSURANCE = 0.9
#: Assumed correlation of the correctness of two clips of one person.
_INTRACLASS = 0.1


def top_label(
    probabilities: Array, target: Array, task: str = "single", decided: NDArray[Any] | None = None
) -> tuple[Array, NDArray[np.bool_]]:
    """Confidence of the decided label of each clip, and whether it is right.

    Args:
        probabilities: ``[N, C]``.
        target: ``[N, C]``.
        task: ``single``, ``soft`` or ``multi``. For ``multi`` the label is always the most probable one, and it is
            right if the clip has it.
        decided: ``[N]`` indices of the decided labels; by default the most probable ones.

    Returns:
        ``[N]`` confidence, and ``[N]`` whether the label is right.
    """
    if decided is None or task == "multi":
        decided = probabilities.argmax(axis=1)
    rows = np.arange(len(decided))
    right = target[rows, decided] > 0.5 if task == "multi" else decided == target.argmax(axis=1)
    return probabilities[rows, decided], right


def events(
    probabilities: Array, target: Array, task: str = "single", decided: NDArray[Any] | None = None
) -> tuple[Array, NDArray[np.bool_]]:
    """Predicted probabilities, and whether the predicted events occurred.

    The events are that the decided label is right (see :func:`top_label`), or, for ``multi``, that a clip has a label,
    for every label of every clip.

    Args:
        probabilities: ``[N, C]``.
        target: ``[N, C]``.
        task: ``single``, ``soft`` or ``multi``.
        decided: ``[N]`` indices of the decided labels; by default the most probable ones.

    Returns:
        Probabilities and outcomes, ``[N]`` each, or ``[N * C]`` for ``multi``.
    """
    if task == "multi":
        return probabilities.ravel(), target.ravel() > 0.5
    return top_label(probabilities, target, decided=decided)


def reliability(confidence: Array, outcome: NDArray[Any], bins: int = 15) -> ReliabilityBins:
    """Mean confidence, accuracy and number of clips of each non-empty equal-width bin (DeGroot & Fienberg 1983).

    Args:
        confidence: ``[N]`` within 0..1.
        outcome: ``[N]``, 1 where the predicted event occurred.
        bins: number of bins; the default is that of the expected calibration error, so that the diagram matches it.

    Example:
        >>> reliability(np.array([0.81, 0.83, 0.31]), np.array([1, 0, 1]))
        ReliabilityBins(confidence=[0.31, 0.82], accuracy=[1.0, 0.5], n=[1, 2])
    """
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    some = count > 0
    means = [np.bincount(place, weights=w, minlength=bins)[some] / count[some] for w in (confidence, outcome)]
    first, second = ([round(float(v), 4) for v in mean] for mean in means)
    return ReliabilityBins(confidence=first, accuracy=second, n=count[some].tolist())


def risk_coverage(confidence: Array, correct: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Error rate among the answered clips for every possible coverage (Geifman & El-Yaniv 2017).

    Args:
        confidence: ``[N]``; clips with equal confidence are answered together.
        correct: ``[N]``, whether the label is right.

    Returns:
        coverage, risk: ``[K]`` each, from only the most confident clips to all of them.

    Example:
        >>> risk_coverage(np.array([0.9, 0.5, 0.7, 0.5]), np.array([True, False, True, True]))
        (array([0.25, 0.5 , 1.  ]), array([0.  , 0.  , 0.25]))
    """
    order = np.argsort(-confidence, kind="stable")
    last = np.flatnonzero(np.diff(confidence[order], append=-np.inf))
    wrong = np.cumsum(~correct[order])[last]
    return (last + 1) / len(confidence), wrong / (last + 1)


def aurc(coverage: Array, risk: Array) -> float:
    """Area under the risk-coverage curve: the mean risk over the confidences as thresholds (Geifman et al. 2019).

    Args:
        coverage: ``[K]``, as :func:`risk_coverage` returns it.
        risk: ``[K]``, likewise.
    """
    return float(np.diff(coverage, prepend=0.0) @ risk)


def thinned(coverage: Array, risk: Array, points: int = 50) -> RiskCurve:
    """Subsample a risk-coverage curve for storage; the last point, full coverage, is kept.

    Args:
        coverage: ``[K]``, as :func:`risk_coverage` returns it.
        risk: ``[K]``, likewise.
        points: maximum number of points.
    """
    keep = np.unique(np.linspace(0, len(coverage) - 1, min(points, len(coverage))).round().astype(int))
    first, second = ([round(float(v), 4) for v in curve[keep]] for curve in (coverage, risk))
    return RiskCurve(coverage=first, risk=second)


def _design_effect(people: NDArray[Any]) -> float:
    """How many clips of these people ``[N]`` count as one independent clip (Kish 1965, with unequal clusters)."""
    count = np.unique(people, return_counts=True)[1]
    return 1 + (float((count**2).sum() / count.sum()) - 1) * _INTRACLASS


def error_bound(errors: float, n: float, delta: float) -> float:
    """Upper bound on the error rate, given ``errors`` among ``n`` independent clips; it holds with ``1 - delta``.

    Clopper & Pearson 1934, one-sided; the same as lemma 3.1 of Geifman & El-Yaniv 2017.

    Args:
        errors: number of wrong clips; a fraction, if clips of one person are correlated.
        n: number of clips, likewise.
        delta: probability that the bound fails, 0..1.

    Example:
        >>> round(error_bound(0, 28, 0.05), 3)
        0.101
    """
    from scipy import stats

    return 1.0 if errors >= n else float(stats.beta.ppf(1 - delta, errors + 1, n - errors))


def abstention_threshold(
    confidence: Array,
    correct: NDArray[np.bool_],
    error: float,
    *,
    assurance: float = ASSURANCE,
    people: Sequence[Any] | NDArray[Any] | None = None,
) -> float | None:
    """The lowest confidence threshold at which the answered clips keep an allowed error rate with high probability.

    Selection with guaranteed risk (Geifman & El-Yaniv 2017, algorithm 1): a binary search over the confidences, in
    which each step gets its share of the allowed failure probability. It compares an upper bound with ``error``,
    because new clips would exceed the plain empirical error about half of the time. The bound reduces coverage, and
    with few clips no threshold may pass: even without an error, about ``ln(steps / (1 - assurance)) / error`` clips are
    needed.

    The guarantee holds for new clips drawn independently from the same distribution. Clips of a person are correlated.
    With ``people``, clips and errors are divided by the design effect ``1 + (m - 1) r`` of clusters of ``m`` clips
    (Kish 1965), with an intraclass correlation ``r`` of 0.1, because a few people do not suffice to estimate it. Then
    the error rate of other people exceeds the allowed one rarely, but that is measured
    (``benchmarks/calibration.py``), not proven: without assumptions, G people bound nothing about the next person
    beyond a probability of ``G / (G + 1)``.

    Args:
        confidence: ``[N]`` confidence of validation clips.
        correct: ``[N]``, whether their labels are right.
        error: allowed error rate among the answered clips, 0..1.
        assurance: probability with which the allowed rate holds, 0..1.
        people: ``[N]`` person of each clip; ``None`` treats every clip as another person's.

    Returns:
        The threshold: a clip is answered if its confidence is at least this. ``None`` if no threshold keeps the rate.
    """
    values = np.unique(confidence)
    steps = len(values).bit_length()
    low, high, found = 0, len(values) - 1, None
    while low <= high:
        middle = (low + high) // 2
        answered = confidence >= values[middle]
        wrong = int((answered & ~correct).sum())
        effect = 1.0 if people is None else _design_effect(np.asarray(people)[answered])
        if error_bound(wrong / effect, float(answered.sum()) / effect, (1 - assurance) / steps) <= error:
            found, high = float(values[middle]), middle - 1
        else:
            low = middle + 1
    return found
