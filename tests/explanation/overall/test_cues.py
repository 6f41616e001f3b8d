"""Cues of labels, averaged over clips."""

from __future__ import annotations

import pytest

from multiemo.explanation.overall.cues import CueCollector, mean_of
from multiemo.explanation.records import EvidencePart, EvidenceView, UnitKind


def view(unit: UnitKind, **scores: float) -> EvidenceView:
    parts = [EvidencePart(name=name, score=score) for name, score in scores.items()]
    return EvidenceView(unit=unit, method="occlusion", parts=parts, trust="passed", baseline="nothing")


def test_cues_are_averaged_by_label_and_name() -> None:
    found = CueCollector()
    for i in range(4):
        found.add("happy", f"s{i % 2}", "text", [view("word", Great=1.0 + i, not_=-0.5, once=9.0 if i == 0 else 0.0)])
        found.add("sad", f"s{i % 2}", "face", [view("column", AU12=-2.0, AU15=1.0), view("time", a=1.0)])
    sad, happy = found.summarise(["sad", "happy"])
    assert (sad.label, sad.modality, sad.unit, sad.clips) == ("sad", "face", "column", 4)
    assert [(cue.name, cue.score.mean, cue.strongest) for cue in sad.cues_for] == [("AU15", 1.0, 4)]
    assert [(cue.name, cue.score.mean) for cue in sad.cues_against] == [("AU12", -2.0)]
    great = next(cue for cue in happy.cues_for if cue.name == "great")
    assert (great.clips, great.score.mean, great.strongest) == (4, 2.5, 3)
    low, high = great.score.interval
    assert low < 2.5 < high


def test_rare_words_are_no_cues_and_repeated_ones_count_once_a_clip() -> None:
    found = CueCollector()
    twice = EvidenceView(
        unit="word",
        method="occlusion",
        parts=[EvidencePart(name="so", score=0.25), EvidencePart(name="So", score=0.5)],
        trust="failed",
        baseline="nothing",
    )
    for i in range(3):
        found.add("sad", f"s{i}", "text", [twice])
    found.add("sad", "s0", "text", [view("word", rare=5.0)])
    (cues,) = found.summarise(["sad"])
    assert [(cue.name, cue.clips, cue.score.mean) for cue in cues.cues_for] == [("so", 3, 0.75)]
    assert cues.trust == "failed"


def test_a_bounded_mean_stays_within_its_bounds() -> None:
    found = mean_of([(0.9, "a"), (-0.8, "b")], 1.0)
    assert found.mean == pytest.approx(0.05)
    assert found.interval == (-1.0, 1.0)
