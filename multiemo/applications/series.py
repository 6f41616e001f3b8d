"""What changes in a series of values that follow each other in time: a lasting rise, and shifts of level.

Neighbouring values of a person resemble each other, so a test that takes them for independent finds change everywhere.
Here "no change" is a stationary autoregression of order one with the correlation that the series itself shows, and the
limit of every test is simulated from it, the estimation of that correlation included.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

#: Values before the first that can be part of a rise.
BASELINE = 5
#: Allowance of the CUSUM, in standard deviations: half of the smallest rise that it is best at (Page 1954).
_ALLOWANCE = 0.5
#: Values for which a rise must last after it was noticed.
_LASTS = 3
#: Simulated series behind a limit or a p-value.
_SIMULATED = 1999
#: Pairs of values below which no correlation is estimated.
_PAIRS = 8
_LARGEST = 0.95


def lag_one(x: Array) -> Array:
    """Correlation of neighbouring values, from absolute differences, which one shift of level hardly touches.

    In an autoregression of order one the standard deviation of differences over two steps is ``sqrt(1 + r)`` times
    that over one step.

    Args:
        x: ``[..., n]``, NaN where missing.

    Returns:
        ``[...]`` within 0..0.95; 0 where fewer than eight pairs are known.
    """
    one, two = np.abs(x[..., 1:] - x[..., :-1]), np.abs(x[..., 2:] - x[..., :-2])
    pairs = np.minimum(np.isfinite(one).sum(-1), np.isfinite(two).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (np.nansum(two, -1) / np.isfinite(two).sum(-1)) / (np.nansum(one, -1) / np.isfinite(one).sum(-1))
    found = np.clip(np.nan_to_num(ratio, nan=1.0, posinf=1.0) ** 2 - 1, 0.0, _LARGEST)
    return np.where(pairs >= _PAIRS, found, 0.0)


def _simulate(correlation: float, n: int, seed: int) -> Array:
    """``[_SIMULATED, n]`` stationary autoregressions of order one with unit variance."""
    noise = np.random.default_rng(seed).standard_normal((_SIMULATED, n))
    for i in range(1, n):
        noise[:, i] = correlation * noise[:, i - 1] + np.sqrt(1 - correlation**2) * noise[:, i]
    return noise


# --------------------------------------------------------------------------------------------------------------------
# A lasting rise


@dataclass(frozen=True, slots=True)
class Rise:
    """Where values rise above what they were, and stay there.

    Args:
        start, noticed: indices: the first value of the rise, and the one at which it became certain.
        before, after: means of the values since the last rise, and from ``start`` until ``noticed``.
        score, limit: of the CUSUM.
    """

    start: int
    noticed: int
    before: float
    after: float
    score: float
    limit: float


def rises(x: Array, *, false_alarms: float = 0.05) -> list[Rise]:
    """Lasting rises above the running baseline.

    A one-sided CUSUM (Page 1954) of normal scores of sequential ranks (McDonald 1990, Naval Research Logistics 37):
    each value is ranked among those before it, so that neither the level, the spread nor the shape of its distribution
    need be known; what a value owes to the one before it is taken off first (:func:`lag_one`). An alarm counts when the
    sum is still above zero two values later, or the series ends. After a rise the next baseline begins with it.

    Args:
        x: ``[n]`` in order of time, none missing.
        false_alarms: chance of one or more in a series of this length in which nothing changes.

    Returns:
        In order of time; none in fewer than seven values.
    """
    n = len(x)
    if n < BASELINE + 2:
        return []
    correlation = lag_one(x)
    limit = rise_limit(10 * -(-n // 10), round(float(correlation) * 20) / 20, false_alarms)
    found: list[Rise] = []
    first = 0
    while n - first >= BASELINE + 2:
        sums = _cusum(x[None, first:], correlation[None])[0]
        alarms = [i for i in np.flatnonzero(sums > limit) if (sums[i : i + _LASTS] > 0).all()]
        if not alarms:
            break
        alarm = int(alarms[0])
        begun = int(np.flatnonzero(sums[:alarm] <= 0)[-1]) + 1
        start = begun + _sharpest(x[first : first + alarm + 1], begun)
        before, after = x[first : first + start].mean(), x[first + start : first + alarm + 1].mean()
        found.append(Rise(first + start, first + alarm, float(before), float(after), float(sums[alarm]), limit))
        first += start
    return found


def _sharpest(x: Array, begun: int) -> int:
    """How many values after ``begun`` the level most likely rose: where the means before and from there differ most."""
    places = np.arange(begun, len(x))
    total = np.cumsum(x - x.mean())[places - 1]
    return int(np.argmax(-total / np.sqrt(places * (len(x) - places))))


@lru_cache(maxsize=256)
def rise_limit(n: int, correlation: float, false_alarms: float) -> float:
    """The CUSUM that a series of ``n`` values without change exceeds with chance ``false_alarms``."""
    x = _simulate(correlation, n, seed=n)
    return float(np.quantile(_cusum(x, lag_one(x)).max(1), 1 - false_alarms))


def _cusum(x: Array, correlation: Array) -> Array:
    """``[S, n]`` series and ``[S]`` correlations to ``[S, n]`` sums; zero up to the baseline's end."""
    fresh = x[:, 1:] - correlation[:, None] * x[:, :-1]
    sums = np.zeros_like(x)
    for i in range(BASELINE, x.shape[1]):
        past, now = fresh[:, : i - 1], fresh[:, i - 1 : i]
        rank = (past < now).sum(1) + 0.5 * (past == now).sum(1) + 0.5
        sums[:, i] = np.maximum(0.0, sums[:, i - 1] + special.ndtri(rank / i) - _ALLOWANCE)
    return sums


# --------------------------------------------------------------------------------------------------------------------
# Shifts of level


@dataclass(frozen=True, slots=True)
class Shift:
    """A change of level between two neighbouring values.

    Args:
        index: of the first value after it.
        low, high: indices between which it lies with 95% confidence.
        before, after: means of the stretches on its two sides, up to the next shift.
        p: chance of so clear a shift where there is none.
    """

    index: int
    low: int
    high: int
    before: float
    after: float
    p: float


def shifts(x: Array, *, level: float = 0.05, smallest: int = 5) -> list[Shift]:
    """Shifts of level, by binary segmentation (Vostrikova 1981).

    A stretch is cut where the t statistic of the means on both sides is largest, if a series without change shows a
    statistic so large with chance at most ``level``; then each part is looked at in the same way. The correlation of
    such a series is the one found plus its standard error, so that little data does not pass for no correlation.

    Args:
        x: ``[n]`` at equal steps of time, NaN where missing.
        level: chance of one or more where nothing changes. In simulations with 0.05 it was 0.02 to 0.05 for independent
            values, up to 0.08 for neighbours correlated by 0.3, and up to 0.13 by 0.6.
        smallest: known values that a part must have.

    Returns:
        In order of time.
    """
    known = np.isfinite(x)
    error = 1 / np.sqrt(max(int((known[1:] & known[:-1]).sum()), 1))
    correlation = min(float(lag_one(x)) + error, _LARGEST)
    cuts: dict[int, tuple[int, int, float]] = {}
    waiting = [(0, len(x))]
    while waiting:
        first, last = waiting.pop()
        place = first + np.flatnonzero(known[first:last])
        if len(place) < 2 * smallest:
            continue
        observed = _split_statistics(x[None, first:last], smallest)[0]
        simulated = _simulate(correlation, last - first, seed=last - first)
        simulated[:, ~known[first:last]] = np.nan
        null = _split_statistics(simulated, smallest).max(1)
        p = float((1 + (null >= observed.max()).sum()) / (1 + len(null)))
        if p > level:
            continue
        best = smallest + int(observed.argmax())
        low, high = _location(observed)
        cuts[int(place[best])] = int(place[smallest + low]), int(place[smallest + high]), p
        waiting += [(first, int(place[best])), (int(place[best]), last)]
    edges = [0, *sorted(cuts), len(x)]
    means = [float(np.nanmean(x[a:b])) for a, b in pairwise(edges)] if cuts else []
    return [Shift(at, *cuts[at][:2], means[i], means[i + 1], cuts[at][2]) for i, at in enumerate(sorted(cuts))]


def _split_statistics(x: Array, smallest: int) -> Array:
    """Series without change or with one, to the t statistic of the means before and from each place on.

    What a correlation takes from the number of independent values is counted in each series as it shows it.

    Args:
        x: ``[S, n]``, NaN where missing, which is the same in all.

    Returns:
        ``[S, m - 2 smallest + 1]`` for ``m`` known values, 0 and above.
    """
    correlation = lag_one(x)[:, None]
    x = x[:, np.isfinite(x[0])]
    m = x.shape[1]
    left = np.arange(smallest, m - smallest + 1)
    x = x - x.mean(1, keepdims=True)
    between = np.cumsum(x, 1)[:, left - 1] ** 2 * m / (left * (m - left))
    within = np.maximum((x**2).sum(1, keepdims=True) - between, 1e-12)
    found: Array = np.sqrt(between / within * (m - 2) * (1 - correlation) / (1 + correlation))
    return found


def _location(statistics: Array) -> tuple[int, int]:
    """First and last place of the smallest set that holds the shift with probability 0.95, by its likelihood."""
    likelihood = 0.5 * (statistics**2 - statistics.max() ** 2)
    share = np.exp(likelihood)
    order = np.argsort(-share)
    count = int(np.searchsorted(np.cumsum(share[order]) / share.sum(), 0.95)) + 1
    return int(order[:count].min()), int(order[:count].max())
