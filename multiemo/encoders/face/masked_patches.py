"""Masked patches: a face encoder learns from pictures without labels (SimMIM, Xie et al., CVPR 2022)."""

from __future__ import annotations

import math
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multiemo.encoders.base import Encoder, MaskedTask

#: Squares along each side of a crop.
_GRID = 8
#: Share of the squares that are hidden.
_HIDDEN_SHARE = 0.6


class ReadsPictures(Protocol):
    """The methods of a face encoder that the task uses."""

    def pictures(self, x: Tensor, mask: Tensor) -> Tensor:
        """Convert ``[B, F, 3, S, S]`` and the mask ``[B, F]`` to normalised ``[B * F, 3, S, S]``."""
        ...

    def feature_map(self, images: Tensor) -> Tensor:
        """Convert ``[N, 3, S, S]`` to a feature map ``[N, C, h, h]``."""
        ...


class MaskedPatches(MaskedTask):
    """Hides squares of every picture under the mean colour and predicts them from the backbone's last feature map.

    60% of 8 x 8 squares are hidden. They are drawn once per clip and are the same in all its frames, so that no
    neighbouring frame reveals what another hides. The decoder is one linear layer from a position of the map to the
    pixels it covers. The loss is the mean absolute error over the hidden normalised pixels of real frames. The constant
    guess is zero, the mean colour that the encoder subtracts.

    Args:
        channels: C of the feature map.
        cells: h, the side of the feature map.
        size: S, the side of the pictures, pixels.
    """

    def __init__(self, channels: int, cells: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.zoom = math.ceil(size / cells)
        self.decode = nn.Conv2d(channels, 3 * self.zoom**2, 1)

    def forward(self, encoder: Encoder, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`MaskedTask.forward`.

        Args:
            encoder: the face encoder that created this task.
            x: ``[B, F, 3, S, S]`` uint8 RGB.
            mask: ``[B, F]`` bool, true for real frames.
        """
        reader = cast("ReadsPictures", encoder)
        pictures = reader.pictures(x, mask)
        hidden = self.hide(mask)
        errors = (self.paint(reader, pictures, hidden) - pictures).abs()
        counted = hidden & mask.reshape(-1, 1, 1, 1)
        count = pictures.shape[1] * counted.sum()
        return (errors * counted).sum() / count, (pictures.abs() * counted).sum() / count

    def hide(self, mask: Tensor) -> Tensor:
        """Draw the hidden pixels: ``[B, F]`` to ``[B * F, 1, S, S]`` bool."""
        clips, frames = mask.shape
        grid = min(_GRID, self.size)
        order = torch.rand(clips, grid**2, device=mask.device).argsort(1)  # a random permutation
        squares = (order < round(_HIDDEN_SHARE * grid**2)).view(clips, grid, grid)
        square = torch.arange(self.size, device=mask.device) * grid // self.size
        return squares[:, square][:, :, square].repeat_interleave(frames, 0).unsqueeze(1)

    def paint(self, encoder: ReadsPictures, pictures: Tensor, hidden: Tensor) -> Tensor:
        """Predict all pixels from the visible ones.

        Args:
            encoder: the face encoder.
            pictures: ``[N, 3, S, S]`` normalised.
            hidden: ``[N, 1, S, S]`` bool, true where hidden.

        Returns:
            ``[N, 3, S, S]`` normalised.
        """
        places = encoder.feature_map(pictures.masked_fill(hidden, 0.0))
        return F.pixel_shuffle(self.decode(places), self.zoom)[..., : self.size, : self.size]
