"""Known faces looked for where they are believed to be, at a fraction of the cost of the whole picture.

A convolutional detector says the same of a part of a picture as of the whole, if the part has the same scale, begins on
the same grid and leaves some room around the face; at another scale it would not (CenterFace moves its landmarks by a
twentieth of the eyes' distance when the picture is halved or doubled, so no part is ever resized).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multiemo.arrays import Pixels
from multiemo.preprocess.faces.detection import Detector, Face
from multiemo.preprocess.faces.linking import match
from multiemo.preprocess.faces.optical_flow import moved_face

#: Sides of the parts, pixels; few, since a network is kept for each shape of input.
SIDES = (96, 128, 160)
#: Parts begin at multiples of this, the coarsest grid of the network, and are larger by it than twice the face.
GRID = 32
#: Side of the largest face that has a part of its own; a larger one takes the whole picture.
LARGEST = (SIDES[-1] - GRID) / 2


def detect_near(detector: Detector, picture: Pixels, faces: Sequence[Face]) -> list[Face] | None:
    """Where known faces really are.

    Args:
        detector: any.
        picture: ``[h, w, 3]`` uint8 RGB, as the detector would be handed it.
        faces: where they are believed to be, in pixels of ``picture``.

    Returns:
        One face for each, in their order; ``None`` where the whole picture must be looked at: for a face that is not
        found, that is too large, or faces so many that nothing would be saved.
    """
    height, width = (-(-side // GRID) * GRID for side in picture.shape[:2])
    sides = [next((side for side in SIDES if side >= 2 * face.side + GRID), width) for face in faces]
    if max(sides) > min(height, width, SIDES[-1]) or sum(side**2 for side in sides) >= height * width:
        return None
    padded = np.zeros((height, width, 3), dtype=np.uint8)
    padded[: picture.shape[0], : picture.shape[1]] = picture
    found: list[Face] = []
    for face, side in zip(faces, sides, strict=True):
        x, y = (
            int(min(max(round((middle - side / 2) / GRID) * GRID, 0), length - side))
            for middle, length in zip(face.center, (width, height), strict=True)
        )
        there = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
        seen = [moved_face(f, there) for f in detector.detect(padded[y : y + side, x : x + side])]
        nearest = match([face], seen)
        if not nearest:
            return None
        found.append(seen[nearest[0]])
    return found
