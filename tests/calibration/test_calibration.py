"""Temperatures against what made the data and scipy; curves against brute force; the guarantee by simulation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy import special, stats

from multiemo import metrics
from multiemo.calibration import (
    Calibration,
    abstention_threshold,
    aurc,
    change_of_prior,
    decide,
    error_bound,
    events,
    fit_calibration,
    fit_scaling,
    fit_temperature,
    fit_thresholds,
    reliability,
    risk_coverage,
    shown_keys,
    temper,
    thinned,
    top_label,
)


def drawn(n: int, classes: int = 5, seed: int = 0):
    """Logits, and labels drawn from just their softmax."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, classes))
    p = special.softmax(logits, axis=1)
    truth = (p.cumsum(1) > rng.random((n, 1))).argmax(1)
    return logits, np.eye(classes)[truth]


# -------------------------------------------------------------------------------------------------------- temperature
@pytest.mark.parametrize("made", [0.4, 1.0, 2.5])
def test_the_temperature_that_miscalibrated_the_data_is_found(made):
    logits, target = drawn(6000)
    wrong = special.softmax(logits * made, axis=1)  # too sure by a factor
    found = fit_temperature(wrong, target)
    assert found == pytest.approx(made, rel=0.05)
    assert reliability_gap(temper(wrong, found), target) < 0.02


def reliability_gap(p, target):
    return metrics.expected_calibration_error(p, target.argmax(1))


def test_it_is_the_optimum_of_torch_on_the_same_likelihood():
    logits, target = drawn(500)
    z, t = torch.tensor(logits * 2), torch.tensor(target)
    b = torch.ones((), dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([b], max_iter=100, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def step():
        solver.zero_grad()
        loss = torch.nn.functional.cross_entropy(b * z, t, reduction="sum") + b - 1 - b.log()
        loss.backward()
        return loss

    solver.step(step)
    assert fit_temperature(special.softmax(logits * 2, axis=1), target) == pytest.approx(1 / float(b), rel=1e-5)


def test_several_labels_have_a_binary_likelihood():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (4000, 4))
    target = (rng.random(logits.shape) < special.expit(logits)).astype(float)
    assert fit_temperature(special.expit(logits * 3), target, "multi") == pytest.approx(3, rel=0.05)


def test_soft_votes_are_met_as_a_distribution():
    logits, _ = drawn(2000)
    votes = special.softmax(logits, axis=1)
    assert fit_temperature(special.softmax(logits * 2, axis=1), votes, "soft") == pytest.approx(2, rel=0.02)


def test_few_clips_that_are_all_right_do_not_make_the_model_sure_of_everything():
    p = np.array([[0.6, 0.4]] * 5)
    target = np.array([[1.0, 0.0]] * 5)
    found = fit_temperature(p, target)
    assert 0.2 < found < 1
    assert fit_temperature(np.zeros((0, 3)), np.zeros((0, 3))) == pytest.approx(1, abs=1e-6)


def test_extreme_probabilities_stay_finite():
    p = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    target = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    for task in ("single", "multi"):
        found = fit_temperature(p, target, task)
        assert found > 1, "one of three certain answers is wrong"
        assert np.isfinite(temper(p, found, task)).all()


@pytest.mark.parametrize("task", ["single", "multi"])
def test_tempering_keeps_the_order_of_labels_and_is_undone_by_its_inverse(task):
    logits, _ = drawn(200)
    p = special.expit(logits) if task == "multi" else special.softmax(logits, axis=1)
    for temperature in (0.3, 4.0):
        other = temper(p, temperature, task)
        np.testing.assert_array_equal(other.argsort(1), p.argsort(1))
        np.testing.assert_allclose(temper(other, 1 / temperature, task), p, atol=1e-9)
    by_row = temper(p, np.where(np.arange(200) < 100, 1.0, 2.0), task)
    np.testing.assert_allclose(by_row[:100], p[:100], atol=1e-12)
    np.testing.assert_allclose(by_row[100:], temper(p[100:], 2.0, task))


# ----------------------------------------------------------------------------------------------------------- diagrams
def test_the_bins_add_up_to_the_calibration_error():
    logits, target = drawn(400)
    p = special.softmax(logits * 2, axis=1)
    bins = reliability(*events(p, target))
    gaps = np.abs(np.array(bins["confidence"]) - bins["accuracy"]) * bins["n"] / 400
    assert sum(bins["n"]) == 400
    assert gaps.sum() == pytest.approx(metrics.expected_calibration_error(p, target.argmax(1)), abs=2e-4)


def test_several_labels_are_binned_label_by_label():
    confidence, outcome = events(np.array([[0.2, 0.9]]), np.array([[0.0, 1.0]]), "multi")
    assert (confidence.tolist(), outcome.tolist()) == ([0.2, 0.9], [False, True])
    said, right = top_label(np.array([[0.6, 0.9], [0.7, 0.1]]), np.array([[1.0, 1.0], [0.0, 0.0]]), "multi")
    assert (said.tolist(), right.tolist()) == ([0.9, 0.7], [True, False])


def test_risk_coverage_against_brute_force():
    rng = np.random.default_rng(2)
    confidence = rng.integers(0, 20, 150) / 20  # with ties
    correct = rng.random(150) < confidence
    coverage, risk = risk_coverage(confidence, correct)
    for share, error, threshold in zip(coverage, risk, np.unique(confidence)[::-1], strict=True):
        chosen = confidence >= threshold
        assert share == pytest.approx(chosen.mean())
        assert error == pytest.approx(1 - correct[chosen].mean())
    by_hand = np.mean([1 - correct[confidence >= c].mean() for c in confidence])
    assert aurc(coverage, risk) == pytest.approx(by_hand)
    small = thinned(coverage, risk, points=5)
    assert len(small["risk"]) == 5
    assert (small["coverage"][-1], small["risk"][-1]) == (1.0, round(float(risk[-1]), 4))


# --------------------------------------------------------------------------------------------------------- abstention
def test_the_bound_is_the_one_of_clopper_and_pearson():
    for errors, n in ((0, 10), (3, 40), (40, 40)):
        oracle = stats.binomtest(errors, n).proportion_ci(0.9, method="exact").high  # two-sided: 0.05 above
        assert error_bound(errors, n, 0.05) == pytest.approx(oracle)
    assert stats.binom.cdf(3, 40, error_bound(3, 40, 0.05)) == pytest.approx(0.05)


def skilled(rng, n):
    """Confidence, and whether it is right as often as it says."""
    confidence = rng.beta(4, 1, n)
    return confidence, rng.random(n) < confidence


@pytest.mark.parametrize("error", [0.1, 0.15])
def test_the_wished_error_is_kept_on_new_clips_as_surely_as_promised(error):
    rng = np.random.default_rng(3)
    many, right = skilled(rng, 100_000)
    order = np.argsort(-many)
    risk = np.cumsum(~right[order]) / np.arange(1, len(many) + 1)

    def exceeds(threshold):
        return risk[int(np.searchsorted(-many[order], -threshold, side="right")) - 1] > error

    answered = exceeded = naive = 0
    trials = 300
    for _ in range(trials):
        confidence, correct = skilled(rng, 400)
        threshold = abstention_threshold(confidence, correct, error)
        if threshold is not None:
            answered += 1
            exceeded += exceeds(threshold)
        _, seen = risk_coverage(confidence, correct)
        lowest = np.unique(confidence)[::-1][np.flatnonzero(seen <= error).max(initial=0)]
        naive += exceeds(lowest)
    assert answered > trials / 2
    assert exceeded / trials <= 0.1
    assert naive / trials > 0.2, "without the bound the same clips do not assure it"


def test_the_threshold_is_the_lowest_that_the_bound_lets_pass():
    confidence = np.linspace(0.01, 1, 100)
    correct = confidence > 0.4
    threshold = abstention_threshold(confidence, correct, 0.15)
    chosen = confidence >= threshold
    steps = 7  # of a binary search over 100
    assert error_bound(int((chosen & ~correct).sum()), int(chosen.sum()), 0.1 / steps) <= 0.15
    assert threshold == pytest.approx(0.4, abs=0.05)
    assert abstention_threshold(confidence, np.ones(100, dtype=bool), 0.15) == confidence[0]


def test_an_error_that_too_few_clips_can_assure_has_no_threshold():
    confidence = np.linspace(0.5, 1, 12)
    assert abstention_threshold(confidence, np.ones(12, dtype=bool), 0.05) is None
    assert abstention_threshold(np.zeros(0), np.zeros(0, dtype=bool), 0.5) is None


# -------------------------------------------------------------------------------------------------------- calibration
PRESENCE = {"text": np.arange(400) % 4 != 0, "speech": np.arange(400) % 5 != 0}


def fitted(max_error=None):
    logits, target = drawn(400, seed=4)
    made = {"T": 1.0, "S": 2.0, "TS": 3.0}
    p = {k: special.softmax(logits * made[k], axis=1) for k in made}
    heads = {"text": p["T"], "speech": special.softmax(logits * 0.5, axis=1)}
    return fit_calibration(p, heads, PRESENCE, target, max_error=max_error), p, target


def test_each_subset_is_fitted_on_the_clips_that_have_all_of_it():
    calibration, p, target = fitted()
    assert calibration.clips == {"T": 300, "S": 320, "TS": 240}
    both = PRESENCE["text"] & PRESENCE["speech"]
    temperature, bias = fit_scaling(p["TS"][both], target[both])
    assert (calibration.temperatures["TS"], list(calibration.biases["TS"])) == (temperature, bias.tolist())
    assert temperature == pytest.approx(3, rel=0.2)
    assert calibration.branches["speech"] == pytest.approx(0.5, rel=0.2)
    assert calibration.thresholds == {}
    assert calibration.answers("TS", 0.0)
    assert calibration.notes() == []


def test_a_clip_is_calibrated_by_what_it_has_of_a_subset():
    calibration, p, _ = fitted()
    after = calibration.apply("TS", p["TS"], PRESENCE)
    shown = shown_keys("TS", PRESENCE)
    assert shown[:6] == ["", "TS", "TS", "TS", "S", "T"]
    for row in (1, 4, 5):
        bias = np.array(calibration.biases[shown[row]])
        expected = temper(p["TS"][[row]], calibration.temperature(shown[row]), bias=bias)
        np.testing.assert_allclose(after[[row]], expected)


def test_a_subset_that_cannot_keep_the_wished_error_never_answers_and_says_so():
    calibration, *_ = fitted(max_error=0.02)
    assert calibration.thresholds == {"T": None, "S": None, "TS": None}
    assert not calibration.answers("TS", 1.0)
    (note,) = calibration.notes()
    assert "max_error 0.02 cannot be assured for T, S, TS with 240 to 320 validation clips" in note
    reached, *_ = fitted(max_error=0.4)
    threshold = reached.thresholds["TS"]
    assert reached.answers("TS", threshold)
    assert not reached.answers("TS", threshold - 1e-6)
    assert not reached.answers("F", 1.0), "a set that was not fitted assures nothing"


def test_a_subset_without_validation_clips_says_so():
    never = {**PRESENCE, "speech": ~PRESENCE["text"]}
    logits, target = drawn(400)
    calibration = fit_calibration({"TS": special.softmax(logits, axis=1)}, {}, never, target)
    assert calibration.temperature("TS") == pytest.approx(1, abs=1e-6)
    assert "no validation clip has all modalities of TS" in calibration.notes()[0]


def test_json_round_trip_and_values_that_are_refused():
    calibration, *_ = fitted(max_error=0.4)
    assert Calibration.from_json(json.loads(json.dumps(calibration))) == calibration
    assert Calibration.from_json({}) == Calibration()
    for bad in ({"temperatures": {"T": 0.0}}, {"temperatures": {"T": "hot"}}, {"temperatures": [1]},
                {"thresholds": {"T": float("nan")}}, {"max_error": -1}, {"warmth": 1}, {"clips": 3},
                {"biases": {"T": ["x"]}}, {"costs": {"T": [float("inf")]}}, {"smoothing": 3}):  # fmt: skip
        with pytest.raises(ValueError, match="calibration: "):
            Calibration.from_json(bad)


# ------------------------------------------------------------------------------------------- priors, biases, decisions
FREQUENCIES = np.array([0.6, 0.25, 0.1, 0.05])


def weighed(power, n=4000, seed=0, spread=1.5):
    """What a perfect network that was trained with class weights says of clips, and their labels."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, n, p=FREQUENCIES)
    x = np.eye(4)[truth] * spread + rng.normal(size=(n, 4))
    likelihood = spread * x  # log of the density, up to what all labels share
    learnt = FREQUENCIES ** (1 - power)
    learnt /= learnt.sum()
    return special.softmax(likelihood + np.log(learnt), axis=1), np.eye(4)[truth], learnt


@pytest.mark.parametrize("power", [0.0, 0.5, 0.85, 1.0])
def test_calibrated_probabilities_are_those_of_the_labels_as_they_occur(power):
    p, target, learnt = weighed(power)
    known = temper(p, 1.0, bias=change_of_prior(learnt, FREQUENCIES, 1.0))
    posterior, *_ = weighed(0.0)
    np.testing.assert_allclose(known, posterior, atol=1e-9)
    temperature, bias = fit_scaling(p, target, learnt=learnt, prior=FREQUENCIES)
    assert temperature == pytest.approx(1, abs=0.08)
    calibrated = temper(p, temperature, bias=bias)
    np.testing.assert_allclose(calibrated.mean(0), target.mean(0), atol=0.01)
    if power > 0:
        assert abs(p.mean(0) - target.mean(0)).max() > 0.05, "before, they are not"


def test_each_class_has_a_bias_where_the_known_prior_does_not_explain_it():
    p, target, learnt = weighed(0.0)
    wrong = special.softmax(np.log(p) + np.array([0.0, 1.0, 0.0, -1.0]), axis=1)
    temperature, bias = fit_scaling(wrong, target, learnt=learnt, prior=FREQUENCIES)
    after = temper(wrong, temperature, bias=bias)
    assert abs(after - p).mean() < 0.01 < abs(wrong - p).mean()


def test_a_model_that_knows_nothing_says_the_frequencies_of_train_at_any_temperature():
    learnt = np.array([0.4, 0.3, 0.2, 0.1])
    for temperature in (0.5, 1.0, 3.0):
        bias = change_of_prior(learnt, FREQUENCIES, temperature)
        np.testing.assert_allclose(temper(learnt[None], temperature, bias=bias)[0], FREQUENCIES, atol=1e-9)


def test_a_label_that_train_never_had_is_not_called_into_being():
    prior = np.array([0.5, 0.5, 0.0])
    p = np.array([[0.5, 0.4999, 0.0001]])
    assert temper(p, 1.0, bias=change_of_prior(prior, prior, 1.0))[0, 2] < 1e-4
    rng = np.random.default_rng(0)
    many = np.abs(rng.dirichlet([5, 5, 0.01], 300))
    temperature, bias = fit_scaling(many, np.eye(3)[rng.integers(0, 2, 300)], prior=prior)
    assert temper(many, temperature, bias=bias)[:, 2].mean() < 0.02


def test_people_left_out_decide_how_much_the_fit_may_trust_few():
    p, target, learnt = weighed(0.0, n=60, seed=3)
    odd = special.softmax(np.log(p) + np.repeat(np.eye(4)[[0, 1, 2, 3, 0, 1]] * 2, 10, axis=0), axis=1)
    people = np.repeat(np.arange(6), 10)  # each is misread in a way of their own
    _, careful = fit_scaling(odd, target, learnt=learnt, prior=FREQUENCIES, groups=people)
    _, rash = fit_scaling(odd, target, learnt=learnt, prior=FREQUENCIES, groups=np.arange(60))
    assert np.abs(careful).sum() <= np.abs(rash).sum() + 1e-9
    none, bias = fit_scaling(np.zeros((0, 4)), np.zeros((0, 4)), learnt=learnt, prior=FREQUENCIES)
    assert (none, bias.tolist()) == (1, change_of_prior(learnt, FREQUENCIES, 1.0).tolist())


def loss_of(p, target):
    return -np.log((p * target).sum(axis=1)).mean()


def misread(people, clips, seed):
    """Clips of people each of whom a perfect model misreads by a bias of their own, and who they are."""
    rng = np.random.default_rng(seed)
    p, target, learnt = weighed(0.0, n=people * clips, seed=seed)
    owner = np.repeat(np.arange(people), clips)
    return special.softmax(np.log(p) + rng.normal(0, 0.6, (people, 4))[owner], axis=1), target, learnt, owner


@pytest.mark.parametrize("people", [1, 2, 3])
def test_a_fit_on_few_people_does_not_harm_others(people):
    harm = []
    for seed in range(10):
        p, target, learnt, owner = misread(people + 20, 60, seed)
        known = owner < people
        own = {"learnt": learnt, "prior": FREQUENCIES}
        temperature, bias = fit_scaling(p[known], target[known], groups=owner[known], **own)
        after = temper(p[~known], temperature, bias=bias)
        harm.append(loss_of(after, target[~known]) - loss_of(p[~known], target[~known]))
    assert np.mean(harm) < 0.003
    assert max(harm) < 0.02


def test_people_who_agree_that_a_model_is_too_sure_outweigh_the_prior():
    p, target, _, owner = misread(12, 60, seed=5)
    sure = special.softmax(3 * np.log(p), axis=1)
    own = {"learnt": FREQUENCIES, "prior": FREQUENCIES}
    temperature, _ = fit_scaling(sure, target, groups=owner, **own)
    assert temperature == pytest.approx(3, rel=0.25)
    few = owner < 4
    careful, _ = fit_scaling(sure[few], target[few], groups=owner[few], **own)
    assert 1 < careful < temperature, "four people move it, but less"


def test_clips_of_one_person_count_less_than_clips_of_many():
    confidence, correct = np.linspace(0.01, 1, 200), np.linspace(0.01, 1, 200) > 0.4
    many = abstention_threshold(confidence, correct, 0.2, people=np.arange(200))
    assert many == abstention_threshold(confidence, correct, 0.2)
    few = abstention_threshold(confidence, correct, 0.2, people=np.arange(200) % 20)
    assert few is None or few > many
    assert abstention_threshold(confidence, correct, 0.2, people=np.zeros(200)) is None


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_a_label_is_decided_at_the_costs_of_training(power):
    p, _, learnt = weighed(power)
    calibrated = temper(p, 1.0, bias=change_of_prior(learnt, FREQUENCIES, 1.0))
    costs = FREQUENCIES**-power
    np.testing.assert_array_equal(decide(calibrated, costs=costs), p.argmax(1))
    missing = np.where(np.arange(len(p))[:, None] == 0, np.nan, calibrated)
    assert decide(missing)[0] == -1


def test_a_head_that_learnt_weighed_labels_gives_the_ones_it_finds_most_likely_itself():
    p, target, learnt = weighed(0.85)
    odd = special.softmax(1.3 * np.log(p) + np.array([0.5, 0.0, 0.0, -0.2]), axis=1)  # what no formula knows
    here = {"speech": np.ones(len(p), dtype=bool)}
    how = {"prior": FREQUENCIES, "learnt": learnt}
    fitted = fit_calibration({"S": odd}, {"speech": odd}, here, target, weighted_heads={"fused"}, **how)
    calibrated = fitted.apply("S", odd, here)
    np.testing.assert_array_equal(fitted.decide(["S"] * len(p), calibrated), odd.argmax(1))
    np.testing.assert_array_equal(fitted.decide(["speech"] * len(p), calibrated), calibrated.argmax(1))
    np.testing.assert_allclose(calibrated.mean(0), target.mean(0), atol=0.02)
    plain = fit_calibration({"S": odd}, {}, here, target, **how)
    np.testing.assert_array_equal(plain.decide(["S"] * len(p), calibrated), calibrated.argmax(1))


@pytest.mark.slow
def test_thresholds_of_several_labels_are_where_f1_is_highest():
    rng = np.random.default_rng(2)
    target = (rng.random((800, 3)) < [0.3, 0.1, 0.004]).astype(float)
    p = special.expit(rng.normal(size=target.shape) + 2.5 * target - 2.5)
    found = fit_thresholds(p, target)
    for c in (0, 1):
        best = max(oracle_f1(target[:, c], p[:, c] > t) for t in p[:, c])
        assert oracle_f1(target[:, c], p[:, c] > found[c]) == pytest.approx(best)
        assert best > oracle_f1(target[:, c], p[:, c] > 0.5), "a half is not the best"
    assert target[:, 2].sum() < 10, "a label with few clips shares a threshold"
    assert fit_thresholds(p, np.zeros_like(target)).tolist() == [0.5] * 3


def oracle_f1(truth, given):
    from sklearn.metrics import f1_score

    return f1_score(truth, given, zero_division=0)
