"""A picture of a film as trackers take it: converted only as far, and as large, as somebody asks."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from multiemo.arrays import Pixels
from multiemo.preprocess.faces.detection import shrink


class Frame(Protocol):
    """One picture, upright and with square pixels."""

    @property
    def height(self) -> int:
        """H, pixels."""
        ...

    @property
    def width(self) -> int:
        """W, pixels."""
        ...

    def grey(self, side: int) -> Pixels:
        """``[h, w]`` uint8 brightness, the longer side at most ``side``; never enlarged."""
        ...

    def rgb(self, side: int | None = None) -> Pixels:
        """``[h, w, 3]`` uint8 RGB, the longer side at most ``side`` (as large as it is by default); never enlarged."""
        ...


class ArrayFrame:
    """A picture that is in memory already.

    Args:
        pixels: ``[H, W, 3]`` uint8 RGB.

    Example:
        >>> frame = ArrayFrame(np.zeros((72, 128, 3), dtype=np.uint8))
        >>> frame.grey(32).shape, frame.rgb(256).shape
        ((18, 32), (72, 128, 3))
    """

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.height, self.width = pixels.shape[:2]

    def grey(self, side: int) -> Pixels:
        """See :class:`Frame`."""
        return np.asarray(cv2.cvtColor(shrink(self.pixels, side)[0], cv2.COLOR_RGB2GRAY), dtype=np.uint8)

    def rgb(self, side: int | None = None) -> Pixels:
        """See :class:`Frame`."""
        return self.pixels if side is None else shrink(self.pixels, side)[0]
