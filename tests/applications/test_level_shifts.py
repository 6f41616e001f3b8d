"""Changes that are there, and those that are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from multiemo.applications.level_shifts import largest_correlation, shifts
from tests.support.series import walk


@pytest.mark.parametrize("correlation", [*(pytest.param(c, marks=pytest.mark.slow) for c in (0.0, 0.4)), 0.8])
def test_changes_are_as_rare_without_one_as_stated(correlation: float) -> None:
    """In logs of a month, too: days that resemble each other are not taken for changes."""
    rng, series = np.random.default_rng(3), 120
    found = 0
    for _ in range(series):
        x = walk(rng, 30, correlation)
        x[rng.random(30) < 0.2] = np.nan
        found += bool(shifts(x))
    assert stats.binom.sf(found - 1, series, 0.05) > 0.01


def test_a_change_is_found_among_days_that_resemble_each_other() -> None:
    rng = np.random.default_rng(6)
    found = [bool(shifts(walk(rng, 60, 0.4) + 3.0 * (np.arange(60) >= 35))) for _ in range(30)]
    assert np.mean(found) >= 0.7


@pytest.mark.slow
def test_the_correlation_that_a_series_does_not_contradict() -> None:
    """It is above the true one in nine of ten, also where values are missing or the level changes."""
    rng = np.random.default_rng(8)
    for true in (0.0, 0.4, 0.8):
        bounds = []
        for k in range(30):
            x = walk(rng, 80, true) + 2.0 * (np.arange(80) >= 30) * (k % 2)
            x[rng.random(80) < 0.2] = np.nan
            bounds.append(largest_correlation(x, 5))
        assert np.mean(np.array(bounds) >= true) >= 0.8
        assert np.mean(bounds) <= true + 0.35


@pytest.mark.slow
def test_a_big_change_is_found_where_it_is() -> None:
    rng = np.random.default_rng(4)
    exact, held = [], []
    for _ in range(60):
        found = shifts(walk(rng, 60, 0.0) + 2.0 * (np.arange(60) >= 35))
        exact.append(any(abs(s.index - 35) <= 1 for s in found))
        held.append(any(s.low <= 35 <= s.high for s in found))
    assert np.mean(exact) >= 0.75
    assert np.mean(held) >= 0.85


def test_two_changes() -> None:
    x = np.random.default_rng(9).standard_normal(90) + 3.0 * ((np.arange(90) >= 30) & (np.arange(90) < 60))
    first, second = shifts(x)
    assert (abs(first.index - 30) <= 1, abs(second.index - 60) <= 1) == (True, True)
    assert first.after == second.before == pytest.approx(3.0, abs=0.5)
    assert (first.p < 0.01, second.p < 0.05) == (True, True)
