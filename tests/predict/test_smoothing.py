"""Models that smoothing does not serve."""

from __future__ import annotations

from dataclasses import replace

from multiemo.calibration import Calibration
from multiemo.predict.prediction import SegmentPrediction
from multiemo.predict.smoothing import Smoothing


def windows(*shares: float) -> list[SegmentPrediction]:
    """Segments of four seconds with these probabilities of the label ``a``."""
    return [
        SegmentPrediction(
            start=4.0 * k,
            end=4.0 * k + 4,
            kind="window",
            probs={"a": p, "b": 1 - p},
            by_modality={},
            present=["text"],
            absent={},
        )
        for k, p in enumerate(shares)
    ]


def test_a_smoothed_label_is_given_only_where_the_segment_alone_gives_it() -> None:
    smoothing = Smoothing(("a", "b"), [0.5, 0.5], "single", calibration=Calibration(max_error=0.2))
    own = zip(windows(0.9, 0.6, 0.3, 0.9), ("a", "uncertain", "b", "a"), strict=True)
    settled = [one for entry, label in own for one in smoothing.push(replace(entry, label=label))] + smoothing.close()
    assert [one["smoothed"]["label"] for one in settled] == ["a", "uncertain", "uncertain", "a"]
    assert all(one["smoothed"]["probs"]["a"] > 0.5 for one in settled)


def test_a_model_that_smoothing_does_not_serve_leaves_its_timeline_and_says_why() -> None:
    facts = {"dialogues": 4, "clips": 40, "accuracy": 0.6, "loss": 1.1, "smoothed_accuracy": 0.5, "smoothed_loss": 1.3}
    entries = windows(0.9, 0.4, 0.9)
    off = Smoothing(("a", "b"), [0.5, 0.5], "single", calibration=Calibration(stay_seconds=0.0, smoothing=facts))
    settled = [one for entry in entries for one in off.push(entry)] + off.close()
    assert len(settled) == 3
    assert not any("smoothed" in one for one in settled)
    assert "accuracy 0.600 without, 0.500 with; loss of the true label 1.100, 1.300" in off.notes[0]
    told = Smoothing(("a", "b"), [0.5, 0.5], "single", calibration=Calibration(costs={"T": [1.0, 20.0]}))
    settled = [one for entry in entries for one in told.push(entry)] + told.close()
    assert [one["smoothed"]["label"] for one in settled] == ["b"] * 3, "labels are decided at the costs of training"
    assert told.notes == []
