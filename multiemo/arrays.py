"""Type aliases of arrays, and votes in them; shapes are given in the docstrings (legend: :mod:`multiemo.types`)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

#: Numbers for computation: probabilities, figures, weights.
Array: TypeAlias = NDArray[np.float64]
#: Audio samples within -1..1, and values derived from them.
Floats: TypeAlias = NDArray[np.float32]
#: Images, 0..255.
Pixels: TypeAlias = NDArray[np.uint8]


def has_winner(votes: Array) -> NDArray[np.bool_]:
    """``[N]``: whether one label has more votes than any other.

    Example:
        >>> has_winner(np.array([[0.5, 0.5, 0.0], [0.4, 0.6, 0.0]]))
        array([False,  True])
    """
    top = np.sort(votes, axis=1)[:, ::-1]
    return np.asarray(top[:, 0] - (top[:, 1] if votes.shape[1] > 1 else 0) > 1e-6)


def clear_clips(task: str, target: Array) -> NDArray[np.bool_]:
    """``[N]``: whether a clip has a definite label; with votes, whether one label has more than any other.

    Args:
        task: task of the model.
        target: ``[N, C]``.
    """
    return has_winner(target) if task == "soft" else np.ones(len(target), dtype=bool)
