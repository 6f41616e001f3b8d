"""Made-up days of people's moods."""

from __future__ import annotations

import numpy as np


def person(
    rng: np.random.Generator, days: int, *, move: float, shared: float, single: float, missing: float
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The true level of each day, and the values of its clips."""
    truth = np.cumsum(rng.normal(0, move, days))
    clips = [t + rng.normal(0, shared) + rng.normal(0, single, 1 + rng.poisson(2)) for t in truth]
    return truth, [c if rng.random() > missing else c[:0] for c in clips]
