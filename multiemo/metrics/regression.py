"""Figures of valence, arousal and dominance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def concordance(predicted: Array, truth: Array) -> float:
    """Concordance correlation coefficient (Lin 1989) over pairs that are known; NaN with fewer than two."""
    known = ~np.isnan(truth)
    x, y = predicted[known], truth[known]
    if len(x) < 2:
        return float("nan")
    spread = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    return float(2 * ((x - x.mean()) * (y - y.mean())).mean() / spread) if spread > 0 else float("nan")
