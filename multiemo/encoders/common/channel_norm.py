"""Normalisation without statistics of other clips, in place of batch normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each position (Ba et al. 2016); padding does not change it.

    Args:
        channels: C.
        eps: added to the variance.
        affine: learn a scale and an offset for each channel.
    """

    def __init__(self, channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.shape, self.eps = (channels,), eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``[B, C, ...]``; the shape stays the same."""
        normed = functional.layer_norm(x.movedim(1, -1), self.shape, self.weight, self.bias, self.eps)
        return normed.movedim(-1, 1).contiguous()


def replace_batch_norm(module: nn.Module) -> list[str]:
    """Replace every batch normalisation that computes statistics in training; frozen ones stay as they are.

    Args:
        module: module in training mode.

    Returns:
        Names of the layers that were replaced.
    """
    found = [(name, norm) for name, norm in module.named_modules() if isinstance(norm, _BatchNorm) and norm.training]
    for name, norm in found:
        parent, _, last = name.rpartition(".")
        made: nn.Module = ChannelNorm(norm.num_features, norm.eps, affine=norm.affine)
        rest = [getattr(norm, part) for part in ("drop", "act") if hasattr(norm, part)]  # timm's norm with activation
        setattr(module.get_submodule(parent), last, nn.Sequential(made, *rest) if rest else made)
    return [name for name, _ in found]
