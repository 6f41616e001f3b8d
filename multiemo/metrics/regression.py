"""Figures for valence, arousal and dominance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.metrics.measures import CORRELATION, DISTANCE, Measure, Owners, ratio, weighted_sums

_FIGURES = {"ccc": CORRELATION, "pearson": CORRELATION, "mae": DISTANCE, "rmse": DISTANCE}


def dimension_measure() -> Measure:
    """The measure of one dimension; truth and predictions are ``[N]``.

    - ``ccc``: concordance correlation (Lin 1989), 2 cov / (var + var + (difference of the means)^2), with moments over
      n.
    - ``pearson``: Pearson correlation.
    - ``mae``: mean absolute error.
    - ``rmse``: root mean square error.

    A correlation is NaN if its denominator is 0.
    """
    return Measure(_figures, _FIGURES)


def dimensions_measure() -> Measure:
    """The measure of several dimensions: each figure is the mean over the dimensions.

    Truth and predictions are ``[N, K]``; NaN in the truth = unknown.
    """
    return Measure(_means, dimension_measure().scales)


def _means(truth: NDArray[Any], predicted: NDArray[Any], owner: Owners, weights: Array) -> dict[str, Array]:
    each = []
    for x, y in zip(truth.T, predicted.T, strict=True):
        known = ~np.isnan(x)
        each.append(_figures(x[known], y[known], owner[known], weights))
    return {name: _mean([figures[name] for figures in each]) for name in _FIGURES}


def _mean(columns: list[Array]) -> Array:
    """Mean over the columns that are defined; NaN if none is."""
    values = np.stack(columns)
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0).sum(0), known.sum(0).astype(float), np.nan)


def _figures(truth: NDArray[Any], predicted: NDArray[Any], owner: Owners, weights: Array) -> dict[str, Array]:
    shift = truth.mean() if len(truth) else 0.0  # moments about a value near the mean avoid cancellation
    x, y = predicted - shift, truth - shift
    rows = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y, np.abs(x - y)], axis=1)
    sums = weighted_sums(rows, owner, weights)
    mean_x, mean_y, xx, yy, xy, error = ratio(sums[:, 1:].T, sums[:, 0], np.nan)
    var_x, var_y = (np.where(v > 1e-12 * (1 + m), v, 0.0) for v, m in ((xx - mean_x**2, xx), (yy - mean_y**2, yy)))
    covariance = np.where((var_x > 0) & (var_y > 0), xy - mean_x * mean_y, 0.0)
    return {
        "ccc": ratio(2 * covariance, var_x + var_y + (mean_x - mean_y) ** 2, np.nan),
        "pearson": np.clip(ratio(covariance, np.sqrt(var_x * var_y), np.nan), -1, 1),
        "mae": error,
        "rmse": np.sqrt(np.maximum(xx + yy - 2 * xy, 0)),
    }


def concordance(predicted: Array, truth: Array) -> float:
    """Concordance correlation coefficient (Lin 1989) over the known pairs.

    Args:
        predicted: ``[N]``.
        truth: ``[N]``; NaN = unknown.

    Returns:
        The coefficient, -1..1; NaN with fewer than two known pairs.
    """
    known = ~np.isnan(truth)
    return dimension_measure().plain(truth[known], predicted[known])["ccc"] if known.sum() > 1 else float("nan")
