"""Membership inference: against models whose memory is known, scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from multiemo.metrics.membership import inference, likelihood_ratios

PEOPLE, CLIPS, WIDTH = 40, 5, 400


def fit(x: NDArray, y: NDArray, chosen: NDArray, ridge: float) -> NDArray:
    """How well a ridge regression of random labels, trained on the chosen clips, fits every clip."""
    kernel = x[chosen] @ x[chosen].T + ridge * np.eye(int(chosen.sum()))
    return -((x @ (x[chosen].T @ np.linalg.solve(kernel, y[chosen])) - y) ** 2)


def attacked(ridge: float, *, saw_them: bool) -> tuple[float, float]:
    """The area under the curve, and true positives, of an attack on a regression."""
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(PEOPLE), CLIPS)
    x, y = rng.normal(size=(len(owner), WIDTH)), rng.choice([-1.0, 1.0], len(owner))
    halves = []
    for _ in range(4):
        half = np.isin(owner, rng.permutation(PEOPLE)[: PEOPLE // 2])
        halves += [half, ~half]
    member = np.isin(owner, rng.permutation(PEOPLE)[: PEOPLE // 2])
    if saw_them:
        target = fit(x, y, member, ridge)
    else:
        other, labels = rng.normal(size=(len(owner), WIDTH)), rng.choice([-1.0, 1.0], len(owner))
        weights = other.T @ np.linalg.solve(other @ other.T + ridge * np.eye(len(owner)), labels)
        target = -((x @ weights - y) ** 2)
    scores = likelihood_ratios(target, np.stack([fit(x, y, h, ridge) for h in halves]), np.stack(halves))
    found = inference(scores, member, owner)
    assert found.auc == pytest.approx(roc_auc_score(member, scores))
    assert found.auc_interval[0] <= found.auc <= found.auc_interval[1]
    return found.auc, found.tpr


def test_an_overfitted_model_is_found_out() -> None:
    auc, tpr = attacked(1e-3, saw_them=True)
    assert auc > 0.95
    assert tpr > 0.5


def test_a_model_that_never_saw_either_gives_chance() -> None:
    auc, tpr = attacked(1e-3, saw_them=False)
    assert auc == pytest.approx(0.5, abs=0.1)
    assert tpr < 0.1


def test_scores_are_log_ratios_of_normal_densities() -> None:
    shadows = np.array([[1.0, 5.0], [3.0, 7.0], [-1.0, 0.0], [-3.0, 2.0]])
    inside = np.array([[True, True], [True, True], [False, False], [False, False]])
    found = likelihood_ratios(np.array([2.5, 1.0]), shadows, inside)
    spread = np.sqrt(2.0 * 1.5)  # each pair has the variance 2, and its mean is of two models
    expected = [norm.logpdf(2.5, 2, spread) - norm.logpdf(2.5, -2, spread),
                norm.logpdf(1.0, 6, spread) - norm.logpdf(1.0, 1, spread)]  # fmt: skip
    assert found == pytest.approx(expected)


def test_true_positives_at_few_false_ones_and_the_mean_of_several_models() -> None:
    scores = np.concatenate([np.arange(200.0, 300.0), np.arange(100.0)])
    member = np.arange(200) < 100
    owner = np.arange(200)
    scores[150] = 260.5  # one of a hundred others, which is allowed: it costs nothing
    assert inference(scores, member, owner).tpr == 1.0
    scores[151] = 280.5  # the second one is above 1%
    assert inference(scores, member, owner).tpr == pytest.approx(0.39)
    both = inference(np.stack([scores, -scores]), np.stack([member, member]), owner)
    assert both.auc == pytest.approx(0.5)


def test_the_smaller_group_decides_how_sure_the_area_is() -> None:
    owner = np.arange(15)
    for members in (12, 3):
        found = inference(np.where(owner < members, 1.0, 0.0), owner < members, owner)
        assert (found.auc, found.auc_interval) == (1.0, (pytest.approx(0.025 ** (1 / 3)), 1.0))


def test_intervals_hold_the_truth_if_few_people_are_outside() -> None:
    """Of three people outside, 30% score above all members; counted as 15 people: 61 of 100."""
    rng, inside, owner = np.random.default_rng(0), 0, np.arange(15)
    for trial in range(100):
        others = np.where(rng.random(3) < 0.3, 10.0, 0.0) + rng.normal(0, 0.1, 3)
        scores = np.concatenate([rng.normal(5.0, 0.1, 12), others])
        low, high = inference(scores, owner < 12, owner, resamples=200, seed=trial).auc_interval
        inside += low <= 0.7 <= high
    assert inside >= 93


def test_fewer_than_a_hundred_others_have_no_share_of_one_in_a_hundred() -> None:
    for others, given in ((99, False), (100, True)):
        owner = np.arange(20 + others)
        found = inference(np.where(owner < 20, 1.0, 0.0), owner < 20, owner, resamples=20)
        assert found.auc == 1.0
        assert np.isfinite([found.tpr, *found.tpr_interval]).all() == given
