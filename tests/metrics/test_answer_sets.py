"""Measures of answers as sets, against the definitions of OV-MER written out, and answers outside the label set."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from multiemo.metrics import SET_FIGURES, estimates, label_measure, set_measure


def test_figures_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    truth, said = rng.random((60, 5)) < 0.3, rng.random((60, 5)) < 0.3
    truth[:, 0] |= ~truth.any(axis=1)
    said[:7] = False
    pairs = [(set(np.flatnonzero(t)), set(np.flatnonzero(s))) for t, s in zip(truth, said, strict=True)]
    precision = np.mean([len(t & s) / len(s) if s else 0 for t, s in pairs])
    recall = np.mean([len(t & s) / len(t) for t, s in pairs])
    expected = (
        np.mean([bool(t & s) for t, s in pairs]),
        precision,
        recall,
        2 * precision * recall / (precision + recall),
    )
    found = set_measure().plain(truth, said)
    assert [found[name] for name in SET_FIGURES] == pytest.approx(expected)
    shares = estimates(set_measure(), truth, said.astype(float), [f"s{i % 10}" for i in range(60)])
    assert all(0 < shares[name].low < shares[name].value < shares[name].high < 1 for name in SET_FIGURES)


def test_an_answer_outside_the_label_set_is_wrong_and_of_no_label() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 80)
    said = np.where(rng.random(80) < 0.5, truth, rng.integers(0, 4, 80))
    assert (said == 3).any()
    found = label_measure(3).plain(truth, said)
    given = {"labels": [0, 1, 2], "zero_division": 0}
    assert found["uar"] == pytest.approx(recall_score(truth, said, average="macro", **given))
    assert found["macro_f1"] == pytest.approx(f1_score(truth, said, average="macro", **given))
    assert found["wf1"] == pytest.approx(f1_score(truth, said, average="weighted", **given))
    assert found["accuracy"] == pytest.approx(np.mean(truth == said))
