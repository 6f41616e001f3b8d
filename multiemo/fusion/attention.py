"""Self-attention over the branches as tokens."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from multiemo.fusion.base import Fusion, projection, stack_presence
from multiemo.registry import Share, Size, fusions
from multiemo.types import Modality


@fusions.register("attention")
class AttentionFusion(Fusion):
    """A pre-norm Transformer over one token per modality and a summary token. Absent tokens are masked.

    Args:
        dims: {modality: D}.
        dim: width of the tokens and of the result.
        heads: number of attention heads; must divide ``dim``.
        layers: number of Transformer layers.
        dropout: share of values dropped within the layers and on the projections.
    """

    def __init__(
        self,
        *,
        dims: Mapping[Modality, int],
        dim: Size = 128,
        heads: Size = 4,
        layers: Size = 1,
        dropout: Share = 0.2,
    ) -> None:
        super().__init__()
        self.order: list[Modality] = list(dims)
        self.project = nn.ModuleDict({m: projection(d, dim, dropout) for m, d in dims.items()})
        self.kind = nn.Parameter(torch.randn(len(dims) + 1, dim) * 0.02)
        layer = nn.TransformerEncoderLayer(dim, heads, 2 * dim, dropout, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(dim), enable_nested_tensor=False)
        self.out_dim = dim

    def forward(self, embeddings: Mapping[Modality, Tensor], presence: Mapping[Modality, Tensor]) -> Tensor:
        """As :meth:`Fusion.forward`."""
        present = stack_presence(presence, self.order)
        tokens = torch.stack([self.project[m](embeddings[m]) for m in self.order], dim=1)
        tokens = tokens.masked_fill(~present.unsqueeze(-1), 0.0)
        summary = torch.zeros_like(tokens[:, :1])
        tokens = torch.cat([summary, tokens], dim=1) + self.kind
        hidden = torch.cat([torch.zeros_like(present[:, :1]), ~present], dim=1)
        return self.layers(tokens, src_key_padding_mask=hidden)[:, 0]  # type: ignore[no-any-return]
