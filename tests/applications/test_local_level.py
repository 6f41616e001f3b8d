"""Levels whose bands hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from multiemo.applications.local_level import smooth
from tests.support.moods import person


def daily(clips: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, float]:
    mean = np.array([c.mean() if len(c) else np.nan for c in clips])
    freedom = sum(len(c) - 1 for c in clips if len(c))
    return (
        mean,
        np.array([float(len(c)) for c in clips]),
        sum(((c - c.mean()) ** 2).sum() for c in clips if len(c)) / freedom,
    )


@pytest.mark.parametrize(
    ("days", "move", "shared"), [(60, 0.05, 0.1), (60, 0.0, 0.1), (60, 0.1, 0.02), (15, 0.05, 0.1)]
)
def test_bands_hold_the_level_as_often_as_they_say(days: int, move: float, shared: float) -> None:
    rng = np.random.default_rng(7)
    held, held_missing = [], []
    for _ in range(60):
        truth, clips = person(rng, days, move=move, shared=shared, single=0.2, missing=0.3)
        mean, count, within = daily(clips)
        level, reach = smooth(mean, count, within)
        inside = np.abs(level - truth) <= reach
        held.append(inside.mean())
        held_missing.append(inside[count == 0].mean() if (count == 0).any() else 1.0)
    assert 0.92 <= np.mean(held) <= 0.99
    assert np.mean(held_missing) >= 0.9


def test_the_smoother_is_that_of_a_normal_distribution() -> None:
    """With the grid shut to one pair, level and error are those of conditioning a joint normal on what was seen."""
    from multiemo.applications import local_level as module

    rng = np.random.default_rng(1)
    mean, count = rng.normal(0, 0.3, 12), np.array([1.0, 2, 3, 1, 0, 0, 4, 1, 1, 2, 0, 1])
    mean[count == 0] = np.nan
    known, within = np.isfinite(mean), 0.05
    spread = max(mean[known].var(ddof=1), within / count[known].mean())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LEVEL_VARIANCES", np.array([0.2]))
        patch.setattr(module, "_DAY_VARIANCES", np.array([0.4]))
        level, reach = smooth(mean, count, within)
    steps = np.minimum.outer(np.arange(1, 13), np.arange(1, 13))
    prior = 100 * spread + 0.2 * spread * steps
    noise = np.diag(0.4 * spread + within / count[known])
    gain = prior[:, known] @ np.linalg.inv(prior[np.ix_(known, known)] + noise)
    middle = mean[known].mean()
    np.testing.assert_allclose(level, middle + gain @ (mean[known] - middle), rtol=1e-6)
    error = np.sqrt(np.diag(prior - gain @ prior[known]))
    np.testing.assert_allclose(reach, stats.t.ppf(0.975, known.sum() - 1) * error, rtol=1e-5)


def test_ten_clips_of_a_day_are_not_ten_days() -> None:
    """With the same values, clips of few days say less than clips of many."""
    rng = np.random.default_rng(2)
    _, clips = person(rng, 40, move=0.0, shared=0.2, single=0.05, missing=0.0)
    mean, count, within = daily(clips)
    alone = smooth(mean, count, within)[1]
    crowded = smooth(mean, 10 * count, within)[1]
    assert np.all(crowded > 0.8 * alone)
