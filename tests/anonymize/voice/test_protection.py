"""The protection of sounds of any length, rate and loudness."""

from __future__ import annotations

import numpy as np
import pytest

from multiemo.anonymize.voice import protection
from multiemo.anonymize.voice.protection import VoiceProtection
from tests.support.sounds import speech

VOICES = [
    VoiceProtection("mcadams", 0.7),
    VoiceProtection("shift", semitones=4.0),
    VoiceProtection("shift", semitones=-3.0),
]


@pytest.mark.parametrize("voice", VOICES, ids=lambda v: f"{v.method}{v.semitones:g}")
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_length_level_and_silences_stay(voice: VoiceProtection, rate: int) -> None:
    sound = np.concatenate([np.zeros(rate // 2), speech(1.0, rate), np.zeros(rate // 2 + 7)]).astype(np.float32)
    made = voice.protect(sound, rate)
    assert made.shape == sound.shape
    assert made.dtype == np.float32
    assert not made[: rate // 2 - rate // 40].any()
    assert not made[rate // 2 + rate + rate // 40 :].any()
    assert abs(10 * np.log10(np.square(made).sum() / np.square(sound).sum())) < 0.5
    assert np.abs(made - sound).max() > 0.1 * np.abs(sound).max()


@pytest.mark.parametrize("voice", VOICES, ids=lambda v: f"{v.method}{v.semitones:g}")
def test_loud_sound_is_not_clipped(voice: VoiceProtection) -> None:
    sound = speech(1.0)
    made = voice.protect(sound / np.abs(sound).max(), 16000)
    assert 0.5 < np.abs(made).max() < 1.0
    assert np.count_nonzero(np.abs(made) > 0.998) < 20


@pytest.mark.parametrize("rate", [16000, 44100])
def test_pieces_give_what_the_whole_gives(rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "PIECE", 2)
    sound = speech(5.3, rate)
    voice = VoiceProtection("mcadams", 0.8)
    pieces = list(voice.stream(np.array_split(sound, 17), rate))
    assert [len(piece) for piece in pieces] == [2 * rate, 2 * rate, len(sound) - 4 * rate]
    np.testing.assert_allclose(np.concatenate(pieces), voice.protect(sound, rate), atol=2e-4)


def test_a_shift_in_pieces_has_no_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "PIECE", 2)
    tone = (0.5 * np.sin(2 * np.pi * 300 * np.arange(16000 * 5) / 16000)).astype(np.float32)
    made = np.concatenate(list(VoiceProtection("shift", semitones=-3.0).stream([tone], 16000)))
    assert made.shape == tone.shape
    assert np.abs(np.diff(made)).max() < 0.1  # 300 Hz at half of full scale changes by 0.06 per sample


def test_pitch_is_shifted_by_semitones() -> None:
    time = np.arange(16000) / 16000
    tone = (0.5 * np.sin(2 * np.pi * 400 * time)).astype(np.float32)
    made = VoiceProtection("shift", semitones=12.0).protect(tone, 16000)
    spectrum = np.abs(np.fft.rfft(made[4000:12000] * np.hanning(8000)))
    assert spectrum.argmax() * 2 == pytest.approx(800, abs=4)


@pytest.mark.parametrize("voice", [VoiceProtection("keep"), *VOICES], ids=lambda v: f"{v.method}{v.semitones:g}")
@pytest.mark.parametrize("count", [0, 1, 100])
def test_very_short_sounds(voice: VoiceProtection, count: int) -> None:
    sound = speech(1.0)[2000 : 2000 + count]
    assert voice.protect(sound, 16000).shape == (count,)
    assert sum(map(len, voice.stream([sound], 16000))) == count


def test_high_frequencies_do_not_pass_unchanged() -> None:
    """Above 8 kHz McAdams would change nothing, so it removes what is there."""
    tone = (0.3 * np.sin(2 * np.pi * 12000 * np.arange(44100) / 44100)).astype(np.float32)
    made = VoiceProtection("mcadams", 0.8).protect(tone + speech(1.0, 44100), 44100)
    spectrum = np.abs(np.fft.rfft(made * np.hanning(44100)))
    assert spectrum[11990:12010].max() < 1e-3 * spectrum.max()
