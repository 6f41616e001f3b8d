"""Low-rank tensor fusion."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from multiemo.fusion.base import Fusion
from multiemo.registry import Share, Size, fusions
from multiemo.types import Modality


@fusions.register("tensor")
class TensorFusion(Fusion):
    """All products between modalities, through low-rank factors.

    ``z = sum_r w_r * prod_m (W_m^r [e_m; 1])`` (Liu et al., ACL 2018) contains uni-, bi- and trimodal terms.
    The factor of an absent modality is one.

    Args:
        dims: {modality: D}.
        dim: width of the result.
        rank: number of factors.
        dropout: share of values dropped on each embedding.
    """

    def __init__(self, *, dims: Mapping[Modality, int], dim: Size = 128, rank: Size = 4, dropout: Share = 0.2) -> None:
        super().__init__()
        self.order: list[Modality] = list(dims)
        self.norm = nn.ModuleDict({m: nn.LayerNorm(d) for m, d in dims.items()})
        self.factor = nn.ModuleDict({m: nn.Linear(d, rank * dim) for m, d in dims.items()})
        for m, width in dims.items():  # close to one, so that the product starts as a sum of small deviations
            nn.init.normal_(self.factor[m].get_parameter("weight"), std=0.5 / width**0.5)
            nn.init.ones_(self.factor[m].get_parameter("bias"))
        self.weight = nn.Parameter(torch.full((rank, 1), 1.0 / rank))
        self.drop = nn.Dropout(dropout)
        self.finish = nn.LayerNorm(dim)
        self.rank = rank
        self.out_dim = dim

    def forward(self, embeddings: Mapping[Modality, Tensor], presence: Mapping[Modality, Tensor]) -> Tensor:
        """As :meth:`Fusion.forward`."""
        product: Tensor | None = None
        for m in self.order:
            factor = self.factor[m](self.drop(self.norm[m](embeddings[m])))
            factor = torch.where(presence[m].unsqueeze(1), factor, torch.ones_like(factor))
            product = factor if product is None else product * factor
        if product is None:
            raise ValueError("tensor fusion needs at least one modality")
        summed = (product.reshape(-1, self.rank, self.out_dim) * self.weight).sum(dim=1)
        return self.finish(summed)  # type: ignore[no-any-return]
