"""From probabilities to labels: the costs that training asked for, and thresholds where labels go together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array

#: A label of several is given from this probability on where nothing else was found on validation.
DEFAULT_THRESHOLD = 0.5
#: A label with fewer validation clips than this shares one threshold with all others like it.
_FEW = 10


def decide(
    probabilities: Array, task: str = "single", *, costs: Array | None = None, thresholds: Array | None = None
) -> NDArray[np.int64]:
    """The labels that are given.

    With one label a clip it is the one of the largest probability times cost, which makes the mean cost of an error
    least (Elkan 2001): a model that was trained to weigh rare labels more also decides so, though its calibrated
    probabilities are those of the labels as they occur.

    Args:
        probabilities: ``[..., C]``; NaN where nothing is said.
        task: ``single``, ``soft`` or ``multi``.
        costs: ``[C]``, or ``[..., C]``, of missing each label; ``None`` = all alike.
        thresholds: ``[C]``, or ``[..., C]``, for ``multi``; ``None`` = a half.

    Returns:
        ``[...]`` columns, -1 where nothing is said; for ``multi`` ``[..., C]``, one where a label is given.

    Example:
        >>> decide(np.array([[0.6, 0.4]])), decide(np.array([[0.6, 0.4]]), costs=np.array([1.0, 2.0]))
        (array([0]), array([1]))
    """
    if task == "multi":
        return np.asarray(probabilities > (DEFAULT_THRESHOLD if thresholds is None else thresholds)).astype(np.int64)
    missing = np.isnan(probabilities).any(axis=-1)
    weighed = np.nan_to_num(probabilities) * (1.0 if costs is None else costs)
    return np.where(missing, -1, weighed.argmax(axis=-1)).astype(np.int64)


def fit_thresholds(probabilities: Array, target: Array) -> Array:
    """The probability above which each of several labels is given, so that its F1 on validation is the highest.

    The threshold lies halfway between the last score that is given and the next. A label that has fewer than
    ten clips gets the threshold that is best for all such labels together (their micro F1).

    Args:
        probabilities: ``[N, C]``, calibrated.
        target: ``[N, C]``, ones and zeros.

    Returns:
        ``[C]``; a half where there is no clip with any label to go by.

    Example:
        >>> fit_thresholds(np.tile([[0.1], [0.2], [0.3], [0.4]], (10, 1)), np.tile([[0], [0], [1], [1]], (10, 1)))
        array([0.25])
    """
    has = target > DEFAULT_THRESHOLD
    rare = has.sum(axis=0) < _FEW
    shared = _best(probabilities[:, rare].ravel(), has[:, rare].ravel())
    return np.array([shared if few else _best(p, t) for few, p, t in zip(rare, probabilities.T, has.T, strict=True)])


def _best(scores: Array, truth: NDArray[Any]) -> float:
    if not truth.any():
        return DEFAULT_THRESHOLD
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    last = np.flatnonzero(np.diff(ranked, append=-np.inf))  # clips of one score are given together
    f1 = 2 * hits[last] / (last + 1 + truth.sum())
    at = int(f1.argmax())
    below = ranked[last[at + 1]] if at + 1 < len(last) else 0.0
    return float((ranked[last[at]] + below) / 2)
