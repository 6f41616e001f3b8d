"""Figures of a single-label task: functions of a confusion matrix ``[..., C, C]`` (rows: truth).

A resample of the clips is a row of weights, and its confusion matrix one weighted sum.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> Array:
    """``[C, C]`` counts; rows are the truth.

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
        array([[1., 1.],
               [0., 1.]])
    """
    return weighted_confusion(truth, predicted, classes, np.ones(len(truth)))


def weighted_confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int, weights: Array) -> Array:
    """One confusion matrix for each row of clip weights.

    Args:
        truth, predicted: ``[N]`` columns.
        classes: C.
        weights: ``[..., N]``, how much each clip counts.

    Returns:
        ``[..., C, C]``; rows are the truth.
    """
    cells = truth * classes + predicted
    order = np.argsort(cells, kind="stable")
    met, starts = np.unique(cells[order], return_index=True)
    matrix = np.zeros((*weights.shape[:-1], classes * classes))
    if len(met):
        matrix[..., met] = np.add.reduceat(weights[..., order], starts, axis=-1)
    return matrix.reshape(*weights.shape[:-1], classes, classes)


def _ratio(a: Array, b: Array) -> Array:
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b > 0)


def uar(matrix: Array) -> Array:
    """Unweighted average recall over the labels that occur: ``[..., C, C]`` to ``[...]``."""
    support = matrix.sum(-1)
    recall = _ratio(np.diagonal(matrix, axis1=-2, axis2=-1), support)
    return _ratio(recall.sum(-1), (support > 0).sum(-1).astype(float))


def _f1(matrix: Array) -> Array:
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    return _ratio(2 * hits, matrix.sum(-1) + matrix.sum(-2))


def macro_f1(matrix: Array) -> Array:
    """Mean F1 over the labels that occur in truth or prediction."""
    seen = (matrix.sum(-1) + matrix.sum(-2)) > 0
    return _ratio(_f1(matrix).sum(-1), seen.sum(-1).astype(float))


def wf1(matrix: Array) -> Array:
    """F1 weighted by how often each label occurs."""
    support = matrix.sum(-1)
    return _ratio((_f1(matrix) * support).sum(-1), support.sum(-1))


def accuracy(matrix: Array) -> Array:
    """Share of clips that are right."""
    return _ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum((-2, -1)))


FIGURES: dict[str, Callable[[Array], Array]] = {
    "uar": uar,
    "macro_f1": macro_f1,
    "wf1": wf1,
    "accuracy": accuracy,
}


def expected_calibration_error(probabilities: Array, truth: NDArray[np.int64], bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins (Guo et al. 2017).

    Args:
        probabilities: ``[N, C]``.
        truth: ``[N]`` columns.
        bins: number of bins.
    """
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    value = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(truth), num_classes=probabilities.shape[1], n_bins=bins
    )
    return float(value)
