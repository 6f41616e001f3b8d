"""Sounds that are made up: what passes for a voice, music, talk with pauses."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from multiemo.synthetic import cues, voice
from multiemo.voice_activity import RATE


def speech(seconds: float, rate: int = 16000) -> np.ndarray:
    """What passes for a voice: a buzz of 120 Hz through three formants, four syllables a second."""
    time = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 15 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    sound = sum(np.sin(k * phase) * sum(np.exp(-(((k * 120 - f) / 120) ** 2)) for f in (600, 1200, 2500))
                for k in range(1, 30))  # fmt: skip
    sound *= 0.55 + 0.45 * np.sin(2 * np.pi * 4 * time)
    return (0.4 * sound / np.abs(sound).max()).astype(np.float32)


def music(seconds: float, rate: int = 16000) -> np.ndarray:
    """Chords of triangle waves, and a beat of noise twice a second."""
    time = np.arange(round(seconds * rate)) / rate
    chords = ((220, 277, 330), (196, 247, 294), (175, 220, 262), (196, 247, 330))
    which = (time / 1.0).astype(int) % len(chords)
    hz = np.array(chords)[which]
    sound = sum(np.abs(((time * hz[:, i]) % 1) - 0.5) - 0.25 for i in range(3))
    beat = np.random.default_rng(0).normal(0, 1, len(time)) * np.exp(-((time % 0.5) * 30))
    return (0.4 * sound + 0.1 * beat).astype(np.float32)


def talk(seconds: float, seed: int = 3) -> np.ndarray:
    """Synthetic utterances with a second of faint noise between them."""
    rng = np.random.default_rng(seed)
    speaker = voice.SyntheticSpeaker.draw(rng)
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < seconds * RATE:
        said = voice.speak(rng.integers(0, 40, 12).tolist(), [0] * 12, speaker, cues.VOICE["neutral"], rng)
        parts += [(0.001 * rng.standard_normal(RATE)).astype(np.float32), said.samples]
    return np.concatenate(parts)[: round(seconds * RATE)]


def ready(value: Any) -> torch.Tensor:
    assert isinstance(value, torch.Tensor), value
    return value
