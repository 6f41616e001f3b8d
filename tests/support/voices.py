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
