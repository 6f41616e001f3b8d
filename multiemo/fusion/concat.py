"""Concatenation with a learnt stand-in for what is absent."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from multiemo.fusion.base import Fusion, projection
from multiemo.registry import Share, Size, fusions
from multiemo.types import Modality


@fusions.register("concat")
class ConcatFusion(Fusion):
    """Project every branch, put the projections side by side, mix with one hidden layer.

    A modality that is absent contributes a learnt vector of its own, so that "no face" differs from any face.

    Args:
        dims: {modality: D}.
        dim: width of each projection and of the result.
        dropout: after each projection and the hidden layer.
    """

    def __init__(self, *, dims: Mapping[Modality, int], dim: Size = 128, dropout: Share = 0.2) -> None:
        super().__init__()
        self.order: list[Modality] = list(dims)
        self.project = nn.ModuleDict({m: projection(d, dim, dropout) for m, d in dims.items()})
        self.absent = nn.ParameterDict({m: nn.Parameter(torch.randn(dim) * 0.02) for m in dims})
        self.mix = nn.Sequential(nn.Linear(dim * len(dims), dim), nn.GELU(), nn.Dropout(dropout))
        self.out_dim = dim

    def forward(self, embeddings: Mapping[Modality, Tensor], presence: Mapping[Modality, Tensor]) -> Tensor:
        """See :class:`Fusion`."""
        parts = [
            torch.where(presence[m].unsqueeze(1), self.project[m](embeddings[m]), self.absent[m]) for m in self.order
        ]
        return self.mix(torch.cat(parts, dim=1))  # type: ignore[no-any-return]
