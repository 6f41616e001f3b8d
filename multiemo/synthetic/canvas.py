"""Pen and brush: anti-aliased shapes with sub-pixel coordinates on uint8 RGB or grey images.

Every coordinate is in pixels, x to the right and y down; every colour is RGB within 0..255, or one grey value.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array

Image: TypeAlias = NDArray[np.uint8]
Colour: TypeAlias = tuple[float, float, float]

_FIXED = 4  # fractional bits of the coordinates given to OpenCV


def clipped(values: Array | Colour) -> Colour:
    """``values`` kept within 0..255."""
    r, g, b = (float(np.clip(v, 0, 255)) for v in values)
    return r, g, b


def shaded(colour: Colour, factor: float) -> Colour:
    """``colour``, darker (``factor`` < 1) or lighter."""
    return clipped((colour[0] * factor, colour[1] * factor, colour[2] * factor))


def _fixed(points: Array) -> NDArray[np.int32]:
    return np.round(points * (1 << _FIXED)).astype(np.int32)


def fill(image: Image, points: Array, colour: Colour | float) -> None:
    """Fill the polygon ``points`` (``[K, 2]``) in place."""
    cv2.fillPoly(image, [_fixed(points)], colour, cv2.LINE_AA, _FIXED)


def stroke(image: Image, points: Array, colour: Colour | float, width: int, closed: bool = False) -> None:
    """Draw a line of ``width`` pixels through ``points`` (``[K, 2]``) in place."""
    cv2.polylines(image, [_fixed(points)], closed, colour, width, cv2.LINE_AA, _FIXED)


def circle(start: float, stop: float, points: int) -> Array:
    """Points on the unit circle; degrees run clockwise from the right, as the picture's y points down."""
    t = np.radians(np.linspace(start, stop, points))
    return np.stack([np.cos(t), np.sin(t)], axis=1)


_ROUND = circle(0, 360, 32)


def ellipse(cx: float, cy: float, rx: float, ry: float, unit: Array = _ROUND) -> Array:
    """``[K, 2]`` points on an ellipse, or on the part of it that ``unit`` (see :func:`circle`) covers."""
    return unit * (rx, ry) + (cx, cy)


_T = np.linspace(0.0, 1.0, 13)
_BERNSTEIN = np.stack([(1 - _T) ** 2, 2 * _T * (1 - _T), _T**2], axis=1)


def arc(a: tuple[float, float], top: tuple[float, float], b: tuple[float, float]) -> Array:
    """A quadratic curve from ``a`` to ``b`` that passes through ``top`` half-way."""
    control = (2 * top[0] - (a[0] + b[0]) / 2, 2 * top[1] - (a[1] + b[1]) / 2)
    return np.asarray(_BERNSTEIN @ np.array([a, control, b]))
