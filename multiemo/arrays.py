"""Type aliases of arrays; shapes are given in the docstrings (the legend is in :mod:`multiemo.types`)."""

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
