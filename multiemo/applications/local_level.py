"""Estimates the level behind noisy days with a local-level model, including the uncertainty of its variances.

``y_d = m_d + b_d + e_d``, ``m_d = m_(d-1) + w_d`` (Durbin & Koopman 2012, "Time Series Analysis by State Space
Methods", chapter 2). ``m`` is the level, which changes from day to day with variance ``q``. ``b``, with variance ``t``,
is a deviation that all clips of one day share, so that ten clips of one day do not count as ten days. ``e`` has the
variance of single clips within a day, divided by their number. A day without a clip has no ``y``: the level is
interpolated, and its interval widens with the length of the gap.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from multiemo.arrays import Array

#: Least number of days with a clip for which an uncertainty is computed.
MIN_DAYS = 3
#: Grids of ``q`` and ``t``, as shares of the variance between days.
_LEVEL_VARIANCES = np.geomspace(1e-3, 3.0, 20)
_DAY_VARIANCES = np.geomspace(1e-3, 3.0, 16)


def smooth(mean: Array, count: Array, within: float) -> tuple[Array, Array]:
    """The level of each day, with a 95% interval.

    The variances are not estimated. Instead the results for every pair on a logarithmic grid are averaged, weighted by
    the likelihood of the pair. With few days many pairs are likely, which makes the interval wide. Its half-width is
    that of Student's t distribution whose degrees of freedom are the number of known days minus one.

    Args:
        mean: ``[D]`` mean of each day's clips; NaN without a clip. At least ``MIN_DAYS`` are known.
        count: ``[D]`` number of clips.
        within: variance of single clips within a day; 0 if no day has two clips.

    Returns:
        ``[D]`` level and ``[D]`` half-width of its interval.
    """
    known = np.isfinite(mean)
    spread = max(float(mean[known].var(ddof=1)), within / count[known].mean(), 1e-6)
    steps, shared = (axis.ravel() * spread for axis in np.meshgrid(_LEVEL_VARIANCES, _DAY_VARIANCES))
    level, variance = np.full_like(steps, mean[known].mean()), np.full_like(steps, 100 * spread)
    likelihood = np.zeros_like(steps)
    filtered, predicted = [], []
    for y, n in zip(mean, count, strict=True):
        variance = variance + steps
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
        if day < len(mean) - 1:  # backward pass (Rauch, Tung & Striebel 1965)
            before, own = filtered[day]
            back = own / predicted[day + 1]
            level, variance = before + back * (level - before), own + back**2 * (variance - predicted[day + 1])
        levels[day] = weight @ level
        errors[day] = np.sqrt(weight @ (variance + (level - levels[day]) ** 2))
    return levels, errors * float(stats.t.ppf(0.975, known.sum() - 1))
