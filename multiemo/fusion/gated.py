"""Gated multimodal unit with a presence mask."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from multiemo.fusion.base import Fusion, projection, stack_presence
from multiemo.registry import Share, Size, fusions
from multiemo.types import Modality


@fusions.register("gated")
class GatedFusion(Fusion):
    """A weighted sum of the present branches, with weights from a softmax per dimension.

    ``h_m = tanh(W_m e_m)``; ``g = softmax_m(V_m e_m)`` over the present modalities; ``z = sum_m g_m * h_m``.
    After the gated multimodal unit (Arevalo et al., ICLR 2017 workshop), with softmax gates for more than two inputs.

    Args:
        dims: {modality: D}.
        dim: width of the result.
        dropout: share of values dropped on each projection.
    """

    def __init__(self, *, dims: Mapping[Modality, int], dim: Size = 128, dropout: Share = 0.2) -> None:
        super().__init__()
        self.order: list[Modality] = list(dims)
        self.project = nn.ModuleDict({m: projection(d, dim, dropout) for m, d in dims.items()})
        self.gate = nn.ModuleDict({m: nn.Sequential(nn.LayerNorm(d), nn.Linear(d, dim)) for m, d in dims.items()})
        self.out_dim = dim

    def forward(self, embeddings: Mapping[Modality, Tensor], presence: Mapping[Modality, Tensor]) -> Tensor:
        """As :meth:`Fusion.forward`."""
        present = stack_presence(presence, self.order).unsqueeze(-1)
        values = torch.stack([self.project[m](embeddings[m]) for m in self.order], dim=1)
        gates = torch.stack([self.gate[m](embeddings[m]) for m in self.order], dim=1)
        weights = gates.masked_fill(~present, float("-inf")).softmax(dim=1)
        return (weights * values.masked_fill(~present, 0.0)).sum(dim=1)
