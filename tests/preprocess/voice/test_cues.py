"""Cues of voices that were synthesised with known pitch, melody, rate and level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from multiemo.preprocess.voice.cues import CUES, CUES_BY_ID, VoiceBaseline, VoiceCues, describe_cue, voice_cues
from multiemo.preprocess.voice.prosody import prosody
from multiemo.types import PROSODY_CHANNELS
from tests.support.voices import utterance


def cues_of(**settings: Any) -> VoiceCues:
    return voice_cues(prosody(torch.from_numpy(utterance(**settings)), 16000), 0.01)


@pytest.fixture(scope="module")
def usual() -> VoiceBaseline:
    found = VoiceBaseline.fitted([cues_of(f0=f0) for f0 in (145.0, 150.0, 155.0)], "this speaker's own")
    assert found is not None
    return found


def test_values_are_those_of_the_synthesis() -> None:
    cues = cues_of(f0=150.0, reach=4.0, rate=4.0)
    # The 20th and 80th percentiles of a sine lie at sin(-54) and sin(54 degrees).
    assert cues.values["pitch_range"] == pytest.approx(2 * 4 * np.sin(np.radians(54)), rel=0.15)
    assert cues.shown(CUES_BY_ID["pitch_level"]) == pytest.approx(150, rel=0.05)
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
    cue, cues = CUES_BY_ID[id], cues_of(**settings)
    found = describe_cue(cue, cues, usual)
    assert words in found
    assert f"sd {side} this speaker's own" in found
    # The other settings stayed the same, so their cues are not remarkable.
    for other in {"pitch_level", "loudness", "speaking_rate"} - {id}:
        assert abs(usual.deviation(CUES_BY_ID[other], cues) or 0.0) < 1.0, other


def test_pauses_are_gaps_between_words_and_not_the_ends() -> None:
    gap = np.zeros(8000, dtype=np.float32)
    word = utterance(seconds=1.0)
    track = prosody(torch.from_numpy(np.concatenate([gap, word, gap, word, gap])), 16000)
    assert voice_cues(track, 0.01).values["pauses"] == pytest.approx(100 * 0.5 / 2.5, abs=3)


def test_a_whisper_has_no_cues_and_few_clips_no_baseline() -> None:
    silent = voice_cues(torch.zeros(50, len(PROSODY_CHANNELS)), 0.01)
    assert silent.values == {}
    assert "undefined" in describe_cue(CUES[0], silent, None)
    assert VoiceBaseline.fitted([cues_of(), cues_of(), silent], "own") is None


def test_the_spread_of_few_clips_leans_on_the_usual_one(usual: VoiceBaseline) -> None:
    same = VoiceBaseline.fitted([cues_of()] * 3, "own")
    assert same is not None
    for cue in CUES:
        assert same.spread[cue.id] == pytest.approx(cue.spread * (5 / 7) ** 0.5, rel=1e-3)


def test_statistics_of_frames_are_compared_with_means_over_frames() -> None:
    track = prosody(torch.from_numpy(utterance()), 16000)
    baseline = VoiceBaseline.of_statistics(track.mean(0), track.std(0))
    cues = voice_cues(track, 0.01)
    assert baseline.deviation(CUES_BY_ID["loudness"], cues) == pytest.approx(0.0, abs=1e-4)
    assert baseline.deviation(CUES_BY_ID["pitch_range"], cues) is None
