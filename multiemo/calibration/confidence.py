"""Confidence: how often it is right, and what it costs to answer less."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.records import Record, record


@record
class ReliabilityBins(Record):
    """A reliability diagram: the bins of stated confidence that hold any clip.

    Args:
        confidence: mean stated confidence of each bin, 0..1.
        accuracy: share of each bin that came true.
        n: clips of each bin.
    """

    confidence: list[float]
    accuracy: list[float]
    n: list[int]


@record
class RiskCurve(Record):
    """A risk-coverage curve, from the most confident clips alone to all of them.

    Args:
        coverage: shares of the clips that are answered.
        risk: error rate among them.
    """

    coverage: list[float]
    risk: list[float]


#: How surely a threshold keeps the allowed error rate on new clips like those of validation.
ASSURANCE = 0.9


def top_label(
    probabilities: Array, target: Array, task: str = "single", said: NDArray[Any] | None = None
) -> tuple[Array, NDArray[np.bool_]]:
    """Confidence ``[N]`` of the label that would be given, and ``[N]`` whether it is right.

    Args:
        probabilities, target: ``[N, C]``.
        task: for ``multi`` the label is the most probable one, and right when it is one of the clip's.
        said: ``[N]`` columns of the labels that are given; left out, the most probable ones.
    """
    if said is None or task == "multi":
        said = probabilities.argmax(axis=1)
    rows = np.arange(len(said))
    right = target[rows, said] > 0.5 if task == "multi" else said == target.argmax(axis=1)
    return probabilities[rows, said], right


def events(
    probabilities: Array, target: Array, task: str = "single", said: NDArray[Any] | None = None
) -> tuple[Array, NDArray[np.bool_]]:
    """Stated probabilities and whether what they speak of came true: of the label that is given (see
    :func:`top_label`), or, for ``multi``, of every label of every clip.

    Args:
        probabilities, target: ``[N, C]``.
        task: ``single``, ``soft`` or ``multi``.
        said: ``[N]`` columns of the labels that are given; left out, the most probable ones.
    """
    if task == "multi":
        return probabilities.ravel(), target.ravel() > 0.5
    return top_label(probabilities, target, said=said)


def reliability(confidence: Array, outcome: NDArray[Any], bins: int = 15) -> ReliabilityBins:
    """Mean confidence, share of hits and clips of each equal-width bin that holds any (DeGroot & Fienberg 1983).

    Args:
        confidence: ``[N]`` within 0..1.
        outcome: ``[N]``, one where the event came true.
        bins: number of bins; that of the expected calibration error, so that the diagram shows what it adds up.

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
    """Error rate among the answered clips for every share of clips that can be answered (Geifman & El-Yaniv 2017).

    Args:
        confidence: ``[N]``; clips with the same one are answered together.
        correct: ``[N]``.

    Returns:
        coverage, risk: ``[K]`` each, from the most confident clips alone to all of them.

    Example:
        >>> risk_coverage(np.array([0.9, 0.5, 0.7, 0.5]), np.array([True, False, True, True]))
        (array([0.25, 0.5 , 1.  ]), array([0.  , 0.  , 0.25]))
    """
    order = np.argsort(-confidence, kind="stable")
    last = np.flatnonzero(np.diff(confidence[order], append=-np.inf))
    wrong = np.cumsum(~correct[order])[last]
    return (last + 1) / len(confidence), wrong / (last + 1)


def aurc(coverage: Array, risk: Array) -> float:
    """Area under the risk-coverage curve: the mean risk over the thresholds of the clips (Geifman et al. 2019)."""
    return float(np.diff(coverage, prepend=0.0) @ risk)


def thinned(coverage: Array, risk: Array, points: int = 50) -> RiskCurve:
    """A risk-coverage curve of at most so many points, for a file; the last, of all clips, is kept.

    Args:
        coverage, risk: ``[K]`` each, as :func:`risk_coverage` gives them.
        points: at most so many are kept.
    """
    keep = np.unique(np.linspace(0, len(coverage) - 1, min(points, len(coverage))).round().astype(int))
    first, second = ([round(float(v), 4) for v in curve[keep]] for curve in (coverage, risk))
    return RiskCurve(coverage=first, risk=second)


def error_bound(errors: int, n: int, delta: float) -> float:
    """The error rate that ``errors`` among ``n`` independent clips exclude with probability ``1 - delta``.

    Clopper & Pearson 1934, one-sided; the same as lemma 3.1 of Geifman & El-Yaniv 2017.

    Args:
        errors: wrong clips.
        n: clips.
        delta: probability with which the bound may fail, 0..1.

    Example:
        >>> round(error_bound(0, 28, 0.05), 3)
        0.101
    """
    from scipy import stats

    return 1.0 if errors >= n else float(stats.beta.ppf(1 - delta, errors + 1, n - errors))


def abstention_threshold(
    confidence: Array, correct: NDArray[np.bool_], error: float, *, assurance: float = ASSURANCE
) -> float | None:
    """The lowest confidence at which the answered clips keep a allowed error rate, assured by a bound.

    Selection with guaranteed risk (Geifman & El-Yaniv 2017, algorithm 1): a binary search over the confidences, each
    step with its share of the allowed failure. The plain empirical error would be exceeded on new clips about every
    second time, so the bound is used; its price is coverage, and with few clips that no threshold passes: ``m`` clips
    without one error assure ``error`` only from about ``ln(steps / (1 - assurance)) / error`` of them on.

    It holds for new clips drawn independently as these were. Clips of one speaker are alike: with few validation
    speakers, other people may well exceed it.

    Args:
        confidence, correct: ``[N]`` of validation clips.
        error: allowed error rate among the answered clips.
        assurance: probability with which the allowed rate holds.

    Returns:
        A clip is answered when its confidence is at least this; ``None`` when no threshold assures the allowed rate.
    """
    values = np.unique(confidence)
    steps = len(values).bit_length()
    low, high, found = 0, len(values) - 1, None
    while low <= high:
        middle = (low + high) // 2
        answered = confidence >= values[middle]
        wrong = int((answered & ~correct).sum())
        if error_bound(wrong, int(answered.sum()), (1 - assurance) / steps) <= error:
            found, high = float(values[middle]), middle - 1
        else:
            low = middle + 1
    return found
