"""Conflict scores fitted on the outputs of a validation part."""

from __future__ import annotations

import numpy as np

from multiemo.calibration import Calibration
from multiemo.evaluation import Collected
from multiemo.runs.conflict import fit_conflict

LABELS = ("neutral", "happy", "sad")


def outputs(seed: int = 0, count: int = 120, clips_with_face: int = 10) -> Collected:
    """Text and speech that follow the label, and a face that few clips have."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)

    def branch() -> np.ndarray:
        logits = rng.normal(0, 1, (count, 3)) + 3 * np.eye(3)[labels]
        return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    every = np.ones(count, bool)
    return Collected(
        ids=[str(i) for i in range(count)],
        corpora=["c"] * count,
        speakers=[f"s{i % 8}" for i in range(count)],
        target=np.eye(3)[labels],
        labelled=every,
        dimensions=np.full((count, 3), np.nan),
        probabilities={},
        usable={},
        branches={"text": branch(), "speech": branch(), "face": branch()},
        presence={"text": every, "speech": every, "face": np.arange(count) < clips_with_face},
        predicted_dimensions=None,
        absent={},
    )


def test_each_pair_has_a_score_or_a_reason() -> None:
    found = fit_conflict(outputs(), Calibration(), LABELS, "single")
    assert found is not None
    assert set(found.pairs) == {"TS"}
    pair = found.pairs["TS"]
    assert (pair.clips, pair.speakers) == (120, 8)
    assert 0.85 < pair.auroc_ci[0] < pair.auroc < pair.auroc_ci[1] <= 1
    assert set(found.missing) == {"TF", "SF"}
    assert found.notes()[1] == (
        "no conflict score for speech and face: 10 validation clips have both modalities; 20 are needed"
    )
    assert found.notes()[0] in Calibration(conflict=found).notes()


def test_a_branch_that_knows_nothing_gives_no_score() -> None:
    """A very high temperature makes all probabilities of a branch equal.

    Its contradictions with speech are then as strong as speech is polar. Neutral clips, which occur among the matched
    pairs only, would make that look like a score of use (AUROC 0.65).
    """
    plain, hot = (fit_conflict(outputs(), Calibration(branches={"text": t}), LABELS, "single") for t in (1.0, 1e9))
    assert plain is not None
    assert hot is not None
    assert "TS" in plain.pairs
    assert hot.missing["TS"].startswith("contradictions cannot be told from agreement")


def test_shuffled_speech_gives_no_score() -> None:
    made = outputs()
    made.branches["speech"] = np.random.default_rng(1).permutation(made.branches["speech"])
    found = fit_conflict(made, Calibration(), LABELS, "single")
    assert found is not None
    assert "TS" in found.missing


def test_one_modality_has_no_conflict() -> None:
    made = outputs()
    made.branches = {"text": made.branches["text"]}
    assert fit_conflict(made, Calibration(), LABELS, "single") is None
