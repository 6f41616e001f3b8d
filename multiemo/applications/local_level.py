"""The level behind noisy days: a local-level model, smoothed, with its own uncertainty counted.

``y_d = m_d + b_d + e_d``, ``m_d = m_(d-1) + w_d`` (Durbin & Koopman 2012, "Time Series Analysis by State Space
Methods", chapter 2). ``m`` is the level that moves from day to day with variance ``q``. ``b``, of variance ``t``, is
what all clips of one day have in common beside it, so that ten clips of one day are not ten days; ``e`` has the
variance of single clips within a day over their number. A day without a clip has no ``y`` and is bridged, the wider the
longer.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array: TypeAlias = NDArray[np.float64]

#: Days with a clip below which nothing is said of uncertainty.
FEWEST = 3
#: ``q`` and ``t`` that are looked at, as shares of the variance between days.
_MOVES = np.geomspace(1e-3, 3.0, 20)
_SHARED = np.geomspace(1e-3, 3.0, 16)


def smooth(mean: Array, count: Array, within: float) -> tuple[Array, Array]:
    """Level of each day and how far a 95% interval reaches to both sides.

    The variances are not estimated but averaged over: every pair on a grid, even on a logarithmic scale, counts by its
    likelihood. With few days many pairs fit, and the band is wide for it; its reach is that of Student's t with as many
    degrees of freedom as there are known days, less one.

    Args:
        mean: ``[D]`` of a day's clips; NaN where it has none. At least ``FEWEST`` are known.
        count: ``[D]`` clips.
        within: variance of single clips within a day; 0 where no day has two.

    Returns:
        ``[D]`` level, ``[D]`` reach.
    """
    known = np.isfinite(mean)
    spread = max(float(mean[known].var(ddof=1)), within / count[known].mean(), 1e-6)
    moves, shared = (axis.ravel() * spread for axis in np.meshgrid(_MOVES, _SHARED))
    level, variance = np.full_like(moves, mean[known].mean()), np.full_like(moves, 100 * spread)
    likelihood = np.zeros_like(moves)
    filtered, predicted = [], []
    for y, n in zip(mean, count, strict=True):
        variance = variance + moves
        predicted.append(variance)
        if np.isfinite(y):
            total = variance + shared + within / n
            likelihood -= 0.5 * (np.log(total) + (y - level) ** 2 / total)
            gain = variance / total
            level, variance = level + gain * (y - level), variance * (1 - gain)
        filtered.append((level, variance))
    weight = np.exp(likelihood - likelihood.max())
    weight /= weight.sum()
    levels, errors = np.empty_like(mean), np.empty_like(mean)
    for day in range(len(mean) - 1, -1, -1):
        if day < len(mean) - 1:  # backwards (Rauch, Tung & Striebel 1965)
            before, own = filtered[day]
            back = own / predicted[day + 1]
            level, variance = before + back * (level - before), own + back**2 * (variance - predicted[day + 1])
        levels[day] = weight @ level
        errors[day] = np.sqrt(weight @ (variance + (level - levels[day]) ** 2))
    return levels, errors * float(stats.t.ppf(0.975, known.sum() - 1))
