"""Paired tests and what they could have found, against scipy, worked examples and simulated speakers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from multiemo import metrics
from tests.support.designs import CLASSES, DESIGNS, error, say


def paired(speakers, each=10, gain=0.2, seed=8):
    """Two predictions of one label of two, the first more often right, and the share of a speaker's clips each has."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(speakers * each, dtype=int)
    one, two = (rng.random(len(truth)) > share for share in (0.6 + gain, 0.6))
    names = [f"s{i // each:03}" for i in range(len(truth))]
    shares = [1 - said.reshape(speakers, each).mean(1) for said in (one, two)]
    return truth, one.astype(int), two.astype(int), names, shares


@pytest.mark.parametrize("speakers", [6, 9, 30])
def test_swaps_of_speakers_agree_with_scipy(speakers):
    truth, one, two, names, shares = paired(speakers, gain=0.1, seed=5)
    found = metrics.paired_test(truth, one, two, names, 2, metrics.accuracy, resamples=4000)
    expected = stats.permutation_test(
        shares, lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples", n_resamples=4000, random_state=0
    )
    assert found.test == "swaps"
    assert found.difference == pytest.approx(expected.statistic)
    tolerance = 1e-9 if speakers < 12 else 0.03  # few speakers: every swap is tried, by both
    assert 0.001 < expected.pvalue < 0.95
    assert found.p == pytest.approx(expected.pvalue, abs=tolerance)


def test_too_few_speakers_to_swap_are_tested_by_students_t():
    truth, one, two, names, shares = paired(5)
    found = metrics.paired_test(truth, one, two, names, 2, metrics.accuracy, resamples=4000)
    expected = stats.ttest_rel(*shares)
    ends = expected.confidence_interval()
    assert found.test == "t"
    assert found.freedom == expected.df
    assert found.p == pytest.approx(expected.pvalue, rel=0.1)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), abs=0.01)
    same = metrics.paired_test(truth, one, one, names, 2, metrics.accuracy)
    assert (same.p, same.difference, same.error) == (1, 0, 0)
    others = 1 - 0.025 ** (1 / 5)  # of all people, five who differ nowhere leave room for so many who do
    assert (same.low, same.high) == pytest.approx((-others, others))
    assert metrics.minimum_detectable_difference(same) is None
    agreed = metrics.paired_test(
        np.zeros(6, dtype=int), np.zeros(6, dtype=int), np.ones(6, dtype=int), list("aabbcc"), 2
    )
    assert agreed.p == pytest.approx(2 / 2**3), "three speakers who all agree are three signs"


def test_holm_on_a_worked_example():
    # Sorted: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1 -> 0.02, 0.03, 0.06, and 0.06 again: never below the one before.
    assert metrics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert metrics.holm([0.4, 0.6]) == pytest.approx([0.8, 0.8])
    assert metrics.holm([0.7, 0.9, 0.8]) == [1, 1, 1]
    assert metrics.holm([0.03]) == [0.03]
    assert metrics.holm([]) == []


def test_the_detectable_difference_is_that_of_students_t():
    truth, one, two, names, _ = paired(400)
    test = metrics.paired_test(truth, one, two, names, 2, metrics.accuracy, resamples=300)
    wanted = stats.t.ppf(0.975, 399) + stats.t.ppf(0.8, 399)
    assert metrics.minimum_detectable_difference(test) == pytest.approx(wanted * test.error)
    assert wanted == pytest.approx(2.80, abs=0.01)
    assert metrics.minimum_detectable_difference(test, power=0.9) > metrics.minimum_detectable_difference(test)


def two_systems(design, rng, speakers, apart=0.5, gain=0.0):
    """Truth, what two systems say, and names.

    Each speaker is recognised better or worse by both, and by each of them alone (``apart``: standard deviation of that
    effect). With ``gain``, added to the logits of the first, zero, the two are the same over all speakers.
    """
    recall, truth, owner = design.people(rng, speakers)
    logits = np.log(recall / (1 - recall))
    said = []
    for more in (gain, 0.0):
        own = 1 / (1 + np.exp(-(logits + more + rng.normal(0, apart, (speakers, 1)))))
        said.append(say(rng, truth, own[owner, truth]))
    return truth, *said, [f"s{i}" for i in owner]


def rejected(speakers, trials, *, design=DESIGNS["alike"], alpha=0.05, by_clip=False, seed=0, **how):
    """Share of paired tests with a p-value of at most alpha."""
    rng = np.random.default_rng([seed, speakers])
    hits = 0
    for trial in range(trials):
        truth, one, two, names = two_systems(design, rng, speakers, **how)
        names = [str(i) for i in range(len(truth))] if by_clip else names
        hits += metrics.paired_test(truth, one, two, names, CLASSES, resamples=199, seed=trial).p <= alpha
    return hits / trials


@pytest.mark.parametrize("speakers", [4, 8])
def test_a_difference_that_is_none_is_found_as_seldom_as_alpha_says(speakers):
    assert rejected(speakers, 200) <= 0.05 + error(0.05, 200)


def test_swapping_clips_of_the_same_speakers_would_find_what_is_not_there():
    assert rejected(6, 60, by_clip=True) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("speakers", [2, 3, 4, 5, 6, 8, 12, 24])
@pytest.mark.parametrize("name", ["alike", "ragged"])
@pytest.mark.parametrize("apart", [0.0, 0.5])
def test_rejection_under_the_null_is_at_most_alpha(speakers, name, apart):
    found = rejected(speakers, 1000, design=DESIGNS[name], apart=apart)
    assert found <= 0.055 + error(0.055, 1000), found
    assert found > 0.002, "a test that never speaks is no test"


@pytest.mark.slow
@pytest.mark.parametrize("speakers", [5, 12, 24])
def test_the_detectable_difference_is_found_four_times_out_of_five(speakers):
    rng, trials = np.random.default_rng(speakers), 400
    draws = [two_systems(DESIGNS["alike"], rng, speakers, gain=0.0) for _ in range(50)]
    tests = [metrics.paired_test(*draw, CLASSES, resamples=300) for draw in draws]
    wanted = np.sqrt(np.mean([metrics.minimum_detectable_difference(test) ** 2 for test in tests]))
    design = DESIGNS["alike"]
    both = replace(design, spread=np.hypot(design.spread, 0.5))

    def better(gain):
        return replace(both, logits=tuple(m + gain for m in both.logits)).population - both.population

    gains = np.linspace(0, 4, 401)
    gain = float(np.interp(wanted, [better(g) for g in gains], gains))
    found = rejected(speakers, trials, gain=gain, seed=1)
    assert found == pytest.approx(0.8, abs=0.07 + error(0.8, trials)), (found, wanted)


def test_the_t_quantiles_are_those_of_scipy():
    low, high = metrics.interval(*DESIGNS["alike"].draw(np.random.default_rng(0), 5), CLASSES, resamples=500)
    found = metrics.estimates(
        metrics.label_measure(CLASSES), *DESIGNS["alike"].draw(np.random.default_rng(0), 5), resamples=500
    )["uar"]
    slope = 1 / (found.value * (1 - found.value))
    half = stats.t.ppf(0.975, 4) * found.error * slope
    middle = np.log(found.value / (1 - found.value))
    assert (low, high) == pytest.approx(tuple(1 / (1 + np.exp(-(middle + d))) for d in (-half, half)))
