"""Draw anti-aliased shapes with sub-pixel coordinates on uint8 RGB or grey images.

Coordinates are in pixels, x to the right and y down. Colours are RGB within 0..255, or one grey value.
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
    """Clip three values to 0..255."""
    r, g, b = (float(np.clip(v, 0, 255)) for v in values)
    return r, g, b


def shaded(colour: Colour, factor: float) -> Colour:
    """Return ``colour``, darker (``factor`` < 1) or lighter (``factor`` > 1)."""
    return clipped((colour[0] * factor, colour[1] * factor, colour[2] * factor))


def _fixed(points: Array) -> NDArray[np.int32]:
    return np.round(points * (1 << _FIXED)).astype(np.int32)


def fill(image: Image, points: Array, colour: Colour | float) -> None:
    """Fill a polygon in place.

    Args:
        image: ``[H, W, 3]`` or ``[H, W]`` uint8.
        points: ``[K, 2]`` corners, pixels.
        colour: RGB or grey.
    """
    cv2.fillPoly(image, [_fixed(points)], colour, cv2.LINE_AA, _FIXED)


def stroke(image: Image, points: Array, colour: Colour | float, width: int, closed: bool = False) -> None:
    """Draw a line in place.

    Args:
        image: ``[H, W, 3]`` or ``[H, W]`` uint8.
        points: ``[K, 2]`` points on the line, pixels.
        colour: RGB or grey.
        width: of the line, pixels.
        closed: whether the last point is connected to the first.
    """
    cv2.polylines(image, [_fixed(points)], closed, colour, width, cv2.LINE_AA, _FIXED)


def circle(start: float, stop: float, points: int) -> Array:
    """Return points on the unit circle, ``[points, 2]``.

    Args:
        start: first angle, degrees, clockwise from the right (y points down).
        stop: last angle, degrees.
        points: number of points.
    """
    t = np.radians(np.linspace(start, stop, points))
    return np.stack([np.cos(t), np.sin(t)], axis=1)


_ROUND = circle(0, 360, 32)


def ellipse(cx: float, cy: float, rx: float, ry: float, unit: Array = _ROUND) -> Array:
    """Return points on an ellipse or on a part of it, ``[K, 2]``.

    Args:
        cx: x of the centre, pixels.
        cy: y of the centre, pixels.
        rx: horizontal radius, pixels.
        ry: vertical radius, pixels.
        unit: ``[K, 2]`` corresponding points on the unit circle, from :func:`circle`.
    """
    return unit * (rx, ry) + (cx, cy)


_T = np.linspace(0.0, 1.0, 13)
_BERNSTEIN = np.stack([(1 - _T) ** 2, 2 * _T * (1 - _T), _T**2], axis=1)


def arc(a: tuple[float, float], top: tuple[float, float], b: tuple[float, float]) -> Array:
    """Return 13 points on a quadratic curve, ``[13, 2]``.

    Args:
        a: first point, pixels.
        top: point that the curve passes half-way, pixels.
        b: last point, pixels.
    """
    control = (2 * top[0] - (a[0] + b[0]) / 2, 2 * top[1] - (a[1] + b[1]) / 2)
    return np.asarray(_BERNSTEIN @ np.array([a, control, b]))
