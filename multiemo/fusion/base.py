"""The base class of fusions and the parts that they share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from multiemo.types import Modality


class Fusion(nn.Module):
    """Combines the embeddings of the present modalities to one embedding.

    A subclass registers itself with ``@fusions.register("name")``. It gets ``dims`` ({modality: D}) from the model and
    its other keyword arguments from the config.

    Attributes:
        out_dim: width of the result.
        level: ``embedding`` fusions read branch embeddings. ``decision`` fusions read the branches' evidence
            ``[B, C]``, log-posterior minus log-prior (log-odds for labels that do not exclude each other), and return
            the joint evidence of all present modalities.
    """

    out_dim: int
    level: Literal["embedding", "decision"] = "embedding"

    def forward(self, embeddings: Mapping[Modality, Tensor], presence: Mapping[Modality, Tensor]) -> Tensor:
        """Fuse the embeddings of a batch.

        Args:
            embeddings: {modality: ``[B, D_m]``}. Rows of absent modalities are ignored but must be finite.
            presence: {modality: ``[B]`` bool}. Every row has at least one true value.

        Returns:
            ``[B, out_dim]``.
        """
        raise NotImplementedError


def stack_presence(presence: Mapping[Modality, Tensor], order: list[Modality]) -> Tensor:
    """Stack presence masks to ``[B, len(order)]`` bool."""
    return torch.stack([presence[m] for m in order], dim=1)


def projection(dim_in: int, dim: int, dropout: float) -> nn.Sequential:
    """A layer that projects one branch's embedding to the common width.

    Args:
        dim_in: width of the embedding.
        dim: common width.
        dropout: share of values dropped in training.
    """
    return nn.Sequential(nn.LayerNorm(dim_in), nn.Linear(dim_in, dim), nn.GELU(), nn.Dropout(dropout))
