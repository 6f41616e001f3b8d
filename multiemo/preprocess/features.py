"""Precomputed vectors or sequences -> the tensor a ``features`` encoder wants."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multiemo.errors import MediaError
from multiemo.types import Absent, FeatureSpec


class FeaturePreprocessor:
    """Checks the width and thins long sequences.

    Args:
        spec: see :class:`FeatureSpec`.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec

    def __call__(self, values: NDArray[np.float32]) -> Tensor | Absent:
        """``[T, dim]`` to ``[T', dim]`` float32 with ``T' <= max_steps``.

        Raises:
            MediaError: another number of columns than the encoder was built for.
        """
        if values.shape[0] == 0:
            return Absent("the feature file has no valid rows for this clip")
        if values.shape[1] != self.spec.dim:
            raise MediaError(f"features have {values.shape[1]} columns, the encoder takes {self.spec.dim}")
        steps = values.shape[0]
        if steps > self.spec.max_steps:
            values = values[np.linspace(0, steps - 1, self.spec.max_steps).round().astype(int)]
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
