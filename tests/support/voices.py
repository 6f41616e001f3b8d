"""Voices whose pitch is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.measure.pitch import RATE
from multiemo.synthetic.cues import VOICE, VoiceCue
from multiemo.synthetic.voice import SyntheticSpeaker, speak

#: A synthetic speaker with an average voice.
SPEAKER = SyntheticSpeaker(
    f0=130.0, tract=1.0, rate=5.0, f0_range=1.8, tilt=0.0, loudness=0.0, breath=0.02, noise=-55.0
)


def buzz(f0: float = 110.0, seconds: float = 2.0) -> np.ndarray:
    """A steady voice."""
    t = np.arange(round(seconds * RATE)) / RATE
    return sum(0.2 / k * np.sin(2 * np.pi * k * f0 * t) for k in range(1, 20)).astype(np.float32)


def utterance(cue: VoiceCue = VOICE["neutral"], *, seed: int = 3, **change: float) -> np.ndarray:
    """Twelve syllables of one speaker, with some of the cue's values replaced."""
    rng = np.random.default_rng(seed)
    return speak(rng.integers(0, 60, 12).tolist(), [0] * 12, SPEAKER, replace(cue, **change), rng).samples


def syllables(
    f0: float = 150.0, reach: float = 2.0, rate: float = 4.0, gain: float = 0.0, seconds: float = 3.0
) -> np.ndarray:
    """Syllables of a voice with known pitch (Hz), reach of its melody (semitones up and down), rate (1/s) and level."""
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = f0 * 2 ** (reach * np.sin(2 * np.pi * 0.7 * t) / 12)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    envelope = 0.05 + 0.95 * np.sin(np.pi * rate * t) ** 2
    wave = envelope * sum(np.sin(k * phase) / k for k in range(1, 20))
    noise = 1e-4 * np.random.default_rng(0).standard_normal(len(t))
    return ((0.05 * wave + noise) * 10 ** (gain / 20)).astype(np.float32)
