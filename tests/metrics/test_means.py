"""The interval of a mean over speakers."""

from __future__ import annotations

import numpy as np
import pytest

from multiemo.metrics import mean_estimate


@pytest.mark.parametrize("speakers", [4, 20])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(speakers: int) -> None:
    rng, inside = np.random.default_rng(speakers), 0
    for trial in range(200):
        own = rng.normal(0.3, 1.0, speakers)  # speakers differ, so clips of one speaker are not independent
        values = np.repeat(own, 6) + rng.normal(0, 0.5, 6 * speakers)
        found = mean_estimate(values, [f"s{i // 6}" for i in range(6 * speakers)], resamples=200, seed=trial)
        inside += found.low <= 0.3 <= found.high
    assert 0.89 <= inside / 200 <= 0.99  # over clips instead of speakers: 0.45


def test_missing_values_are_left_out_and_bounds_are_kept() -> None:
    found = mean_estimate(np.array([0.9, np.nan, 1.0, 0.2]), ["a", "a", "b", "c"], low=0.0, high=1.0)
    assert (found.n, found.speakers) == (3, 3)
    assert found.value == pytest.approx(0.7)
    assert (found.low, found.high) == (0.0, 1.0)
    with pytest.raises(ValueError, match="no clip"):
        mean_estimate(np.array([np.nan]), ["a"])


def test_equal_means_of_all_speakers() -> None:
    bounded = mean_estimate(np.ones(4), list("abcd"), low=0.0, high=1.0)
    assert bounded.high == 1.0
    assert bounded.low == pytest.approx(0.025**0.25)
    free = mean_estimate(np.ones(4), list("abcd"))
    assert (free.value, free.low, free.high) == (1.0, -np.inf, np.inf), "an interval of no width would be wrong"
    half = mean_estimate(np.ones(4), list("abcd"), low=0.0)
    assert (half.low, half.high) == (pytest.approx(0.025**0.25), np.inf)
