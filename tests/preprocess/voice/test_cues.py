"""Voice cues of sounds whose pitch, level, rate and quality are known, or were changed by a known amount."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from multiemo.preprocess.voice.cues import VOICE_CUES, VoiceCues, voice_cues
from multiemo.preprocess.voice.prosody import prosody
from tests.support.voices import RATE, buzz, utterance


def measure(samples: np.ndarray) -> VoiceCues:
    return voice_cues(prosody(torch.from_numpy(samples), RATE))


def spoken(**change: float) -> VoiceCues:
    return measure(utterance(**change))


@pytest.fixture(scope="module")
def plain() -> VoiceCues:
    return spoken()


def test_a_steady_voice_has_its_pitch_and_no_range() -> None:
    cues = measure(buzz(220.0)).values
    assert cues["pitch"] == pytest.approx(24.0, abs=0.05)
    assert cues["pitch_range"] < 0.1
    assert abs(cues["pitch_slope"]) < 0.1
    assert cues["pauses"] == 0.0


def test_the_level_follows_the_gain_and_nothing_else_does() -> None:
    samples = utterance()
    loud, soft = measure(samples).values, measure(0.5 * samples).values
    assert loud["level"] - soft["level"] == pytest.approx(20 * math.log10(2), abs=0.05)
    for name in set(VOICE_CUES) - {"level"}:
        assert soft[name] == pytest.approx(loud[name], abs=0.15), name


def test_a_pause_counts_from_its_shortest_length_on() -> None:
    def with_gap(seconds: float) -> float:
        return measure(np.concatenate([buzz(), np.zeros(round(seconds * RATE), np.float32), buzz()])).values["pauses"]

    assert with_gap(1.0) == pytest.approx(100 * 1.0 / 5.0, abs=1.5)
    assert with_gap(0.15) == 0.0


def test_silence_around_the_speech_changes_no_cue() -> None:
    quiet = np.zeros(RATE, np.float32)
    alone, inside = measure(buzz()), measure(np.concatenate([quiet, buzz(), quiet]))
    assert inside.speech == pytest.approx(alone.speech, abs=0.1)
    for name in VOICE_CUES:
        assert inside.values[name] == pytest.approx(alone.values[name], abs=0.15), name


@pytest.mark.parametrize(
    ("cue", "change"),
    [
        ("pitch", {"f0_shift": 4.0}),
        ("pitch_range", {"f0_range": 2.2}),
        ("pitch_slope", {"contour": 3.0}),
        ("level", {"intensity": 8.0}),
        ("rate", {"rate": 1.4}),
        ("tilt", {"tilt": 4.0}),
        ("jitter", {"jitter": 0.03}),
        ("h1_h2", {"tilt": -4.0}),
    ],
)
def test_a_cue_rises_with_what_it_measures(plain: VoiceCues, cue: str, change: dict[str, float]) -> None:
    assert spoken(**change).values[cue] > plain.values[cue]


def test_a_shift_of_the_pitch_is_measured_in_semitones(plain: VoiceCues) -> None:
    assert spoken(f0_shift=4.0).values["pitch"] - plain.values["pitch"] == pytest.approx(4.0, abs=0.5)


def test_breath_lowers_harmonicity(plain: VoiceCues) -> None:
    assert spoken(breath=0.3).values["harmonicity"] < plain.values["harmonicity"] - 1


@pytest.mark.parametrize("samples", [np.zeros(RATE, np.float32), np.zeros(0, np.float32)])
def test_silence_has_no_cues(samples: np.ndarray) -> None:
    cues = measure(samples)
    assert all(math.isnan(value) for value in cues.values.values())
    assert cues.speech == cues.voiced == 0.0


def test_a_whisper_has_no_pitch() -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    cues = measure(noise)
    assert math.isnan(cues.values["pitch"])
    assert math.isnan(cues.values["level"])


def test_one_frame_is_measured_without_an_error() -> None:
    assert math.isnan(voice_cues(torch.zeros(1, 11)).values["pitch"])


def test_the_vector_is_in_the_order_of_the_names(plain: VoiceCues) -> None:
    assert plain.vector().tolist() == pytest.approx([plain.values[name] for name in VOICE_CUES], rel=1e-6)
