"""What every fusion is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from multiemo.types import Modality


class Fusion(nn.Module):
    """Several embeddings and which of them are there -> one embedding.

    A subclass registers itself with ``@fusions.register("name")`` and takes ``dims`` ({modality: D}) from the model and
    its other keyword arguments from the config.

    Attributes:
        out_dim: width of what it returns.
        level: ``embedding`` fusions are fed branch embeddings; ``decision`` fusions are fed the branches' evidence
            ``[B, C]``, log-posterior less log-prior (log-odds where labels do not exclude each other), and return that
            of all present modalities together.
    """

    out_dim: int
    level: Literal["embedding", "decision"] = "embedding"

    def forward(self, embeddings: Mapping[Modality, Tensor], presence: Mapping[Modality, Tensor]) -> Tensor:
        """Fuse.

        Args:
            embeddings: {modality: ``[B, D_m]``}; rows that are absent may hold anything finite and are never read.
            presence: {modality: ``[B]`` bool}; every row has at least one true.

        Returns:
            ``[B, out_dim]``.
        """
        raise NotImplementedError


def stack_presence(presence: Mapping[Modality, Tensor], order: list[Modality]) -> Tensor:
    """``[B, len(order)]`` bool."""
    return torch.stack([presence[m] for m in order], dim=1)


def projection(dim_in: int, dim: int, dropout: float) -> nn.Sequential:
    """Bring one branch's embedding to the common width."""
    return nn.Sequential(nn.LayerNorm(dim_in), nn.Linear(dim_in, dim), nn.GELU(), nn.Dropout(dropout))
