"""Cover faces in a picture: by a mosaic, by blur, or by a black box.

The covered region is the detected box enlarged by :data:`ENLARGE`, so that an ellipse in it contains the whole box. A
mosaic of :data:`CELLS` cells has about 4 by 4 cells on the face itself. Networks that are trained on such pictures
recognise people in mosaics of finer cells (McPherson, Shokri & Shmatikov 2016, "Defeating image obfuscation with deep
learning"); a box keeps nothing.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import cv2
import numpy as np

from multiemo.anonymize.settings import FaceMethod
from multiemo.arrays import Pixels

#: x0, y0, x1, y1 in pixels; may extend beyond the picture.
Box: TypeAlias = tuple[float, float, float, float]

#: Side of the covered region over that of the detected box; an ellipse of sqrt(2) just contains it.
ENLARGE = 1.5
#: Number of cells of the mosaic along the longer side of the covered region.
CELLS = 6
#: Standard deviation of the blur, as a share of the longer side of the covered region.
BLUR = 1 / 8
#: Longer side at which a region is blurred, pixels.
_BLUR_SIDE = 64


def cover_faces(picture: Pixels, boxes: list[Box], method: FaceMethod) -> Pixels:
    """Cover the regions around the boxes of faces.

    Args:
        picture: ``[H, W, 3]`` uint8 RGB; unchanged.
        boxes: boxes of the faces, before enlargement.
        method: how to cover; ``keep`` returns the picture.
    """
    if method == "keep" or not boxes:
        return picture
    made = np.array(picture, dtype=np.uint8)
    for box in boxes:
        _cover(made, enlarged(box, ENLARGE), method)
    return made


def cover_picture(picture: Pixels, method: FaceMethod) -> Pixels:
    """Cover a whole picture that is a face crop.

    Args:
        picture: ``[H, W, 3]`` uint8 RGB; unchanged.
        method: how to cover; ``keep`` returns the picture.
    """
    if method == "keep":
        return picture
    return _covered(picture, method, max(picture.shape[:2]))


def enlarged(box: Box, factor: float) -> Box:
    """A box enlarged about its centre.

    Example:
        >>> enlarged((10, 10, 20, 30), 1.5)
        (7.5, 5.0, 22.5, 35.0)
    """
    x0, y0, x1, y1 = box
    x, y = (x1 - x0) * (factor - 1) / 2, (y1 - y0) * (factor - 1) / 2
    return x0 - x, y0 - y, x1 + x, y1 + y


def _cover(picture: Pixels, box: Box, method: FaceMethod) -> None:
    """Cover an enlarged box in place: a rectangle by ``box``, else the ellipse in it."""
    height, width = picture.shape[:2]
    left, top = max(0, math.floor(box[0])), max(0, math.floor(box[1]))
    right, bottom = min(width, math.ceil(box[2])), min(height, math.ceil(box[3]))
    if left >= right or top >= bottom:
        return
    region = picture[top:bottom, left:right]
    covered = _covered(region, method, max(box[2] - box[0], box[3] - box[1]))
    if method == "box":
        region[:] = covered
        return
    ys, xs = np.ogrid[top:bottom, left:right]
    across = (xs + 0.5 - (box[0] + box[2]) / 2) / ((box[2] - box[0]) / 2)
    down = (ys + 0.5 - (box[1] + box[3]) / 2) / ((box[3] - box[1]) / 2)
    inside = across**2 + down**2 <= 1
    region[inside] = covered[inside]


def _covered(region: Pixels, method: FaceMethod, side: float) -> Pixels:
    """A region with its contents covered.

    Args:
        region: ``[h, w, 3]`` uint8.
        method: ``pixelate``, ``blur`` or ``box``.
        side: longer side of the region before it was cut at the edge of the picture, pixels.
    """
    height, width = region.shape[:2]
    if method == "box":
        return np.zeros_like(region)
    if method == "pixelate":
        cells = max(1, round(width * CELLS / side)), max(1, round(height * CELLS / side))
        small = cv2.resize(region, cells, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    scale = min(1.0, _BLUR_SIDE / side)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(region, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), side * scale * BLUR, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
