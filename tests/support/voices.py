"""Voices whose pitch is known."""

from __future__ import annotations

import numpy as np

from benchmarks.measure.pitch import RATE


def buzz(f0: float = 110.0, seconds: float = 2.0) -> np.ndarray:
    """A steady voice."""
    t = np.arange(round(seconds * RATE)) / RATE
    return sum(0.2 / k * np.sin(2 * np.pi * k * f0 * t) for k in range(1, 20)).astype(np.float32)


def utterance(
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
