"""Masked patches: a face encoder learns from its pictures alone (SimMIM, Xie et al., CVPR 2022)."""

from __future__ import annotations

import math
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multiemo.encoders.base import Encoder, MaskedTask

#: A crop is cut into this many squares a side, and this share of them is hidden.
_GRID, _HIDDEN = 8, 0.6


class ReadsPictures(Protocol):
    """What the task needs of a face encoder."""

    def pictures(self, x: Tensor, mask: Tensor) -> Tensor:
        """``[B, F, 3, S, S]`` and ``[B, F]`` to ``[B * F, 3, S, S]``, normalised."""
        ...

    def feature_map(self, images: Tensor) -> Tensor:
        """``[N, 3, S, S]`` to ``[N, C, h, h]``."""
        ...


class MaskedPatches(MaskedTask):
    """Hides squares of every picture under the mean colour and paints them again from the backbone's last feature map.

    Of 8 x 8 squares 60% are hidden, drawn anew for each clip; in all its frames the same, so that no neighbouring frame
    shows what one hides. The decoder is one linear layer from a place of the map to the pixels it stands for; the loss
    is the mean absolute error of the hidden normalised pixels of real frames. The guess is zero everywhere, the mean
    colour that the encoder subtracts.

    Args:
        channels: C of the feature map.
        cells: h, its side.
        size: S, side of the pictures, pixels.
    """

    def __init__(self, channels: int, cells: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.zoom = math.ceil(size / cells)
        self.decode = nn.Conv2d(channels, 3 * self.zoom**2, 1)

    def forward(self, encoder: Encoder, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`MaskedTask.forward`, for ``[B, F, 3, S, S]`` uint8 and ``[B, F]``."""
        reader = cast("ReadsPictures", encoder)
        pictures = reader.pictures(x, mask)
        hidden = self.hide(mask)
        errors = (self.paint(reader, pictures, hidden) - pictures).abs()
        asked = hidden & mask.reshape(-1, 1, 1, 1)
        count = pictures.shape[1] * asked.sum()
        return (errors * asked).sum() / count, (pictures.abs() * asked).sum() / count

    def hide(self, mask: Tensor) -> Tensor:
        """Draw what is hidden: ``[B, F]`` to ``[B * F, 1, S, S]`` bool."""
        clips, frames = mask.shape
        grid = min(_GRID, self.size)
        order = torch.rand(clips, grid**2, device=mask.device).argsort(1)  # a random permutation
        squares = (order < round(_HIDDEN * grid**2)).view(clips, grid, grid)
        square = torch.arange(self.size, device=mask.device) * grid // self.size
        return squares[:, square][:, :, square].repeat_interleave(frames, 0).unsqueeze(1)

    def paint(self, encoder: ReadsPictures, pictures: Tensor, hidden: Tensor) -> Tensor:
        """All pixels ``[N, 3, S, S]`` from those of ``pictures`` that are not hidden."""
        places = encoder.feature_map(pictures.masked_fill(hidden, 0.0))
        return F.pixel_shuffle(self.decode(places), self.zoom)[..., : self.size, : self.size]
