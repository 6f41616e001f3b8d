"""Measures: figures as functions of weighted clips, and the scales on which their intervals are symmetric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array

#: ``[N]`` index of the cluster (speaker) of each clip.
Owners: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scale:
    """Range and variance-stabilising transformation of a figure.

    Args:
        to: maps the figure to the real line, where the error of an estimate is roughly symmetric.
        slope: derivative of ``to``.
        back: inverse of ``to``.
        low: smallest possible value of the figure.
        high: largest possible value of the figure.
    """

    to: Callable[[float], float]
    slope: Callable[[float], float]
    back: Callable[[float], float]
    low: float
    high: float

    @property
    def reach(self) -> float:
        """Largest possible difference between two figures."""
        return self.high - self.low

    def around(self, value: float, half: float) -> tuple[float, float]:
        """Confidence interval around a figure by the delta method.

        Args:
            value: the figure; not an end of the range, where the slope is undefined (see :func:`unanimous`).
            half: half-width on the untransformed scale near ``value``; above 0.

        Example:
            >>> low, high = SHARE.around(0.9, 0.1)
            >>> round(low, 3), round(high, 3)
            (0.748, 0.965)
        """
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            middle, spread = self.to(value), half * self.slope(np.float64(value))
            low, high = float(self.back(middle - spread)), float(self.back(middle + spread))
        return max(low, self.low), min(high, self.high)

    def is_end(self, value: float) -> bool:
        """Whether a figure is at an end of its range."""
        return value in (self.low, self.high)


def unanimous(value: float, low: float, high: float, clusters: float, level: float) -> tuple[float, float]:
    """The interval of a figure that is the same for all speakers, from an exact binomial bound.

    Equal figures among few speakers do not imply zero variance among people. If all ``clusters`` speakers have the same
    figure, then so does at least a share ``s = ((1 - level) / 2) ** (1 / clusters)`` of all people (Clopper & Pearson
    1934; at 95% about ``1 - 3.7 / clusters``), and the others may have any figure. The mean over people then lies
    within ``s * value + (1 - s) * low .. s * value + (1 - s) * high``.

    Args:
        value: the figure.
        low: smallest possible value; may be infinite.
        high: largest possible value; may be infinite.
        clusters: effective number of speakers.
        level: confidence level of the interval, 0..1.

    Returns:
        Lower and upper end.

    Example:
        >>> low, high = unanimous(1.0, 0.0, 1.0, 8, 0.95)  # 8 of 8 right
        >>> round(low, 3), high
        (0.631, 1.0)
    """
    share = ((1 - level) / 2) ** (1 / clusters)
    return share * value + (1 - share) * low, share * value + (1 - share) * high


def _logistic(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


#: 0..1: recall, F1, accuracy, precision, similarity (logit).
SHARE = Scale(lambda v: np.log(v) - np.log1p(-v), lambda v: 1 / (v * (1 - v)), _logistic, 0.0, 1.0)
#: -1..1: correlations (Fisher's z; Lin 1989 uses it for the concordance correlation).
CORRELATION = Scale(np.arctanh, lambda v: 1 / (1 - v * v), np.tanh, -1.0, 1.0)
#: 0 to infinity: divergences (log).
POSITIVE = Scale(np.log, lambda v: 1 / v, np.exp, 0.0, np.inf)
#: 0..2: errors of values within -1..1 (log).
DISTANCE = Scale(np.log, lambda v: 1 / v, np.exp, 0.0, 2.0)


@dataclass(frozen=True, slots=True)
class Measure:
    """The figures of a task.

    Args:
        figures: ``(truth [N, ...], predicted [N, ...], owner [N], weights [B, G]) -> {figure: [B]}``. Clip n has the
            weight ``weights[:, owner[n]]``. NaN where a figure is undefined.
        scales: {figure: its scale}; figures without an entry are shares, within 0..1.
    """

    figures: Callable[[NDArray[Any], NDArray[Any], Owners, Array], dict[str, Array]]
    scales: Mapping[str, Scale] = field(default_factory=dict)

    def scale(self, name: str) -> Scale:
        """The scale of a figure."""
        return self.scales.get(name, SHARE)

    def plain(self, truth: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
        """{figure: value} over all clips with equal weight.

        Args:
            truth: ``[N, ...]``.
            predicted: ``[N, ...]``.
        """
        found = self.figures(truth, predicted, np.zeros(len(truth), dtype=np.int64), np.ones((1, 1)))
        return {name: float(values[0]) for name, values in found.items()}


def weighted_sums(rows: Array, owner: Owners, weights: Array) -> Array:
    """Weighted sums over clips.

    Args:
        rows: ``[N, K]`` values to sum.
        owner: ``[N]`` cluster of each clip.
        weights: ``[B, G]`` weights of the clusters.

    Returns:
        ``[B, K]``.
    """
    table = np.zeros((weights.shape[1], rows.shape[1]))
    if len(rows):
        order = np.argsort(owner, kind="stable")
        occurring, starts = np.unique(owner[order], return_index=True)
        table[occurring] = np.add.reduceat(rows[order], starts, axis=0)
    return np.asarray(weights @ table)


def weighted_counts(table: NDArray[Any], weights: Array) -> Array:
    """Weighted counts, in single precision, which is twice as fast and exact for whole numbers below 2^24.

    Args:
        table: ``[G, K]`` counts of each cluster.
        weights: ``[B, G]`` weights of the clusters, whole numbers.

    Returns:
        ``[B, K]``.
    """
    return (weights.astype(np.float32) @ table.astype(np.float32)).astype(np.float64)


def ratio(a: Array, b: Array, empty: float = 0.0) -> Array:
    """``a / b``, and ``empty`` where ``b`` is not above 0.

    Args:
        a: numerator.
        b: denominator, of a shape that broadcasts with ``a``.
        empty: result where the denominator is not above 0.
    """
    out: Array = np.full(np.broadcast(a, b).shape, empty)
    return np.divide(a, b, out=out, where=b > 0)
