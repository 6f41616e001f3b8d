"""Deviations from a baseline, and reasons that add up."""

from __future__ import annotations

import math

import pytest

from multiemo.rules.deviations import (
    CueBaseline,
    CueRule,
    add_up,
    beyond,
    deviation_reasons,
    deviations,
)
from multiemo.rules.findings import RuleReason

RULES = {
    "level": CueRule("loud", "soft", {"angry": 2, "sad": -2}, 1.0, "a"),
    "rate": CueRule("fast", "slow", {"angry": 1, "surprised": 1}, 0.5, "b"),
}


def test_a_baseline_is_the_mean_and_deviation_of_the_known_values():
    clips = [{"level": -30.0, "rate": 4.0}, {"level": -20.0, "rate": math.nan}, {"level": math.nan, "rate": 6.0}]
    baseline = CueBaseline.of(clips, whose="this speaker")
    assert baseline.mean == {"level": -25.0, "rate": 5.0}
    assert baseline.sd == {"level": 5.0, "rate": 1.0}
    assert (baseline.clips, baseline.whose) == (3, "this speaker")


@pytest.mark.parametrize("clips", [[], [{"level": -30.0}], [{"level": -30.0}, {"level": math.nan}]])
def test_one_clip_is_no_baseline(clips):
    baseline = CueBaseline.of(clips)
    assert baseline.mean == {}
    assert baseline.deviation("level", 0.0) is None


def test_identical_clips_do_not_make_a_small_difference_a_large_deviation():
    baseline = CueBaseline.of([{"level": -30.0}] * 5)
    assert deviations({"level": -29.5}, RULES, baseline) == {"level": 0.5}
    assert baseline.deviation("level", -29.5) is None


def test_unknown_cues_have_no_deviation():
    baseline = CueBaseline({"level": 0.0, "tilt": 0.0}, {"level": 1.0, "tilt": 1.0}, 9)
    assert deviations({"level": math.nan, "tilt": 3.0, "rate": 2.0}, RULES, baseline) == {}


def test_effects_are_signed_and_scaled_by_the_marks_of_the_emotion():
    (reason,) = deviation_reasons({"level": -1.5}, RULES, "the corpus")
    assert reason.rule == "soft: 1.5 sd below the corpus"
    assert reason.effect == pytest.approx({"angry": -2 / math.sqrt(5), "sad": 1.0}, abs=1e-4)
    (_, fast) = deviation_reasons({"level": 1.5, "rate": 1.5}, RULES, "the corpus")
    assert fast.effect == pytest.approx({"angry": 1 / math.sqrt(5), "surprised": 1.0}, abs=1e-4)


def test_a_deviation_counts_from_the_dead_zone_up_to_the_largest():
    assert [beyond(d) for d in (-99.0, -0.5, 0.0, 0.5, 0.75, 99.0)] == [-2.0, 0.0, 0.0, 0.0, 0.25, 2.0]


def test_neutral_is_what_does_not_deviate():
    (calm,) = deviation_reasons({"level": 0.2, "rate": -0.3}, RULES, "the corpus")
    assert calm.effect == {"neutral": 1.0}
    assert all("neutral" not in r.effect for r in deviation_reasons({"level": 2.0, "rate": 2.0}, RULES, "the corpus"))
    assert deviation_reasons({}, RULES, "the corpus") == []


def test_effects_for_and_against_an_emotion_cancel():
    for_it = RuleReason(rule="a", part="a", effect={"happy": 1.0, "sad": 0.2}, source="s")
    against = RuleReason(rule="b", part="b", effect={"happy": -1.5, "angry": 0.5}, source="s")
    found = add_up([for_it, against], ["limit"])
    assert found.scores == {"sad": 0.2, "angry": 0.5}
    assert list(found.reasons) == [against, for_it]
    assert found.valence < 0 < found.arousal
    assert list(found.limits) == ["limit"]


def test_a_given_arousal_is_kept():
    assert add_up([], [], arousal=-0.3).arousal == -0.3
