"""Mixup: training on interpolated pairs of clips."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from multiemo.types import Batch


def mix_pairs(batch: Batch, alpha: float) -> tuple[Batch, tuple[Tensor, Tensor]]:
    """Draw partners and shares for mixup (Zhang et al. 2018), and mix the targets; the model mixes the embeddings.

    The share is at least a half, so a clip keeps its own length and identity. Pairs with different modalities, or with
    an unlabelled clip, are not mixed. A value known for only one clip of a pair is unknown for the mixture.

    Args:
        batch: batch of B clips.
        alpha: parameter of the Beta distribution of the shares.

    Returns:
        The batch with mixed targets, and (shares ``[B]``, partner rows ``[B]``) for the model.
    """
    size = len(batch)
    device = batch.target.device
    partner = torch.randperm(size, device=device)
    drawn = torch.distributions.Beta(torch.full((size,), alpha, device=device), alpha, validate_args=False).sample()
    alike = batch.labelled & batch.labelled[partner]
    for presence in batch.presence.values():
        alike = alike & (presence == presence[partner])
    share = torch.where(alike, torch.maximum(drawn, 1 - drawn), torch.ones_like(drawn))
    column = share.unsqueeze(1)
    target = column * batch.target + (1 - column) * batch.target[partner]
    dimensions = column * batch.dimensions + (1 - column) * batch.dimensions[partner]
    dimensions = torch.where((share == 1).unsqueeze(1), batch.dimensions, dimensions)
    others = batch.other_targets
    if others is not None:
        known = others.sum(2, keepdim=True) > 0
        both = (known & known[partner]) | (share == 1).view(-1, 1, 1)
        others = (column.unsqueeze(2) * others + (1 - column.unsqueeze(2)) * others[partner]) * both
    mixed = copy(batch)  # shallow: the inputs of each modality are unchanged
    mixed.target, mixed.dimensions, mixed.other_targets = target, dimensions, others
    return mixed, (share, partner)
