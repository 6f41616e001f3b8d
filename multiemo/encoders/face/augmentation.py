"""Training-time augmentation of face crops, drawn once per clip."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class FaceAugment(nn.Module):
    """Random changes that preserve the expression. They are drawn once per clip, so motion between frames stays real.

    Args:
        flip: probability of mirroring left and right.
        rotate: largest in-plane rotation in either direction, degrees.
        zoom: largest relative change of scale in either direction.
        shift: largest shift along each axis, as a share of the side.
        light: largest relative change of contrast, and largest change of brightness on the 0..1 scale.
        grey: probability of removing the colour.
        erase: probability of one grey rectangle of 2% to 20% of the crop (Zhong et al., AAAI 2020).
    """

    def __init__(
        self, flip: float, rotate: float, zoom: float, shift: float, light: float, grey: float, erase: float
    ) -> None:
        super().__init__()
        self.flip, self.rotate, self.zoom, self.shift = flip, rotate, zoom, shift
        self.light, self.grey, self.erase = light, grey, erase

    def forward(self, x: Tensor, clip: Tensor, clips: int) -> Tensor:
        """Augment frames.

        Args:
            x: ``[N, 3, S, S]`` float within 0..1, the frames of all clips.
            clip: ``[N]`` int64, index of the clip to which each frame belongs.
            clips: number of clips.

        Returns:
            ``[N, 3, S, S]`` within 0..1.
        """

        def uniform(low: float, high: float) -> Tensor:
            return torch.empty(clips, device=x.device).uniform_(low, high)[clip]

        x = self._move(x, uniform)
        gain = 1 + uniform(-self.light, self.light)
        offset = uniform(-self.light, self.light)
        middle = x.mean((1, 2, 3))
        x = torch.addcmul((offset + middle * (1 - gain)).view(-1, 1, 1, 1), x, gain.view(-1, 1, 1, 1))
        if self.grey > 0:
            luma = sum(share * x[:, i : i + 1] for i, share in enumerate(_LUMA))
            x = torch.where((uniform(0, 1) < self.grey).view(-1, 1, 1, 1), luma, x)
        x = x.clamp(0, 1)
        return self._erase(x, uniform) if self.erase > 0 else x

    def _move(self, x: Tensor, uniform: Callable[[float, float], Tensor]) -> Tensor:
        """Mirror, rotate, scale and shift in one resampling."""
        angle = uniform(-self.rotate, self.rotate) * (math.pi / 180)
        scale = 1 / (1 + uniform(-self.zoom, self.zoom))
        mirror = 1 - 2 * (uniform(0, 1) < self.flip).to(x.dtype)
        cos, sin = angle.cos() * scale, angle.sin() * scale
        # The grid spans -1..1, so a shift in grid units is twice the share of the side.
        right, down = uniform(-2 * self.shift, 2 * self.shift), uniform(-2 * self.shift, 2 * self.shift)
        theta = torch.stack([cos * mirror, -sin, right, sin * mirror, cos, down], 1).view(-1, 2, 3)
        grid = functional.affine_grid(theta.to(x.dtype), list(x.shape), align_corners=False)
        return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)

    def _erase(self, x: Tensor, uniform: Callable[[float, float], Tensor]) -> Tensor:
        """Cover a rectangle with mid-grey."""
        side = x.shape[-1]
        area, ratio = uniform(0.02, 0.2), uniform(-1, 1).mul(math.log(2)).exp()
        height, width = (area * ratio).sqrt(), (area / ratio).sqrt()
        top, left = uniform(0, 1) * (1 - height), uniform(0, 1) * (1 - width)
        at = (torch.arange(side, device=x.device, dtype=top.dtype) + 0.5) / side
        rows = (at >= top[:, None]) & (at < (top + height)[:, None])
        columns = (at >= left[:, None]) & (at < (left + width)[:, None])
        chosen = uniform(0, 1) < self.erase
        return x.masked_fill((rows[:, :, None] & columns[:, None, :] & chosen[:, None, None])[:, None], 0.5)
