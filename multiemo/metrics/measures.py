"""What a figure is: a function of weighted clips, and the scale on which its interval is symmetric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Owners: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a figure lives.

    Args:
        to: maps it to the whole line, where the error of an estimate is about symmetric.
        slope: derivative of ``to``.
        back: inverse of ``to``.
        reach: largest difference between two such figures.
    """

    to: Callable[[float], float]
    slope: Callable[[float], float]
    back: Callable[[float], float]
    reach: float

    def around(self, value: float, half: float) -> tuple[float, float]:
        """The interval of half-width ``half`` (on the figure's own scale, near ``value``) by the delta method.

        A figure at the end of its range (every clip right) has no spread to estimate: its interval is itself.

        Example:
            >>> low, high = SHARE.around(0.9, 0.1)
            >>> round(low, 3), round(high, 3)
            (0.748, 0.965)
        """
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            middle, spread = self.to(value), half * self.slope(np.float64(value))
            ends = float(self.back(middle - spread)), float(self.back(middle + spread))
        return ends if np.isfinite(middle) and half > 0 else (value, value)


def _logistic(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


#: 0..1: recall, F1, accuracy, precision, similarity (logit).
SHARE = Scale(lambda v: np.log(v) - np.log1p(-v), lambda v: 1 / (v * (1 - v)), _logistic, 1.0)
#: -1..1: correlations (Fisher's z; Lin 1989 uses it for the concordance correlation).
CORRELATION = Scale(np.arctanh, lambda v: 1 / (1 - v * v), np.tanh, 2.0)
#: 0 and more: errors, divergences (log).
POSITIVE = Scale(np.log, lambda v: 1 / v, np.exp, np.inf)


@dataclass(frozen=True, slots=True)
class Measure:
    """The figures of a task.

    Args:
        figures: ``(truth [N, ...], predicted [N, ...], owner [N], weights [B, G]) -> {figure: [B]}``: clip n counts
            ``weights[:, owner[n]]``; NaN where a figure is not defined.
        scales: {figure: its scale}; those that are not there are shares.
    """

    figures: Callable[[NDArray[Any], NDArray[Any], Owners, Array], dict[str, Array]]
    scales: Mapping[str, Scale] = field(default_factory=dict)

    def scale(self, name: str) -> Scale:
        """The scale of a figure."""
        return self.scales.get(name, SHARE)

    def plain(self, truth: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
        """Every figure of the clips as they are."""
        found = self.figures(truth, predicted, np.zeros(len(truth), dtype=np.int64), np.ones((1, 1)))
        return {name: float(values[0]) for name, values in found.items()}


def weighted_sums(rows: Array, owner: Owners, weights: Array) -> Array:
    """Sums over clips, each counted as often as its cluster is drawn.

    Args:
        rows: ``[N, K]``, what is summed.
        owner: ``[N]`` cluster of each clip.
        weights: ``[B, G]``.

    Returns:
        ``[B, K]``.
    """
    table = np.zeros((weights.shape[1], rows.shape[1]))
    if len(rows):
        order = np.argsort(owner, kind="stable")
        met, starts = np.unique(owner[order], return_index=True)
        table[met] = np.add.reduceat(rows[order], starts, axis=0)
    return np.asarray(weights @ table)


def weighted_counts(table: NDArray[Any], weights: Array) -> Array:
    """``[B, K]``: counts of each cluster ``[G, K]``, weighted ``[B, G]``, both whole numbers.

    In single precision, which is twice as fast and exact for whole numbers below 2^24.
    """
    return (weights.astype(np.float32) @ table.astype(np.float32)).astype(np.float64)


def ratio(a: Array, b: Array, empty: float = 0.0) -> Array:
    """``a / b``, and ``empty`` where ``b`` is not above zero."""
    out: Array = np.full(np.broadcast(a, b).shape, empty)
    return np.divide(a, b, out=out, where=b > 0)
