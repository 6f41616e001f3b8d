"""What a figure is: a function of weighted clips, and the scale on which its interval is symmetric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array

Owners: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a figure lives.

    Args:
        to: maps it to the whole line, where the error of an estimate is about symmetric.
        slope: derivative of ``to``.
        back: inverse of ``to``.
        low, high: the least and the largest that such a figure can be.
    """

    to: Callable[[float], float]
    slope: Callable[[float], float]
    back: Callable[[float], float]
    low: float
    high: float

    @property
    def reach(self) -> float:
        """Largest difference between two such figures."""
        return self.high - self.low

    def around(self, value: float, half: float) -> tuple[float, float]:
        """The interval of half-width ``half`` (on the figure's own scale, near ``value``) by the delta method.

        Args:
            value: not at an end of the range, where there is no slope; see :func:`unanimous`.
            half: above zero.

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
        """Whether a figure is the least or the largest that it can be."""
        return value in (self.low, self.high)


def unanimous(value: float, low: float, high: float, clusters: float, level: float) -> tuple[float, float]:
    """The interval of a figure that is the same in all of so many speakers, from an exact binomial bound.

    No spread among few is not no spread: what ``clusters`` of ``clusters`` speakers show, at least a share
    ``s = (1 - level) / 2) ** (1 / clusters)`` of all people does (Clopper & Pearson 1934; at 95% about
    ``1 - 3.7 / clusters``), and the others may have any figure. The mean over people then lies within
    ``s * value + (1 - s) * low .. s * value + (1 - s) * high``.

    Args:
        value: the figure.
        low, high: the least and the largest that it can be; an end that may be infinite is.
        clusters: effective number of speakers.
        level: of the interval.

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
#: 0 and more: divergences (log).
POSITIVE = Scale(np.log, lambda v: 1 / v, np.exp, 0.0, np.inf)
#: 0..2: errors of what lies within -1..1 (log).
DISTANCE = Scale(np.log, lambda v: 1 / v, np.exp, 0.0, 2.0)


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
    """``a / b``, and ``empty`` where ``b`` is not above zero.

    Args:
        a, b: of one shape, or ``b`` broadcasts.
        empty: what stands where ``b`` is zero.
    """
    out: Array = np.full(np.broadcast(a, b).shape, empty)
    return np.divide(a, b, out=out, where=b > 0)
