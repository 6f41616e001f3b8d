"""Names of the arrays that travel; shapes stand in the docstrings (the legend is in :mod:`multiemo.types`)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

#: Numbers that are computed with: probabilities, figures, weights.
Array: TypeAlias = NDArray[np.float64]
#: Sound, -1..1, and what is made of it.
Floats: TypeAlias = NDArray[np.float32]
#: Pictures, 0..255.
Pixels: TypeAlias = NDArray[np.uint8]
