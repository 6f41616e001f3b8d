"""Baselines of voices that were synthesised with known pitch, melody, rate and level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from multiemo.preprocess.voice.baseline import VoiceBaseline, describe_cue
from multiemo.preprocess.voice.cues import NO_VOICE, VOICE_CUES, MeasuredVoice, voice_cues
from multiemo.preprocess.voice.prosody import prosody
from multiemo.types import PROSODY_CHANNELS
from tests.support.voices import syllables


def cues_of(**settings: Any) -> MeasuredVoice:
    return voice_cues(prosody(torch.from_numpy(syllables(**settings)), 16000), 0.01)


@pytest.fixture(scope="module")
def usual() -> VoiceBaseline:
    found = VoiceBaseline.fitted([cues_of(f0=f0) for f0 in (145.0, 150.0, 155.0)], "this speaker's own")
    assert found is not None
    return found


def test_values_are_those_of_the_synthesis() -> None:
    cues = cues_of(f0=150.0, reach=4.0, rate=4.0)
    # The 10th and 90th percentiles of a sine lie at sin(-72) and sin(72 degrees).
    assert cues.values["pitch_range"] == pytest.approx(2 * 4 * np.sin(np.radians(72)), rel=0.15)
    assert cues.shown("pitch_level") == pytest.approx(150, rel=0.05)
    assert cues.values["speaking_rate"] == pytest.approx(4.0, rel=0.15)
    assert cues_of(gain=-10.0).values["loudness"] - cues_of().values["loudness"] == pytest.approx(-10, abs=0.5)


@pytest.mark.parametrize(
    ("settings", "id", "words", "side"),
    [
        ({"f0": 300.0}, "pitch_level", "very high voice", "above"),
        ({"f0": 80.0}, "pitch_level", "very low voice", "below"),
        ({"reach": 6.0}, "pitch_range", "wide pitch range", "above"),
        ({"reach": 0.1}, "pitch_range", "narrow pitch range", "below"),
        ({"rate": 5.5}, "speaking_rate", "fast", "above"),
        ({"rate": 2.5}, "speaking_rate", "slow", "below"),
        ({"gain": 14.0}, "loudness", "loud", "above"),
        ({"gain": -20.0}, "loudness", "very quiet", "below"),
    ],
)
def test_a_change_of_the_voice_is_described(
    usual: VoiceBaseline, settings: dict[str, float], id: str, words: str, side: str
) -> None:
    cues = cues_of(**settings)
    found = describe_cue(id, cues, usual)
    assert words in found
    assert f"sd {side} this speaker's own" in found
    # The other settings stayed the same, so their cues are not remarkable.
    for other in {"pitch_level", "loudness", "speaking_rate"} - {id}:
        assert abs(usual.deviation(other, cues) or 0.0) < 1.0, other


def test_a_whisper_has_no_cues_and_few_clips_no_baseline() -> None:
    silent = voice_cues(torch.zeros(50, len(PROSODY_CHANNELS)), 0.01)
    assert not silent.known("pitch_level")
    assert "undefined" in describe_cue("pitch_level", silent, None)
    assert not NO_VOICE.known("pauses")
    assert VoiceBaseline.fitted([cues_of(), cues_of(), silent], "own") is None


def test_the_spread_of_few_clips_leans_on_the_usual_one(usual: VoiceBaseline) -> None:
    same = VoiceBaseline.fitted([cues_of()] * 3, "own")
    assert same is not None
    for id, cue in VOICE_CUES.items():
        assert same.spread[id] == pytest.approx(cue.spread * (5 / 7) ** 0.5, rel=1e-3)


def test_statistics_of_frames_are_compared_with_means_over_frames() -> None:
    track = prosody(torch.from_numpy(syllables()), 16000)
    baseline = VoiceBaseline.of_statistics(track.mean(0), track.std(0))
    cues = voice_cues(track, 0.01)
    assert baseline.deviation("loudness", cues) == pytest.approx(0.0, abs=1e-4)
    assert baseline.deviation("pitch_range", cues) is None
