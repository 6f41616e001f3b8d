"""Figures against scikit-learn and scipy; intervals and tests against what they must do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as oracle

from multiemo import metrics


@pytest.fixture
def said():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 300)
    predicted = np.where(rng.random(300) < 0.6, truth, rng.integers(0, 4, 300))
    return truth, predicted


def test_figures_agree_with_scikit_learn(said):
    truth, predicted = said
    matrix = metrics.confusion(truth, predicted, 4)
    np.testing.assert_array_equal(matrix, oracle.confusion_matrix(truth, predicted))
    assert metrics.uar(matrix) == pytest.approx(oracle.balanced_accuracy_score(truth, predicted))
    assert metrics.macro_f1(matrix) == pytest.approx(oracle.f1_score(truth, predicted, average="macro"))
    assert metrics.wf1(matrix) == pytest.approx(oracle.f1_score(truth, predicted, average="weighted"))
    assert metrics.accuracy(matrix) == pytest.approx(oracle.accuracy_score(truth, predicted))


def test_a_label_that_never_occurs_does_not_count():
    truth, predicted = np.array([0, 0, 1]), np.array([0, 0, 1])
    matrix = metrics.confusion(truth, predicted, 5)
    assert metrics.uar(matrix) == 1.0
    assert metrics.macro_f1(matrix) == 1.0


def test_calibration_error_of_a_known_case():
    probabilities = np.array([[0.8, 0.2]] * 10)
    truth = np.array([0] * 6 + [1] * 4)
    assert metrics.expected_calibration_error(probabilities, truth) == pytest.approx(0.2, abs=1e-6)


def test_concordance_from_its_definition():
    rng = np.random.default_rng(1)
    x = rng.normal(size=200)
    y = 0.5 * x + rng.normal(size=200)
    r = stats.pearsonr(x, y).statistic
    expected = 2 * r * x.std() * y.std() / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert metrics.concordance(x, y) == pytest.approx(expected)
    assert np.isnan(metrics.concordance(x, np.full(200, np.nan)))


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    covered = 0
    trials = 200
    for trial in range(trials):
        skill = np.clip(rng.normal(0.7, 0.1, 30), 0, 1)  # speakers differ in how well they are recognised
        truth = rng.integers(0, 2, (30, 20))
        right = rng.random((30, 20)) < skill[:, None]
        predicted = np.where(right, truth, 1 - truth)
        names = [str(s) for s in range(30) for _ in range(20)]
        low, high = metrics.interval(truth.ravel(), predicted.ravel(), names, 2, resamples=300, seed=trial)
        covered += low <= 0.7 <= high
    assert 0.88 <= covered / trials <= 0.99


def test_paired_test_finds_a_difference_and_none_where_there_is_none(said):
    truth, predicted = said
    rng = np.random.default_rng(5)
    speakers = [f"s{i % 30}" for i in range(300)]
    better = np.where(rng.random(300) < 0.5, truth, predicted)
    found = metrics.paired_test(truth, better, predicted, speakers, 4)
    assert found.difference > 0.05
    assert found.low > 0
    assert found.p < 0.01
    same = metrics.paired_test(truth, predicted, predicted, speakers, 4)
    assert same.difference == 0
    assert same.p == 1.0
    back = metrics.paired_test(truth, predicted, better, speakers, 4)
    assert back.difference == pytest.approx(-found.difference)
    assert back.p == pytest.approx(found.p, abs=0.02)


def test_paired_p_values_are_uniform_enough_under_no_difference():
    rng = np.random.default_rng(9)
    small = 0
    for trial in range(150):
        truth = rng.integers(0, 3, 60)
        one = np.where(rng.random(60) < 0.6, truth, rng.integers(0, 3, 60))
        two = np.where(rng.random(60) < 0.6, truth, rng.integers(0, 3, 60))
        names = [str(i % 20) for i in range(60)]
        small += metrics.paired_test(truth, one, two, names, 3, resamples=200, seed=trial).p < 0.05
    assert small / 150 < 0.11


def test_figures_of_several_runs_are_averaged_within_each_resample():
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, 240)
    names = [f"s{i // 10}" for i in range(240)]
    runs = np.stack([np.where(rng.random(240) < 0.6, truth, rng.integers(0, 3, 240)) for _ in range(3)])
    measure = metrics.label_measure(3)
    pooled = metrics.estimates(measure, truth, runs, names)["uar"]
    alone = [metrics.estimates(measure, truth, run, names)["uar"].value for run in runs]
    assert pooled.value == pytest.approx(np.mean(alone))
    assert pooled.deviation == pytest.approx(np.std(alone, ddof=1))
    assert (pooled.runs, pooled.n, pooled.speakers) == (3, 240, 24)
    same = metrics.estimates(measure, truth, np.stack([runs[0]] * 3), names)["uar"]
    once = metrics.estimates(measure, truth, runs[0], names)["uar"]
    assert (same.low, same.high) == pytest.approx((once.low, once.high))
    assert same.deviation == 0
    assert once.deviation is None


def test_clips_that_a_run_has_not_are_left_out_of_it():
    rng = np.random.default_rng(6)
    truth = rng.integers(0, 3, 60)
    names = [f"s{i // 10}" for i in range(60)]
    runs = np.stack([truth, rng.integers(0, 3, 60)])
    runs[:, :10] = -1
    runs[1, 10:20] = -1
    found = metrics.estimates(metrics.label_measure(3), truth, runs, names)["uar"]
    second = metrics.uar(metrics.confusion(truth[20:], runs[1, 20:], 3))
    assert found.value == pytest.approx((1 + second) / 2)
    assert (found.n, found.speakers) == (50, 5)
    test = metrics.paired_test(truth, runs[0], runs, names, 3)  # one run stands against several
    assert test.difference == pytest.approx((1 - second) / 2)
    assert test.n == 50
    with pytest.raises(ValueError, match="run 1 has no usable clip"):
        metrics.estimates(metrics.label_measure(3), truth, np.stack([truth, np.full(60, -1)]), names)
    with pytest.raises(ValueError, match="cannot be paired"):
        metrics.paired_test(truth, runs, np.stack([truth] * 3), names, 3)
