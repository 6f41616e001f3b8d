"""Speech preprocessors on good and on bad audio."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from multiemo.errors import MediaError
from multiemo.preprocess.voice.prosody import prosody
from multiemo.preprocess.voice.tensors import SpeechPreprocessor, WaveformPreprocessor
from multiemo.types import PROSODY_CHANNELS, Absent, SpeechSpec, WaveformSpec
from tests.support.sounds import ready

RATE = 16000
P = len(PROSODY_CHANNELS)


def tone(seconds: float, rate: int = RATE, frequency: float = 220.0) -> NDArray[np.float32]:
    t = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


def test_columns_are_mel_bands_then_prosody() -> None:
    both = ready(SpeechPreprocessor(SpeechSpec(n_mels=40))(tone(1.0), RATE))
    assert both.shape == (101, 40 + P)
    assert both.dtype == torch.float32
    torch.testing.assert_close(both[:, 40:], prosody(torch.from_numpy(tone(1.0)), RATE))
    assert ready(SpeechPreprocessor(SpeechSpec(n_mels=0))(tone(1.0), RATE)).shape == (101, P)
    assert ready(SpeechPreprocessor(SpeechSpec(prosody=False))(tone(1.0), RATE)).shape == (101, 64)


def test_a_tone_lights_its_own_band() -> None:
    low, high = (
        ready(SpeechPreprocessor(SpeechSpec())(tone(0.5, frequency=f), RATE))[25, :64].argmax() for f in (300.0, 3000.0)
    )
    assert int(low) + 20 < int(high)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_other_rates_are_resampled(rate: int) -> None:
    at_rate = ready(SpeechPreprocessor(SpeechSpec())(tone(1.0, rate), rate))
    assert abs(len(at_rate) - 101) <= 1
    semitones = at_rate[40:60, 64]
    torch.testing.assert_close(semitones, torch.full_like(semitones, 24.0), atol=0.05, rtol=0)


def test_silent_ends_are_cut_and_pauses_kept() -> None:
    silence = np.zeros(RATE, np.float32)
    audio = np.concatenate([silence, tone(0.5), silence, tone(0.5), silence])
    assert 215 <= len(ready(SpeechPreprocessor(SpeechSpec())(audio, RATE))) <= 230
    assert len(ready(SpeechPreprocessor(SpeechSpec(trim=0.0))(audio, RATE))) == 401


def test_long_audio_is_cut() -> None:
    assert len(ready(SpeechPreprocessor(SpeechSpec(max_seconds=2.0))(tone(5.0), RATE))) == 201
    assert len(ready(WaveformPreprocessor(WaveformSpec(max_seconds=2.0))(tone(5.0), RATE))) == 2 * RATE


@pytest.mark.parametrize("prepare", [SpeechPreprocessor(SpeechSpec()), WaveformPreprocessor(WaveformSpec())])
def test_nothing_to_hear_is_absent_with_the_numbers(prepare: Any) -> None:
    cases = {
        "0 ms of audio, less than 50": np.zeros(0, np.float32),
        "45 ms of audio, less than 50": tone(0.045),
        "-80.0 dBFS, below -70": np.zeros(RATE, np.float32),
        "-76.5 dBFS, below -70": tone(1.0) * 1e-3 / np.sqrt(2),
    }
    for words, audio in cases.items():
        result = prepare(audio, RATE)
        assert isinstance(result, Absent)
        assert words in result.reason


@pytest.mark.parametrize("prepare", [SpeechPreprocessor(SpeechSpec()), WaveformPreprocessor(WaveformSpec())])
def test_broken_samples_are_an_error(prepare: Any) -> None:
    audio = tone(1.0)
    audio[8000:8003] = [np.nan, np.inf, -np.inf]
    with pytest.raises(MediaError, match=r"3 of 16000 audio samples are not finite, the first at 0\.500 s"):
        prepare(audio, RATE)
    with pytest.raises(MediaError, match=r"shape \(2, 16000\)"):
        prepare(np.zeros((2, 16000), np.float32), RATE)
    with pytest.raises(MediaError, match="0 Hz"):
        prepare(tone(1.0), 0)


def test_the_shortest_audio_is_finite() -> None:
    assert torch.isfinite(ready(SpeechPreprocessor(SpeechSpec())(tone(0.05), RATE))).all()


def test_waveform_is_normalised_when_asked() -> None:
    wave = ready(WaveformPreprocessor(WaveformSpec())(tone(1.0) + 0.1, RATE))
    assert wave.shape == (RATE, 1)
    assert abs(float(wave.mean())) < 1e-4
    assert float(wave.std()) == pytest.approx(1.0, abs=1e-3)
    raw = ready(WaveformPreprocessor(WaveformSpec(normalize=False))(tone(1.0), RATE))
    np.testing.assert_array_equal(raw.squeeze(1).numpy(), tone(1.0))
