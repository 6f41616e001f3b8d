"""Recognition of people: against scikit-learn, and resampled over people."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from multiemo.metrics.verification import equal_error_rates, recognition


def listed(scores: NDArray, person: NDArray, drawn: NDArray) -> tuple[list[float], list[int]]:
    """Every trial as often as it counts: the scores, and whether they are of the same person."""
    values, same = [], []
    for row, own in zip(scores, person, strict=True):
        for other, value in enumerate(row):
            count = drawn[own] if other == own else drawn[own] * drawn[other]
            values += [value] * count
            same += [int(own == other)] * count
    return values, same


def oracle(values: list[float], same: list[int]) -> float:
    false, true, _ = roc_curve(same, values, drop_intermediate=False)
    dense = np.linspace(0, 1, 200001)
    missed = 1 - np.interp(dense, false, true)
    return float(dense[np.abs(missed - dense).argmin()])


@pytest.mark.parametrize("decimals", [8, 1])
def test_error_rate_is_that_of_scikit_learn_also_when_people_are_drawn_several_times(decimals: int) -> None:
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(6), 5)
    scores = rng.normal(size=(30, 6))
    scores[np.arange(30), person] += 1.0
    scores = scores.round(decimals)
    for drawn in (np.ones(6, int), np.array([2, 0, 1, 1, 2, 0])):
        found = equal_error_rates(scores, person, drawn[None].astype(float))[0]
        assert found == pytest.approx(oracle(*listed(scores, person, drawn)), abs=2e-3)


def test_perfect_and_blind_attackers() -> None:
    person = np.repeat(np.arange(4), 3)
    perfect = recognition(np.eye(4)[person], person)
    assert (perfect.eer, perfect.accuracy) == (0.0, 1.0)
    assert perfect.eer_interval[1] > 0.1, "four people are not all people"
    blind = recognition(np.ones((12, 4)), person)
    assert (blind.eer, blind.accuracy) == (0.5, 0.25), "equal scores name everyone alike"


def test_more_trials_of_the_same_people_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(8), 4)
    scores = rng.normal(size=(32, 8))
    scores[np.arange(32), person] += rng.normal(1, 1, 8)[person]
    once, often = recognition(scores, person), recognition(np.tile(scores, (10, 1)), np.tile(person, 10))
    assert often.eer_interval == pytest.approx(once.eer_interval, abs=0.02)
    assert once.eer_interval[0] < once.eer < once.eer_interval[1]
