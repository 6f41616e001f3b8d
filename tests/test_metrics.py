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


def test_bootstrap_draws_whole_speakers():
    speakers = [f"s{i // 3}" for i in range(90)]
    counts = metrics.bootstrap_counts(speakers, 50)
    blocks = counts.reshape(50, 30, 3)
    assert (blocks == blocks[:, :, :1]).all()
    assert (counts.sum(1) == 90).all()
    few = metrics.bootstrap_counts(["a"] * 4 + ["b"] * 4, 50)
    assert (few.sum(1) == 8).all()
    assert (few % 1 == 0).all()
    assert len(np.unique(few[:, :4].sum(1))) > 1


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
