"""Tone analysis of synthetic voices whose cues were changed on purpose."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from multiemo.labels.sets import LABEL_SETS
from multiemo.preprocess.voice.cues import VOICE_CUES, VoiceCues, voice_cues
from multiemo.preprocess.voice.prosody import prosody
from multiemo.rules.deviations import CueBaseline
from multiemo.rules.findings import EMOTIONS, Findings
from multiemo.rules.label_sets import label_shares
from multiemo.rules.speech import PHRASE_CUES, TONE_RULES, read_tone
from multiemo.synthetic.cues import VOICE, VoiceCue
from multiemo.synthetic.voice import blend
from tests.support.voices import RATE, utterance

PORTRAYED = ("neutral", "happy", "sad", "angry", "fearful")
ONE_SD = CueBaseline(dict.fromkeys(TONE_RULES, 0.0), {cue: rule.smallest for cue, rule in TONE_RULES.items()}, 100)


def measured(cue: VoiceCue, seed: int) -> VoiceCues:
    return voice_cues(prosody(torch.from_numpy(utterance(cue, seed=seed)), RATE))


@pytest.fixture(scope="module")
def own() -> CueBaseline:
    return CueBaseline.of((measured(VOICE["neutral"], seed).values for seed in range(6)), whose="this speaker")


def deviating(**cues: float) -> Findings:
    """Findings of a voice that deviates by these standard deviations in these cues, and in no other."""
    return read_tone({cue: cues.get(cue, 0.0) * rule.smallest for cue, rule in TONE_RULES.items()}, ONE_SD)


def test_every_rule_is_about_a_cue_that_is_measured_and_an_emotion_that_is_scored():
    assert set(TONE_RULES) <= set(VOICE_CUES)
    assert set(PHRASE_CUES) <= set(TONE_RULES)
    assert {emotion for rule in TONE_RULES.values() for emotion in rule.marks} == set(EMOTIONS) - {"neutral"}


@pytest.mark.parametrize(
    ("change", "part", "word"),
    [
        ({"f0_shift": 5.0}, "pitch", "high pitch"),
        ({"f0_shift": -4.0}, "pitch", "low pitch"),
        ({"f0_range": 2.5}, "pitch_range", "wide pitch range"),
        ({"f0_range": 0.3}, "pitch_range", "monotonous"),
        ({"contour": 4.0}, "pitch_slope", "rising pitch"),
        ({"intensity": 9.0}, "level", "loud"),
        ({"intensity": -9.0}, "level", "soft"),
        ({"rate": 1.6}, "rate", "fast"),
        ({"rate": 0.6}, "rate", "slow"),
        ({"tilt": 5.0}, "tilt", "bright, tense voice"),
        ({"tilt": -5.0}, "tilt", "dull voice"),
        ({"jitter": 0.04}, "jitter", "rough voice"),
    ],
)
def test_a_changed_voice_fires_its_rule(own: CueBaseline, change: dict[str, float], part: str, word: str):
    cues = measured(replace(VOICE["neutral"], **change), seed=11)
    reasons = {reason.part: reason for reason in read_tone(cues.values, own, voiced=cues.voiced).reasons}
    assert reasons[part].rule.startswith(f"{word}: ")
    assert reasons[part].rule.endswith("this speaker")


@pytest.fixture(scope="module")
def corpus() -> CueBaseline:
    return CueBaseline.of(measured(blend(e, 1.0), seed).values for e in PORTRAYED for seed in range(4))


@pytest.mark.parametrize("emotion", [e for e in PORTRAYED if e != "neutral"])
def test_a_portrayed_emotion_is_found_in_most_clips(corpus: CueBaseline, emotion: str):
    """The synthetic voices follow the same reviews, so this tests the signs, not the theory."""
    clips = [measured(blend(emotion, 1.0), seed) for seed in range(20, 25)]
    shares = [label_shares(read_tone(clip.values, corpus, voiced=clip.voiced), PORTRAYED) for clip in clips]
    assert [max(share, key=share.__getitem__) for share in shares].count(emotion) >= 4


def test_the_signs_of_the_reviews():
    assert max(deviating(level=2, tilt=2).scores.items(), key=lambda pair: pair[1])[0] == "angry"
    assert max(deviating(level=-2, rate=-2, pauses=2).scores.items(), key=lambda pair: pair[1])[0] == "sad"
    assert max(deviating(pitch=2, rate=2).scores.items(), key=lambda pair: pair[1])[0] == "fearful"
    assert max(deviating(pitch_slope=2, pitch_range=2).scores.items(), key=lambda pair: pair[1])[0] == "surprised"
    assert max(deviating(pitch=2, pitch_range=2, level=1.5).scores.items(), key=lambda p: p[1])[0] == "happy"


def test_a_loud_fast_voice_is_aroused_and_a_soft_slow_one_calm():
    assert deviating(level=2, rate=2, pitch=2).arousal > 0.3
    assert deviating(level=-2, rate=-2, pitch=-2).arousal < -0.3
    assert -1 <= deviating(**dict.fromkeys(TONE_RULES, -99.0)).arousal <= 1


def test_an_unremarkable_voice_is_neutral():
    found = deviating()
    assert dict(found.scores) == {"neutral": 1.0}
    assert [reason.rule for reason in found.reasons] == ["little stands out: close to the corpus overall"]


def test_a_short_voice_is_read_without_the_cues_of_a_phrase():
    values = dict.fromkeys(TONE_RULES, 3.0)
    found = read_tone(values, ONE_SD, voiced=0.3)
    assert not {reason.part for reason in found.reasons} & set(PHRASE_CUES)
    assert "Only 0.3 s are voiced: range, contour, rate and pauses are left out." in found.limits


def test_only_a_comparison_with_the_corpus_is_qualified():
    def qualified(baseline: CueBaseline) -> bool:
        return any("compared with the corpus" in limit for limit in read_tone({"level": 9.0}, baseline).limits)

    assert qualified(ONE_SD)
    assert not qualified(replace(ONE_SD, whose="this speaker"))


@pytest.mark.parametrize(
    ("values", "baseline", "limit"),
    [
        (dict.fromkeys(VOICE_CUES, math.nan), ONE_SD, "No voiced speech was found"),
        ({"level": -20.0}, CueBaseline({}, {}, 0), "There is no baseline"),
    ],
)
def test_nothing_to_read_is_no_evidence_with_its_reason(values: dict[str, float], baseline: CueBaseline, limit: str):
    found = read_tone(values, baseline)
    assert (dict(found.scores), list(found.reasons), found.valence, found.arousal) == ({}, [], 0.0, 0.0)
    assert found.limits[0].startswith(limit)


@pytest.mark.parametrize("name", LABEL_SETS)
def test_findings_become_shares_of_any_label_set(name: str):
    shares = label_shares(deviating(level=2, tilt=2, pitch=1), LABEL_SETS[name])
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares.values()) > min(shares.values())
