"""Figures of every subset of modalities, on the clips that have it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as oracle

from multiemo import metrics


def scores(task="single", speakers=10, **changes):
    rng = np.random.default_rng(11)
    target = np.eye(3)[rng.integers(0, 3, 120)]
    if task == "multi":
        target = (rng.random((120, 3)) < 0.4).astype(float)
    if task == "soft":
        target = rng.multinomial(5, [0.5, 0.3, 0.2], 120) / 5
    good, poor = (np.clip(target * gain + rng.random((120, 3)), 1e-3, None) for gain in (1.0, 0.2))
    probabilities = {"S": poor, "F": poor[::-1], "SF": good}
    scale = {k: v / (2.0 if task == "multi" else v.sum(1, keepdims=True)) for k, v in probabilities.items()}
    usable = {"S": np.arange(120) >= 12, "F": np.ones(120, bool), "SF": np.ones(120, bool)}
    names = np.array([f"s{i // (120 // speakers)}" for i in range(120)])
    values = {"task": task, "labels": ["a", "b", "c"], "target": target, "probabilities": scale, "usable": usable,
              "speakers": names, "prior": np.array([0.5, 0.3, 0.2])}  # fmt: skip
    return metrics.Scores(**{**values, **changes})


@pytest.mark.parametrize("task", ["single", "soft", "multi"])
def test_every_subset_is_measured_on_the_clips_it_can_be(task):
    case = scores(task)
    found = metrics.measure_subsets(case)
    assert found.subsets["S"]["n"] == 108
    names = set(case.measure.plain(case.target, case.probabilities["SF"]) if task != "single" else metrics.FIGURES)
    for values in found.subsets.values():
        assert names | {f"{name}_ci" for name in names} | {"n", "ece", "loss"} <= set(values)
    assert names <= set(found.prior)
    assert set(found.comparisons) == {"SF-S", "SF-F"}
    main = found.comparisons["SF-S"]
    assert main["figure"] == metrics.MAIN_FIGURE[task]
    assert main["n"] == 108
    assert set(main["others"]) == names - {main["figure"]}
    tests = [found.comparisons[pair] for pair in ("SF-S", "SF-F")]
    assert [t["p_holm"] for t in tests] == pytest.approx(metrics.holm([t["p"] for t in tests]))
    assert main["mdd"] > 2 * main["error"]
    assert main["others"]["accuracy"]["p_holm"] >= main["others"]["accuracy"]["p"]
    assert set(found.per_class["F"]) == {"a", "b", "c"}
    quick = metrics.measure_subsets(case, intervals=False)
    assert (quick.per_class, quick.comparisons) == ({}, {})
    expected = {k: v for k, v in found.subsets["F"].items() if not k.endswith("_ci")}
    assert quick.subsets["F"] == pytest.approx(expected), "selection sees the same figures"


def test_the_majority_and_the_matrix_are_those_of_train_and_of_the_full_subset():
    case = scores()
    found = metrics.measure_subsets(case)
    assert found.majority["label"] == "a"
    assert found.majority["uar"] == pytest.approx(1 / 3)
    truth, predicted = case.target.argmax(1), case.probabilities["SF"].argmax(1)
    np.testing.assert_array_equal(found.confusion, oracle.confusion_matrix(truth, predicted))
    recall = oracle.recall_score(truth, predicted, average=None)
    assert [found.per_class["SF"][label]["recall"] for label in "abc"] == pytest.approx(recall)


def test_a_subset_without_clips_is_left_empty():
    nothing = np.zeros(120, bool)
    found = metrics.measure_subsets(scores(usable={"S": nothing, "F": ~nothing, "SF": ~nothing}))
    assert found.subsets["S"] == {"n": 0}
    assert set(found.comparisons) == {"SF-F"}
    none = metrics.measure_subsets(scores("soft", target=np.full((120, 3), 1 / 3)))
    assert none.subsets["F"]["n_clear"] == 0
    assert none.subsets["F"]["js"] > 0
