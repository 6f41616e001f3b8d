"""Synthetic voices follow their cues and have the requested pitch."""

from __future__ import annotations

import numpy as np
import pytest

from multiemo.synthetic import cues
from multiemo.synthetic.voice import RATE, SyntheticSpeaker, blend, speak


def test_voice_follows_the_cues() -> None:
    rng = np.random.default_rng(0)
    speaker = SyntheticSpeaker.draw(rng)
    waves = {
        e: speak(rng.integers(0, 600, 10).tolist(), [0] * 10, speaker, blend(e, 1.0), rng).samples
        for e in cues.EMOTIONS
    }
    loud = {e: float(np.sqrt(np.mean(w**2))) for e, w in waves.items()}
    assert loud["angry"] > loud["neutral"] > loud["sad"]
    assert len(waves["sad"]) > len(waves["fearful"])

    def brightness(wave: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(wave)) ** 2
        hz = np.fft.rfftfreq(len(wave), 1 / RATE)
        return float(power[hz > 1000].sum() / power[hz < 1000].sum())

    assert brightness(waves["angry"]) > brightness(waves["sad"])
    assert all(np.isfinite(w).all() and np.abs(w).max() <= 1 for w in waves.values())


def test_voice_has_the_pitch_it_was_given() -> None:
    librosa = pytest.importorskip("librosa")
    rng = np.random.default_rng(1)
    speaker = SyntheticSpeaker.draw(rng)
    for emotion in ("neutral", "fearful"):
        wave = speak(rng.integers(0, 600, 10).tolist(), [0] * 10, speaker, blend(emotion, 1.0), rng).samples
        f0 = librosa.yin(wave, fmin=60, fmax=700, sr=RATE, frame_length=1024, hop_length=160)
        loud = librosa.feature.rms(y=wave, frame_length=1024, hop_length=160)[0]
        wanted = speaker.f0 * 2 ** (cues.VOICE[emotion].f0_shift / 12)
        assert abs(12 * np.log2(np.median(f0[loud > 0.5 * loud.max()]) / wanted)) < 2.0
