"""Figures of a single-label task: functions of a confusion matrix ``[..., C, C]`` (rows: truth).

A further column, ``[..., C, C + 1]``, counts answers outside the label set, which are wrong for every clip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.metrics.measures import Measure, Owners, ratio, weighted_counts


def confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> Array:
    """Confusion matrix ``[C, C]`` of counts; rows are the truth.

    Args:
        truth: ``[N]`` label indices.
        predicted: ``[N]`` label indices.
        classes: number of labels C.

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
        array([[1., 1.],
               [0., 1.]])
    """
    once = np.zeros(len(truth), dtype=np.int64)
    return np.asarray(confusions(truth, predicted, classes, once, np.ones((1, 1)))[0])


def confusions(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int, owner: Owners, weights: Array
) -> Array:
    """One confusion matrix for each row of cluster weights.

    Args:
        truth: ``[N]`` label indices.
        predicted: ``[N]`` label indices; C for an answer outside the label set.
        classes: number of labels C.
        owner: ``[N]`` cluster of each clip.
        weights: ``[B, G]`` weights of the clusters, whole numbers.

    Returns:
        ``[B, C, C]``, or ``[B, C, C + 1]`` if there are answers outside the label set; rows are the truth.
    """
    columns = classes + int((predicted == classes).any())
    occurring, cell = np.unique(truth * columns + predicted, return_inverse=True)
    shape = (weights.shape[1], len(occurring))
    table = np.bincount(owner * len(occurring) + cell, minlength=shape[0] * shape[1]).reshape(shape)
    matrices = np.zeros((len(weights), classes * columns))
    matrices[:, occurring] = weighted_counts(table, weights)
    return matrices.reshape(-1, classes, columns)


def _hits(matrix: Array) -> Array:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _predictions(matrix: Array) -> Array:
    """How often each label is predicted: ``[..., C, C]`` or ``[..., C, C + 1]`` to ``[..., C]``."""
    return np.asarray(matrix[..., : matrix.shape[-2]].sum(-2))


def _f1(matrix: Array) -> Array:
    return ratio(2 * _hits(matrix), matrix.sum(-1) + _predictions(matrix))


def uar(matrix: Array) -> Array:
    """Unweighted average recall over the labels that occur: ``[..., C, C]`` to ``[...]``."""
    support = matrix.sum(-1)
    return ratio(ratio(_hits(matrix), support).sum(-1), (support > 0).sum(-1).astype(float))


def macro_f1(matrix: Array) -> Array:
    """Mean F1 over the labels that occur in truth or prediction."""
    seen = (matrix.sum(-1) + _predictions(matrix)) > 0
    return ratio(_f1(matrix).sum(-1), seen.sum(-1).astype(float))


def wf1(matrix: Array) -> Array:
    """F1 weighted by the number of clips with each label."""
    support = matrix.sum(-1)
    return ratio((_f1(matrix) * support).sum(-1), support.sum(-1))


def accuracy(matrix: Array) -> Array:
    """Share of correctly predicted clips."""
    return ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum((-2, -1)))


FIGURES: dict[str, Callable[[Array], Array]] = {
    "uar": uar,
    "macro_f1": macro_f1,
    "wf1": wf1,
    "accuracy": accuracy,
}


def label_measure(classes: int, figures: Mapping[str, Callable[[Array], Array]] = FIGURES) -> Measure:
    """The measure of a single-label task; truth and predictions are label indices ``[N]``.

    The prediction C stands for an answer outside the label set.

    Args:
        classes: number of labels C.
        figures: {name: function of confusion matrices ``[..., C, C]`` to ``[...]``}.
    """

    def measure(truth: NDArray[Any], predicted: NDArray[Any], owner: Owners, weights: Array) -> dict[str, Array]:
        matrices = confusions(truth, predicted, classes, owner, weights)
        return {name: figure(matrices) for name, figure in figures.items()}

    return Measure(measure)


def per_class(matrix: Array) -> dict[str, Array]:
    """Recall, precision, F1 and ``support`` (number of clips) of every label, each ``[C]``.

    A figure with a zero denominator is NaN, as with scikit-learn's ``zero_division=nan``.
    """
    support, predictions = matrix.sum(-1), _predictions(matrix)
    return {
        "recall": ratio(_hits(matrix), support, np.nan),
        "precision": ratio(_hits(matrix), predictions, np.nan),
        "f1": ratio(2 * _hits(matrix), support + predictions, np.nan),
        "support": support,
    }


def expected_calibration_error(probabilities: Array, truth: NDArray[np.int64], bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins (Guo et al. 2017).

    Args:
        probabilities: ``[N, C]``.
        truth: ``[N]`` label indices.
        bins: number of bins.
    """
    return calibration_gap(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth, bins)


def calibration_gap(stated: Array, came_true: NDArray[np.bool_], bins: int = 15) -> float:
    """Mean gap between predicted probabilities and observed frequencies, over equal-width bins.

    Within a bin, the gap of the means times the number of cases equals the gap of the sums.

    Args:
        stated: ``[N]`` predicted probabilities within 0..1; 1 belongs to the last bin.
        came_true: ``[N]``, whether the predicted event occurred.
        bins: number of bins.

    Example:
        >>> round(calibration_gap(np.array([0.8, 0.8, 0.8, 1.0]), np.array([True, True, False, True])), 3)
        0.1
    """
    place = np.minimum((stated * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=stated - came_true, minlength=bins)
    return float(np.abs(gaps).sum() / np.float64(len(stated)))
