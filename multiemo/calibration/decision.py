"""Decides labels from probabilities, with costs for weighted training and thresholds for several labels per clip."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array

#: Threshold of a label, with several labels per clip, if none was fitted on validation.
DEFAULT_THRESHOLD = 0.5
#: Labels with fewer validation clips than this share one threshold.
_FEW_CLIPS = 10


def decide(
    probabilities: Array, task: str = "single", *, costs: Array | None = None, thresholds: Array | None = None
) -> NDArray[np.int64]:
    """Decide the labels of clips.

    With one label per clip, the label with the largest probability times cost is chosen, which minimises the expected
    cost (Elkan 2001). So a model trained with a larger weight for rare labels also decides accordingly, although its
    calibrated probabilities follow the natural label frequencies.

    Args:
        probabilities: ``[..., C]``; NaN where there is no prediction.
        task: ``single``, ``soft`` or ``multi``.
        costs: ``[C]`` or ``[..., C]`` cost of missing each label; ``None`` = equal.
        thresholds: ``[C]`` or ``[..., C]``, for ``multi``; ``None`` = 0.5.

    Returns:
        ``[...]`` label indices, -1 without a prediction; for ``multi`` ``[..., C]``, 1 for each decided label.

    Example:
        >>> decide(np.array([[0.6, 0.4]])), decide(np.array([[0.6, 0.4]]), costs=np.array([1.0, 2.0]))
        (array([0]), array([1]))
    """
    if task == "multi":
        return np.asarray(probabilities > (DEFAULT_THRESHOLD if thresholds is None else thresholds)).astype(np.int64)
    missing = np.isnan(probabilities).any(axis=-1)
    weighted = np.nan_to_num(probabilities) * (1.0 if costs is None else costs)
    return np.where(missing, -1, weighted.argmax(axis=-1)).astype(np.int64)


def fit_thresholds(probabilities: Array, target: Array) -> Array:
    """Fit the threshold of each label that maximises its F1 on validation clips.

    The threshold lies halfway between the lowest accepted score and the next one. Labels with fewer than ten clips
    share the threshold that maximises their micro F1.

    Args:
        probabilities: ``[N, C]``, calibrated.
        target: ``[N, C]``, ones and zeros.

    Returns:
        ``[C]``; 0.5 without clips to fit on.

    Example:
        >>> fit_thresholds(np.tile([[0.1], [0.2], [0.3], [0.4]], (10, 1)), np.tile([[0], [0], [1], [1]], (10, 1)))
        array([0.25])
    """
    has = target > DEFAULT_THRESHOLD
    rare = has.sum(axis=0) < _FEW_CLIPS
    shared = _best_threshold(probabilities[:, rare].ravel(), has[:, rare].ravel())
    columns = zip(rare, probabilities.T, has.T, strict=True)
    return np.array([shared if few else _best_threshold(p, t) for few, p, t in columns])


def _best_threshold(scores: Array, truth: NDArray[Any]) -> float:
    """The threshold on ``scores`` with the highest F1."""
    if not truth.any():
        return DEFAULT_THRESHOLD
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    last = np.flatnonzero(np.diff(ranked, append=-np.inf))  # clips with equal scores are accepted together
    f1 = 2 * hits[last] / (last + 1 + truth.sum())
    at = int(f1.argmax())
    below = ranked[last[at + 1]] if at + 1 < len(last) else 0.0
    return float((ranked[last[at]] + below) / 2)
