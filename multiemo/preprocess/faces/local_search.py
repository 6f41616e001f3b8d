"""Search for known faces near their expected positions, at a fraction of the cost of the whole picture.

A convolutional detector returns the same for a part of a picture as for the whole, if the part has the same scale,
begins on the same grid and leaves some space around the face. At another scale it would not: CenterFace moves its
landmarks by a twentieth of the eyes' distance when the picture is halved or doubled. Parts are therefore never resized.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multiemo.arrays import Pixels
from multiemo.preprocess.faces.detection import Detector, Face
from multiemo.preprocess.faces.linking import match_faces
from multiemo.preprocess.faces.optical_flow import moved_face

#: Sides of the parts, pixels; few, because one network is kept for each input shape.
SIDES = (96, 128, 160)
#: Parts begin at multiples of this, the coarsest grid of the network. They exceed twice the size of the face by it.
GRID = 32
#: Side of the largest face that is searched in a part. Larger ones require the whole picture.
LARGEST = (SIDES[-1] - GRID) / 2


def detect_near(detector: Detector, picture: Pixels, faces: Sequence[Face]) -> list[Face] | None:
    """Detect known faces near their expected positions.

    Args:
        detector: any detector.
        picture: ``[h, w, 3]`` uint8 RGB, in the size that the detector would read.
        faces: expected positions, in pixels of ``picture``.

    Returns:
        One detected face for each, in the same order. ``None`` if the whole picture must be searched, because a face is
        not found or too large, or because so many faces would save nothing.
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
        offset = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
        detected = [moved_face(f, offset) for f in detector.detect(padded[y : y + side, x : x + side])]
        nearest = match_faces([face], detected)
        if not nearest:
            return None
        found.append(detected[nearest[0]])
    return found
