"""Concatenation with learnt vectors for absent modalities."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from multiemo.fusion.base import Fusion, projection
from multiemo.registry import Share, Size, fusions
from multiemo.types import Modality


@fusions.register("concat")
class ConcatFusion(Fusion):
    """Project every branch, concatenate the projections, and mix them with one hidden layer.

    An absent modality contributes a learnt vector of its own, so "no face" differs from every face.

    Args:
        dims: {modality: D}.
        dim: width of each projection and of the result.
        dropout: share of values dropped after each projection and after the hidden layer.
    """

    def __init__(self, *, dims: Mapping[Modality, int], dim: Size = 128, dropout: Share = 0.2) -> None:
        super().__init__()
        self.order: list[Modality] = list(dims)
        self.project = nn.ModuleDict({m: projection(d, dim, dropout) for m, d in dims.items()})
        self.absent = nn.ParameterDict({m: nn.Parameter(torch.randn(dim) * 0.02) for m in dims})
        self.mix = nn.Sequential(nn.Linear(dim * len(dims), dim), nn.GELU(), nn.Dropout(dropout))
        self.out_dim = dim

    def forward(self, embeddings: Mapping[Modality, Tensor], presence: Mapping[Modality, Tensor]) -> Tensor:
        """As :meth:`Fusion.forward`."""
        parts = [
            torch.where(presence[m].unsqueeze(1), self.project[m](embeddings[m]), self.absent[m]) for m in self.order
        ]
        return self.mix(torch.cat(parts, dim=1))  # type: ignore[no-any-return]
