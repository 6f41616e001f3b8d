"""Precomputed vectors or sequences -> the tensor that a ``features`` encoder reads."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multiemo.errors import MediaError
from multiemo.types import Absent, FeatureSpec


class FeaturePreprocessor:
    """Checks the number of columns and shortens long sequences.

    Args:
        spec: input specification of the encoder.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec

    def __call__(self, values: NDArray[np.float32]) -> Tensor | Absent:
        """Convert ``[T, dim]`` to ``[T', dim]`` float32 with ``T' <= max_steps``.

        Raises:
            MediaError: the number of columns differs from the one that the encoder was built for.
        """
        if values.shape[0] == 0:
            return Absent("the feature file has no valid rows for this clip")
        if values.shape[1] != self.spec.dim:
            raise MediaError(f"the features have {values.shape[1]} columns, but the encoder reads {self.spec.dim}")
        steps = values.shape[0]
        if steps > self.spec.max_steps:
            values = values[np.linspace(0, steps - 1, self.spec.max_steps).round().astype(int)]
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
