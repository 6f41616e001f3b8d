"""The conflict score finds planted contradictions, and says why it is missing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from multiemo.calibration import Calibration
from multiemo.calibration.conflict import (
    ConflictCalibration,
    PairConflict,
    conflict_pairs,
    contradiction,
    fit_logistic,
    pair_conflict,
)
from multiemo.explanation.conflicts import conflicts_of

LABELS = ("neutral", "happy", "sad")


def branch(labels: np.ndarray, rng: np.random.Generator, strength: float = 3.0) -> np.ndarray:
    """Probabilities of a branch that finds the labels with noise."""
    logits = rng.normal(0, 1, (len(labels), 3))
    logits[np.arange(len(labels)), labels] += strength
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True)


def fitted(count: int = 300) -> PairConflict:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count)
    pairs = conflict_pairs(branch(labels, rng), branch(labels, rng), np.ones(count, bool), np.eye(3)[labels], LABELS)
    assert not isinstance(pairs, str)
    made = pair_conflict(pairs, (0.9, 0.8, 0.95), 0.8, 10)
    assert isinstance(made, PairConflict)
    return made


def test_score_is_a_probability_at_even_odds_and_few_matched_pairs_are_flagged() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 3000)
    one, two = branch(labels, rng), branch(labels, rng)
    pairs = conflict_pairs(one, two, np.ones(3000, bool), np.eye(3)[labels], LABELS)
    assert not isinstance(pairs, str)
    slope, intercept = fit_logistic(pairs)
    matched, mismatched = (1 / (1 + np.exp(-(slope * r + intercept))) for r in (pairs.matched, pairs.mismatched))
    # at even odds, the mean score over both kinds is one half (the score equation of the intercept)
    assert (matched.mean() + mismatched.mean()) / 2 == pytest.approx(0.5, abs=0.01)
    made = pair_conflict(pairs, (0.9, 0.8, 0.95), 0.8, 10)
    assert isinstance(made, PairConflict)
    assert (matched > made.threshold).mean() <= 0.05
    assert (mismatched > made.threshold).mean() > 0.5
    rates = [made.false_alarm_rate(s) for s in np.sort(matched)[::100]]  # within the grid of stored quantiles
    assert np.allclose(rates, 1 - np.arange(30) / 30, atol=0.05)


def test_a_clip_that_contradicts_itself_is_flagged_and_says_how() -> None:
    calibration = ConflictCalibration(pairs={"TS": fitted()})
    happy, sad = np.array([0.02, 0.96, 0.02]), np.array([0.02, 0.02, 0.96])
    (found,) = conflicts_of({"text": happy, "speech": sad}, calibration, LABELS)
    assert (found.first_says, found.second_says, found.flagged) == ("positive", "negative", True)
    (same,) = conflicts_of({"text": happy, "speech": happy}, calibration, LABELS)
    assert not same.flagged
    assert same.score < 0.1 < 0.9 < found.score
    assert same.false_alarm_rate > 0.5 > found.false_alarm_rate
    assert conflicts_of({"text": happy, "face": sad}, calibration, LABELS) == []
    assert conflicts_of({"text": happy, "speech": sad}, None, LABELS) == []


def test_without_polarities_different_labels_contradict() -> None:
    labels = ("x", "y")
    sure, other = np.array([0.9, 0.1]), np.array([0.1, 0.9])
    assert contradiction(sure, other, labels) > contradiction(sure, sure, labels)


@pytest.mark.parametrize(
    ("labels", "target", "reason"),
    [
        (LABELS, [0, 1] * 5, "10 validation clips have both modalities; 20 are needed"),
        (LABELS, [0, 1] * 15, "0 negative validation clips"),
        (("x", "y", "z"), [0] * 30, "have the same label"),
    ],
)
def test_too_little_validation_is_said(labels: tuple[str, ...], target: list[int], reason: str) -> None:
    even = np.full((len(target), 3), 1 / 3)
    found = conflict_pairs(even, even, np.ones(len(target), bool), np.eye(3)[target], labels)
    assert isinstance(found, str)
    assert reason in found


def test_a_branch_that_knows_nothing_gives_no_score() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 60)
    even = np.full((60, 3), 1 / 3)
    pairs = conflict_pairs(even, even, np.ones(60, bool), np.eye(3)[labels], LABELS)
    assert not isinstance(pairs, str)
    assert "cannot be told from agreement" in str(pair_conflict(pairs, (0.5, 0.4, 0.6), 0.4, 6))


def test_it_is_stored_with_the_calibration_and_left_out_without() -> None:
    made = Calibration(conflict=ConflictCalibration(pairs={"TS": fitted()}, missing={"TF": "why"}))
    assert Calibration.from_json(json.loads(json.dumps(made))) == made
    assert Calibration.from_json(json.loads(json.dumps(made))).conflict.pairs["TS"].score(0) > 0
    assert "conflict" not in Calibration()
