"""Pictures of a film as trackers read them, converted only in the format and size that is requested."""

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
        """Brightness ``[h, w]`` uint8, longer side at most ``side`` pixels; never enlarged."""
        ...

    def rgb(self, side: int | None = None) -> Pixels:
        """Colours ``[h, w, 3]`` uint8 RGB, longer side at most ``side`` pixels (any by default); never enlarged."""
        ...


class ArrayFrame:
    """A picture that is already in memory.

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
        """As :meth:`Frame.grey`."""
        return np.asarray(cv2.cvtColor(shrink(self.pixels, side)[0], cv2.COLOR_RGB2GRAY), dtype=np.uint8)

    def rgb(self, side: int | None = None) -> Pixels:
        """As :meth:`Frame.rgb`."""
        return self.pixels if side is None else shrink(self.pixels, side)[0]
