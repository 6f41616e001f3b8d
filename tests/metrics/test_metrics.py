"""Figures and intervals against scikit-learn, scipy, torchmetrics and hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial import distance
from sklearn import metrics as oracle
from sklearn.dummy import DummyClassifier
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
    multilabel_average_precision,
)

from multiemo import metrics


@pytest.fixture
def said():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 300)
    predicted = np.where(rng.random(300) < 0.6, truth, rng.integers(0, 4, 300))
    return truth, predicted


@pytest.fixture
def several():
    """Targets and probabilities ``[200, 5]`` with tied scores; the fifth label never occurs."""
    rng = np.random.default_rng(1)
    truth = (rng.random((200, 5)) < [0.5, 0.3, 0.1, 0.05, 0.0]).astype(float)
    scores = 1 / (1 + np.exp(-(3 * truth - 1.5 + rng.normal(size=truth.shape))))
    return truth, np.clip(scores.round(1), 0, 0.9)


@pytest.fixture
def votes():
    """Shares of ten votes and probabilities ``[150, 4]``; some votes tie."""
    rng = np.random.default_rng(2)
    shares = rng.multinomial(10, [0.4, 0.3, 0.2, 0.1], 150) / 10
    predicted = rng.dirichlet(np.ones(4), 150)
    return shares, 0.5 * predicted + 0.5 * shares


def test_figures_agree_with_scikit_learn(said):
    truth, predicted = said
    matrix = metrics.confusion(truth, predicted, 4)
    np.testing.assert_array_equal(matrix, oracle.confusion_matrix(truth, predicted))
    assert metrics.uar(matrix) == pytest.approx(oracle.balanced_accuracy_score(truth, predicted))
    assert metrics.macro_f1(matrix) == pytest.approx(oracle.f1_score(truth, predicted, average="macro"))
    assert metrics.wf1(matrix) == pytest.approx(oracle.f1_score(truth, predicted, average="weighted"))
    assert metrics.accuracy(matrix) == pytest.approx(oracle.accuracy_score(truth, predicted))


def test_each_label_agrees_with_scikit_learn(said):
    truth, predicted = said
    found = metrics.per_class(metrics.confusion(truth, np.where(predicted == 3, 0, predicted), 5))
    expected = oracle.precision_recall_fscore_support(
        truth, np.where(predicted == 3, 0, predicted), labels=range(5), zero_division=np.nan
    )
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose(found[name], values, err_msg=name)


def test_a_label_that_never_occurs_does_not_count():
    truth, predicted = np.array([0, 0, 1]), np.array([0, 0, 1])
    matrix = metrics.confusion(truth, predicted, 5)
    assert metrics.uar(matrix) == 1.0
    assert metrics.macro_f1(matrix) == 1.0


def test_calibration_error_of_a_known_case():
    probabilities = np.array([[0.8, 0.2]] * 10)
    truth = np.array([0] * 6 + [1] * 4)
    assert metrics.expected_calibration_error(probabilities, truth) == pytest.approx(0.2, abs=1e-6)
    target = np.eye(2)[truth]
    assert metrics.calibration_error("single", target, probabilities) == pytest.approx(0.2, abs=1e-6)
    tied = np.full((10, 2), 0.5)
    assert np.isnan(metrics.calibration_error("soft", tied, probabilities)), "no clip has a label to be right about"


@pytest.mark.parametrize("classes", [2, 5])
def test_calibration_error_agrees_with_torchmetrics(classes):
    rng = np.random.default_rng(classes)
    p, truth = rng.dirichlet(np.full(classes, 0.4), size=500), rng.integers(0, classes, 500)
    theirs = multiclass_calibration_error(torch.from_numpy(p), torch.from_numpy(truth), classes, n_bins=15)
    assert metrics.expected_calibration_error(p, truth) == pytest.approx(float(theirs), abs=1e-6)
    given = rng.random((200, classes)) > 0.6
    scores = rng.random((200, classes))
    theirs = binary_calibration_error(torch.from_numpy(scores.ravel()), torch.from_numpy(given.ravel()).long(), 15)
    assert metrics.calibration_error("multi", given.astype(float), scores) == pytest.approx(float(theirs), abs=1e-6)
    sure = np.eye(classes)[truth]
    assert metrics.expected_calibration_error(sure, np.roll(truth, 1)) == pytest.approx(
        (truth != np.roll(truth, 1)).mean()
    )


def test_several_labels_agree_with_scikit_learn_and_torchmetrics(several):
    truth, scores = several
    found = metrics.multi_measure().plain(truth, scores)
    given, some = scores > 0.5, [0, 1, 2, 3]
    assert given[:, 4].any(), "a label that is given but never occurs counts against macro F1"
    assert found["map"] == pytest.approx(oracle.average_precision_score(truth[:, some], scores[:, some]))
    p, t = torch.from_numpy(scores[:, some]), torch.from_numpy(truth[:, some]).long()
    assert found["map"] == pytest.approx(float(multilabel_average_precision(p, t, 4)), abs=1e-6)
    assert found["macro_f1"] == pytest.approx(oracle.f1_score(truth, given, average="macro", zero_division=0))
    assert found["micro_f1"] == pytest.approx(oracle.f1_score(truth, given, average="micro"))
    assert found["wf1"] == pytest.approx(oracle.f1_score(truth, given, average="weighted", zero_division=0))
    recall = oracle.recall_score(truth[:, some], given[:, some], average="macro")
    assert found["uar"] == pytest.approx(recall)
    assert found["accuracy"] == pytest.approx(oracle.accuracy_score(truth, given))
    each = metrics.per_label(truth, scores)
    assert each["ap"][:4] == pytest.approx([oracle.average_precision_score(truth[:, c], scores[:, c]) for c in some])
    assert np.isnan(each["ap"][4])
    np.testing.assert_allclose(each["precision"], oracle.precision_score(truth, given, average=None, zero_division=0))


def test_dimensions_agree_with_their_definitions():
    rng = np.random.default_rng(1)
    x = rng.normal(size=200)
    y = 0.5 * x + rng.normal(size=200)
    r = stats.pearsonr(x, y).statistic
    expected = 2 * r * x.std() * y.std() / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    found = metrics.dimension_measure().plain(y, x)
    assert found["ccc"] == pytest.approx(expected)
    assert metrics.concordance(x, y) == pytest.approx(expected)
    assert found["pearson"] == pytest.approx(r)
    assert found["mae"] == pytest.approx(oracle.mean_absolute_error(y, x))
    assert found["rmse"] == pytest.approx(oracle.root_mean_squared_error(y, x))
    far = metrics.dimension_measure().plain(y + 1e6, x + 1e6)
    assert far["ccc"] == pytest.approx(expected, abs=1e-6), "no digits are lost far from zero"


def test_a_correlation_without_spread_is_not_defined():
    measure, flat = metrics.dimension_measure(), np.full(20, 0.3)
    assert np.isnan(metrics.concordance(np.zeros(20), np.full(20, np.nan)))
    assert np.isnan(measure.plain(flat, flat)["ccc"])
    assert np.isnan(measure.plain(flat, np.arange(20.0))["pearson"])
    assert measure.plain(flat, np.arange(20.0))["ccc"] == pytest.approx(0)


def test_votes_agree_with_scipy(votes):
    shares, predicted = votes
    found = metrics.vote_measure(4).plain(shares, predicted)
    pairs = list(zip(shares, predicted, strict=True))
    assert found["kl"] == pytest.approx(np.mean([stats.entropy(v, p) for v, p in pairs]))
    entropy = np.mean([stats.entropy(v) for v in shares])
    assert found["cross_entropy"] == pytest.approx(found["kl"] + entropy)
    assert found["js"] == pytest.approx(np.mean([distance.jensenshannon(v, p, base=2) ** 2 for v, p in pairs]))
    assert found["cosine"] == pytest.approx(np.mean([1 - distance.cosine(v, p) for v, p in pairs]))
    clear = np.array([np.sum(v == v.max()) == 1 for v in shares])
    assert 0 < clear.sum() < len(clear), "the case holds ties and winners"
    recall = oracle.balanced_accuracy_score(shares[clear].argmax(1), predicted[clear].argmax(1))
    assert found["uar"] == pytest.approx(recall)
    perfect = metrics.vote_measure(4).plain(shares, shares)
    assert (perfect["kl"], perfect["js"], perfect["cosine"]) == pytest.approx((0, 0, 1), abs=1e-6)


def test_ties_have_no_label_to_be_right_about():
    tied, answered = np.full((6, 2), 0.5), np.tile([0.7, 0.3], (6, 1))
    found = metrics.vote_measure(2).plain(tied, answered)
    assert all(np.isnan(found[name]) for name in ("uar", "macro_f1", "wf1", "accuracy"))
    assert np.isfinite(found["cross_entropy"])
    clear = np.tile([1.0, 0.0], (6, 1))
    speakers = [name for name in "abcdef" for _ in range(2)]
    truth, p = np.concatenate([clear, tied]), np.concatenate([answered, answered])
    (estimate,) = (metrics.estimates(metrics.vote_measure(2), truth, p, speakers)["uar"],)
    assert (estimate.value, estimate.high) == (1.0, 1.0), "speakers with nothing but ties are no failures"


def test_a_vote_for_the_impossible_is_finite():
    found = metrics.vote_measure(2).plain(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert found["cross_entropy"] == pytest.approx(-np.log(1e-12))
    assert found["js"] == pytest.approx(1, abs=1e-6)


def cases(said, several, votes):
    rng = np.random.default_rng(3)
    yield "single", metrics.label_measure(4), *said
    yield "multi", metrics.multi_measure(), *several
    yield "soft", metrics.vote_measure(4), *votes
    yield "dimension", metrics.dimension_measure(), *rng.normal(size=(2, 90))


def test_weighing_speakers_is_repeating_their_clips(said, several, votes):
    rng = np.random.default_rng(4)
    for name, measure, truth, predicted in cases(said, several, votes):
        owner = rng.integers(0, 6, len(truth))
        weights = rng.integers(0, 4, (5, 6)).astype(float)
        found = measure.figures(truth, predicted, owner, weights)
        for b, row in enumerate(weights):
            again = np.repeat(np.arange(len(truth)), row[owner].astype(int))
            expected = measure.plain(truth[again], predicted[again])
            assert {k: v[b] for k, v in found.items()} == pytest.approx(expected), name


def test_guessing_is_what_a_stratified_dummy_gets_on_average(said):
    truth, _ = said
    rng = np.random.default_rng(0)
    train = rng.choice(4, 1000, p=[0.5, 0.3, 0.15, 0.05])
    prior = np.bincount(train, minlength=4) / 1000
    expected = metrics.guessing("single", np.eye(4)[truth], prior)
    fitted = DummyClassifier(strategy="stratified", random_state=np.random.RandomState(0)).fit(train[:, None], train)
    drawn = [metrics.label_measure(4).plain(truth, fitted.predict(truth[:, None])) for _ in range(300)]
    for name, value in expected.items():
        assert value == pytest.approx(np.mean([d[name] for d in drawn]), abs=0.005), name
    assert expected["uar"] == pytest.approx(0.25)


def test_guessing_several_labels_is_drawing_each(several):
    truth, _ = several
    prior = np.array([0.6, 0.2, 0.1, 0.1, 0.05])
    expected = metrics.guessing("multi", truth, prior)
    rng = np.random.default_rng(5)
    drawn = [metrics.multi_measure().plain(truth, (rng.random(truth.shape) < prior) * 1.0) for _ in range(300)]
    for name in ("macro_f1", "micro_f1", "uar", "accuracy"):
        assert expected[name] == pytest.approx(np.mean([d[name] for d in drawn]), abs=0.01), name
    order = [metrics.multi_measure().plain(truth, rng.random(truth.shape))["map"] for _ in range(300)]
    assert expected["map"] == pytest.approx(np.mean(order), abs=0.02)


def test_scores_of_a_missing_prediction_are_marked():
    target = np.eye(3)
    probabilities = np.stack([np.eye(3), np.full((3, 3), np.nan)])
    truth, predicted = metrics.scored("single", target, probabilities)
    assert truth.tolist() == [0, 1, 2]
    assert predicted.tolist() == [[0, 1, 2], [-1, -1, -1]]
    assert metrics.usable_clips(predicted).tolist() == metrics.usable_clips(probabilities).tolist()


def test_the_error_over_many_speakers_is_that_of_scipys_bootstrap():
    rng = np.random.default_rng(7)
    right = rng.random(150) < 0.7  # one clip a speaker: the accuracy is a mean of independent values
    truth = np.zeros(150, dtype=int)
    names = [str(i) for i in range(150)]
    measure = metrics.label_measure(2, {"accuracy": metrics.accuracy})
    found = metrics.estimates(measure, truth, np.where(right, 0, 1), names, resamples=4000)["accuracy"]
    drawn = stats.bootstrap((right.astype(float),), np.mean, n_resamples=4000, method="BCa", random_state=rng)
    assert found.error == pytest.approx(drawn.standard_error, rel=0.05)
    ends = drawn.confidence_interval
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), abs=0.1 * (ends.high - ends.low))


def test_every_figure_of_every_task_has_an_interval(said, several, votes):
    for name, measure, truth, predicted in cases(said, several, votes):
        speakers = [f"s{i % 12}" for i in range(len(truth))]
        for figure, e in metrics.estimates(measure, truth, predicted, speakers, resamples=200).items():
            assert e.low < e.value < e.high, (name, figure)
            assert e.value == pytest.approx(measure.plain(truth, predicted)[figure])
            if figure not in ("ccc", "pearson", "mae", "rmse", "cross_entropy", "kl"):
                assert 0 <= e.low < e.high <= 1, (name, figure)
            if figure in ("mae", "rmse", "cross_entropy", "kl"):
                assert e.low > 0, (name, figure)


@pytest.mark.parametrize("speakers", [2, 5, 8, 40])
def test_where_all_speakers_show_the_same_the_interval_is_that_of_clopper_and_pearson(speakers):
    truth = np.tile(np.arange(4), speakers)
    names = [f"s{i // 4}" for i in range(4 * speakers)]
    exact = stats.binomtest(speakers, speakers).proportion_ci(0.95, method="exact")
    assert metrics.interval(truth, truth, names, 4) == pytest.approx((exact.low, 1.0))
    assert metrics.interval(truth, (truth + 1) % 4, names, 4) == pytest.approx((0.0, 1 - exact.low))
    low, high = metrics.interval(truth, np.zeros_like(truth), names, 4)  # 0.25 whoever it is; others may be anywhere
    assert (low, high) == pytest.approx((0.25 * exact.low, 0.25 * exact.low + 1 - exact.low))


def test_no_interval_of_any_figure_has_no_width():
    truth, names = np.arange(8) % 2, [f"s{i}" for i in range(8)]
    several = np.eye(2)[truth]
    for measure, right in (
        (metrics.label_measure(2), truth),
        (metrics.multi_measure(), np.concatenate([several, several], axis=-1)),
        (metrics.dimension_measure(), truth - 0.5),
    ):
        known = several if right.ndim == 2 else right
        for figure, e in metrics.estimates(measure, known, right, names, resamples=50).items():
            assert e.low < e.high, figure
            assert e.low <= e.value <= e.high, figure
    one = metrics.estimates(metrics.label_measure(2), truth[:1], truth[:1], ["a"])["uar"]
    assert (one.low, one.high) == pytest.approx((0.025, 1.0)), "one clip that is right"


def test_one_speaker_is_resampled_by_clips_and_one_clip_says_nothing(said):
    truth, predicted = said
    one = metrics.estimates(metrics.label_measure(4), truth, predicted, ["a"] * 300)["uar"]
    apart = metrics.estimates(metrics.label_measure(4), truth, predicted, [str(i) for i in range(300)])["uar"]
    assert (one.low, one.high) == pytest.approx((apart.low, apart.high), abs=0.01)
    assert one.speakers == 1
    lone = metrics.estimates(metrics.dimension_measure(), np.array([0.5]), np.array([0.4]), ["a"])["mae"]
    assert (lone.low, lone.high) == (0, 2), "an error of values within -1..1"


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


def test_every_task_has_paired_tests(said, several, votes):
    rng = np.random.default_rng(9)
    for name, measure, truth, predicted in cases(said, several, votes):
        speakers = [f"s{i % 10}" for i in range(len(truth))]
        worse = predicted[rng.permutation(len(predicted))]
        for figure, test in metrics.paired_tests(measure, truth, predicted, worse, speakers, resamples=600).items():
            expected = measure.plain(truth, predicted)[figure] - measure.plain(truth, worse)[figure]
            assert test.difference == pytest.approx(expected), (name, figure)
            assert test.low <= test.difference <= test.high
            if name != "dimension":
                assert test.p < 0.05, (name, figure)
