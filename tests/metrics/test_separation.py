"""AUROC of pairs of clips against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from multiemo.metrics.separation import separation


def test_area_is_that_of_scikit_learn_with_ties_and_its_interval_narrows_with_speakers() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for speakers in (5, 50):
        low, high = rng.normal(0, 1, 400).round(1), rng.normal(1, 1, 300).round(1)
        names = [rng.integers(0, speakers, n).astype(str) for n in (400, 300, 300)]
        value, least, most = separation(low, names[0], high, (names[1], names[2]))
        truth = np.repeat([0, 1], [400, 300])
        assert value == pytest.approx(roc_auc_score(truth, np.concatenate([low, high])))
        assert least < value < most
        widths.append(most - least)
    assert widths[1] < widths[0]


def test_the_kind_with_the_fewest_speakers_decides_how_sure_the_area_is() -> None:
    many, few = np.arange(12).astype(str), np.array(["0", "1"])
    perfect = separation(np.zeros(12), many, np.ones(2), (few, few))
    assert perfect == (1.0, pytest.approx(0.025**0.5), 1.0), "two trials, not twelve"
    assert separation(np.zeros(2), few, np.ones(12), (many, many)) == perfect
    mixed = separation(np.zeros(12), many, np.ones(12), (many, few[np.arange(12) % 2]))
    assert mixed == perfect, "the second clips of all pairs are of two speakers"


def test_intervals_hold_the_truth_if_speakers_of_one_kind_are_few() -> None:
    """Three speakers in pairs that score high, of whom 30% score low; counted as twelve: 64 of 100."""
    rng, inside = np.random.default_rng(0), 0
    many, few = np.repeat(np.arange(12), 4).astype(str), np.repeat(np.arange(3), 4)
    for trial in range(100):
        high = np.where(rng.random(3) < 0.3, -9.0, 9.0)[few] + rng.normal(0, 0.1, 12)
        found = separation(rng.normal(0, 0.1, 48), many, high, (few.astype(str), few.astype(str)), seed=trial)
        inside += found[1] <= 0.7 <= found[2]
    assert inside >= 93
