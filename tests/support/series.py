"""Series in time."""

from __future__ import annotations

import numpy as np


def walk(rng: np.random.Generator, n: int, correlation: float = 0.9) -> np.ndarray:
    """``n`` values of variance 1, each correlated so with the one before: an autoregressive process of order one."""
    x = rng.standard_normal(n)
    for i in range(1, n):
        x[i] = correlation * x[i - 1] + np.sqrt(1 - correlation**2) * x[i]
    return x
