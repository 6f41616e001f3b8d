"""Recorded calls that are made up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Loud:
    """Stands in for the voice network: a step is a voice when it can be heard."""

    def __init__(self) -> None:
        self.rest = np.zeros(0, np.float32)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        sound = np.concatenate([self.rest, samples])
        steps = len(sound) // 512
        self.rest = sound[steps * 512 :]
        return (np.abs(sound[: steps * 512]).reshape(-1, 512).max(1) > 0.001).astype(np.float32)

    def flush(self) -> np.ndarray:
        return np.zeros(0, np.float32)


RATE = 16000


def tone(seconds: float, spans: Sequence[tuple[float, float]], level: float = 0.5) -> np.ndarray:
    """A hum within the spans, silence outside."""
    time = np.arange(round(seconds * RATE)) / RATE
    on = sum(((time >= a) & (time < b)).astype(float) for a, b in spans) if spans else np.zeros(len(time))
    return level * on * np.sin(2 * np.pi * 200 * time)
