"""Shifts of level in a series of values that follow each other in time.

Neighbouring values of a person resemble each other, so a test that takes them for independent finds change everywhere.
Here "no change" is a stationary autoregression of order one, with the largest correlation that the series does not
contradict: few values cannot tell a correlation from a change of level, and one that is estimated too low turns every
wave into a change. The limit of every test is simulated from it, missing values included.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import signal, special, stats

Array: TypeAlias = NDArray[np.float64]

#: Simulated series behind a p-value, and behind each look for the largest correlation.
_SIMULATED, _SKETCHED = 1999, 499
#: Chance that neighbours correlate more than is reckoned with.
_MISSED = 0.1
#: Correlations of neighbours that are reckoned with: the largest, and how finely they are told apart.
_LARGEST, _FINE = 0.95, 0.02


def largest_correlation(scores: Array, smallest: int) -> float:
    """The largest correlation of neighbouring values, 0..0.95, that the series does not contradict: from a larger one,
    what neighbours have in common would be as small as here with chance below 10% (Andrews 1993, "Exactly
    Median-Unbiased Estimation of First Order Autoregressive Models", for an upper bound).

    Args:
        scores: ``[n]`` normal scores, NaN where missing.
        smallest: known values on each side of a change.
    """
    known = np.isfinite(scores)
    observed = _alike(scores[None], smallest)[0]
    low, high = 0.0, _LARGEST
    while high - low > _FINE:
        middle = (low + high) / 2
        simulated = _simulate(middle, len(scores), _SKETCHED)
        simulated[:, ~known] = np.nan
        if (_alike(_scores(simulated), smallest) <= observed).mean() < _MISSED:
            high = middle
        else:
            low = middle
    return high


def _alike(x: Array, smallest: int) -> Array:
    """``[S]`` correlation of each known value of ``[S, n]`` with the next known one, after the two clearest changes of
    level are taken out, so that they do not pass for correlation."""
    x = x[:, np.isfinite(x[0])]
    for _ in range(2):
        x = x - x.mean(1, keepdims=True)
        place = smallest + _split_statistics(x, smallest).argmax(1)[:, None]
        before = np.arange(x.shape[1]) < place
        left = (x * before).sum(1, keepdims=True)
        x = x - np.where(before, left / place, -left / (x.shape[1] - place))
    found: Array = (x[:, 1:] * x[:, :-1]).sum(1) / np.maximum((x**2).sum(1), 1e-12)
    return found


def _simulate(correlation: float, n: int, count: int) -> Array:
    """``[count, n]`` stationary autoregressions of order one with unit variance; the same for the same arguments."""
    noise = np.random.default_rng(n).standard_normal((count, n))
    noise[:, 1:] *= np.sqrt(1 - correlation**2)
    walks: Array = signal.lfilter([1.0], [1.0, -correlation], noise, axis=1)
    return walks


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
    """Shifts of level, by binary segmentation (Vostrikova 1981) on cumulative sums (Page 1954) of all values.

    Values count by their normal scores (van der Waerden 1952), so that neither outliers nor a spread that grows with
    the level decide. A stretch is cut where the t statistic of the means on both sides is largest, if a series without
    change shows a statistic so large with chance at most ``level``; then each part is looked at in the same way. Such a
    series has the correlation of :func:`largest_correlation`.

    Args:
        x: ``[n]`` at equal steps of time, NaN where missing.
        level: chance of one or more where nothing changes. In simulations with 0.05 and a fifth of the
            values missing it was 0.03 (95%: 0.02 to 0.06) for 30 values whose neighbours correlate by 0.8, 0.03 (0.01
            to 0.06) for 60, and 0.02 (0.00 to 0.04) for 60 correlated by 0.4; by 0.9 it is up to 0.08. What that costs:
            of shifts by 3 standard deviations in the middle of 60 values 58% are found at 0.8, and 90% at 0.4.
        smallest: known values that a part must have.

    Returns:
        In order of time.
    """
    known = np.isfinite(x)
    scores = _scores(x[None])
    if known.sum() < 2 * smallest:
        return []
    correlation = largest_correlation(scores[0], smallest)
    alike = max(float(_alike(scores, smallest)[0]), 0.0)
    cuts: dict[int, tuple[int, int, float]] = {}
    waiting = [(0, len(x))]
    while waiting:
        first, last = waiting.pop()
        place = first + np.flatnonzero(known[first:last])
        if len(place) < 2 * smallest:
            continue
        observed = _split_statistics(scores[:, first:last], smallest)[0]
        simulated = _simulate(correlation, last - first, _SIMULATED)
        simulated[:, ~known[first:last]] = np.nan
        null = _split_statistics(_scores(simulated), smallest).max(1)
        p = float((1 + (null >= observed.max()).sum()) / (1 + len(null)))
        if p > level:
            continue
        best = smallest + int(observed.argmax())
        low, high = _location(observed, alike)
        cuts[int(place[best])] = int(place[smallest + low]), int(place[smallest + high]), p
        waiting += [(first, int(place[best])), (int(place[best]), last)]
    edges = [0, *sorted(cuts), len(x)]
    means = [float(np.nanmean(x[a:b])) for a, b in pairwise(edges)] if cuts else []
    return [Shift(at, *cuts[at][:2], means[i], means[i + 1], cuts[at][2]) for i, at in enumerate(sorted(cuts))]


def _scores(x: Array) -> Array:
    """``[S, n]`` with the known values, in the same places of all series, replaced by the normal scores of ranks."""
    known = np.isfinite(x[0])
    found = np.full_like(x, np.nan)
    found[:, known] = special.ndtri(stats.rankdata(x[:, known], axis=1) / (known.sum() + 1))
    return found


def _split_statistics(x: Array, smallest: int) -> Array:
    """Series without change or with one, to the t statistic of the means before and from each place on.

    Args:
        x: ``[S, n]``, NaN where missing, which is the same in all.

    Returns:
        ``[S, m - 2 smallest + 1]`` for ``m`` known values, 0 and above.
    """
    x = x[:, np.isfinite(x[0])]
    m = x.shape[1]
    left = np.arange(smallest, m - smallest + 1)
    x = x - x.mean(1, keepdims=True)
    between = np.cumsum(x, 1)[:, left - 1] ** 2 * m / (left * (m - left))
    within = np.maximum((x**2).sum(1, keepdims=True) - between, 1e-12)
    found: Array = np.sqrt(between / within * (m - 2))
    return found


def _location(statistics: Array, correlation: float) -> tuple[int, int]:
    """First and last place of the smallest set that holds the shift with probability 0.95, by its likelihood where
    neighbouring values correlate."""
    likelihood = 0.5 * (statistics**2 - statistics.max() ** 2) * (1 - correlation) / (1 + correlation)
    share = np.exp(likelihood)
    order = np.argsort(-share)
    count = int(np.searchsorted(np.cumsum(share[order]) / share.sum(), 0.95)) + 1
    return int(order[:count].min()), int(order[:count].max())
