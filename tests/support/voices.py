"""Voices whose pitch is known."""

from __future__ import annotations

import numpy as np

from benchmarks.measure.pitch import RATE


def buzz(f0: float = 110.0, seconds: float = 2.0) -> np.ndarray:
    """A steady voice."""
    t = np.arange(round(seconds * RATE)) / RATE
    return sum(0.2 / k * np.sin(2 * np.pi * k * f0 * t) for k in range(1, 20)).astype(np.float32)
