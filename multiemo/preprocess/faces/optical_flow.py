"""Tracking of faces from one picture to the next by optical flow, and detection of cuts.

Points in each face are tracked with pyramidal Lucas-Kanade flow (Bouguet 2001), forwards and backwards. Points that do
not return to where they began are dropped (forward-backward error, Kalal, Mikolajczyk & Matas 2010). A similarity
fitted to the others (RANSAC, Fischler & Bolles 1981) moves the box and the landmarks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from multiemo.arrays import Array, Floats, Pixels
from multiemo.preprocess.faces.crops import upright
from multiemo.preprocess.faces.detection import Face
from multiemo.preprocess.faces.frames import Frame

#: Longer side of the grey picture in which faces are tracked, pixels.
GREY_SIDE = 320
#: Side of the upright grey patch of a face, pixels.
PATCH_SIDE = 40
#: Points on a face: a grid with this many points along each side, and the landmarks. The grid spans a share of the box.
_GRID = 6
_GRID_SHARE = 0.75
_WINDOW = (13, 13)
_LEVELS = 3
#: Largest forward-backward error, and largest distance from the similarity, as a share of the face's side; but at least
#: this many pixels of the grey picture.
_MAX_ERROR_SHARE = 0.03
_MIN_ERROR_LIMIT = 0.7
#: The similarity must agree with this share of the points, and may change the size by this factor at most.
_MIN_INLIERS = 0.4
_MAX_GROWTH = 1.3
#: Side of the thumbnail, pixels. A cut changes it by at least this share of its contrast, and this many grey levels.
_THUMB_SIDE = 16
_CUT_CONTRAST = 0.75
_CUT_LEVELS = 8.0
#: Largest shift of the thumbnail, in its pixels, that is compensated, so that a panning camera causes no cut.
_MAX_PAN = 2


@dataclass(frozen=True, slots=True)
class View:
    """A picture prepared for tracking faces.

    Args:
        grey: ``[h, w]`` uint8, at most :data:`GREY_SIDE` pixels on the longer side.
        scale: size of a pixel of the picture in pixels of ``grey``.
        thumb: ``[16, 16]`` float32 thumbnail.
    """

    grey: Pixels
    scale: float
    thumb: Floats

    @classmethod
    def of(cls, frame: Frame) -> View:
        """Prepare a frame."""
        grey = frame.grey(GREY_SIDE)
        thumb = cv2.resize(grey, (_THUMB_SIDE, _THUMB_SIDE), interpolation=cv2.INTER_AREA)
        return cls(grey, max(grey.shape) / max(frame.height, frame.width), thumb.astype(np.float32))

    def patch(self, face: Face) -> Pixels:
        """The upright face, ``[PATCH_SIDE, PATCH_SIDE]`` uint8, with the eyes positioned as by ``crop_face``."""
        matrix = upright(face)
        matrix[:, :2] /= self.scale
        patch = cv2.warpAffine(
            self.grey,
            matrix * PATCH_SIDE,
            (PATCH_SIDE, PATCH_SIDE),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(patch, dtype=np.uint8)


def is_cut(before: View, after: View) -> bool:
    """Whether a picture shows another scene than the one before it.

    The thumbnails are compared at the best shift, after subtracting the change of their mean (a flash, a lamp).
    """
    if before.grey.shape != after.grey.shape:
        return True
    inner = after.thumb[_MAX_PAN:-_MAX_PAN, _MAX_PAN:-_MAX_PAN]
    side = _THUMB_SIDE - 2 * _MAX_PAN
    shifted = np.lib.stride_tricks.sliding_window_view(before.thumb, (side, side)).reshape(-1, side, side)
    change = shifted - inner
    change = np.abs(change - change.mean(axis=(1, 2), keepdims=True)).mean(axis=(1, 2)).min()
    contrast = (before.thumb.std() + after.thumb.std()) / 2
    return bool(change > max(_CUT_LEVELS, _CUT_CONTRAST * contrast))


def follow(before: View, after: View, faces: Sequence[Face]) -> list[Face | None]:
    """Locate the faces of one picture in the next.

    Args:
        before: the first picture.
        after: the next picture of the same scene.
        faces: faces in ``before``, in pixels of the frame.

    Returns:
        The moved faces, in the same order; ``None`` for a face that was lost.
    """
    if not faces:
        return []
    grids = [_points(face) * before.scale for face in faces]
    start = np.concatenate(grids).astype(np.float32)
    end, error = _flow(before.grey, after.grey, start)
    moved: list[Face | None] = []
    first = 0
    for face, grid in zip(faces, grids, strict=True):
        part = slice(first, first + len(grid))
        first += len(grid)
        limit = max(_MIN_ERROR_LIMIT, _MAX_ERROR_SHARE * face.side * before.scale)
        matrix = _similarity(start[part], end[part], error[part] <= limit, limit)
        if matrix is None:
            moved.append(None)
        else:
            matrix[:, 2] /= before.scale
            moved.append(moved_face(face, matrix))
    return moved


def moved_face(face: Face, matrix: Array) -> Face:
    """Apply a similarity to a face. Its box stays upright.

    Args:
        face: the face in the old picture.
        matrix: ``[2, 3]`` transform from the old picture to the new one.

    Example:
        >>> moved_face(Face((0, 0, 10, 20), 0.9), np.array([[2.0, 0, 5], [0, 2.0, 0]])).box
        (5.0, 0.0, 25.0, 40.0)
    """
    x0, y0, x1, y1 = face.box
    x, y = (float(v) for v in matrix[:, :2] @ np.array(face.center) + matrix[:, 2])
    scale = math.hypot(matrix[0, 0], matrix[1, 0]) / 2
    width, height = (x1 - x0) * scale, (y1 - y0) * scale
    marks = None if face.landmarks is None else (face.landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return Face((x - width, y - height, x + width, y + height), face.score, marks)


def patch_correlation(a: Pixels, b: Pixels) -> float:
    """Correlation of two patches, -1..1; 0 if one of them is flat."""
    return float(cv2.matchTemplate(a, b, cv2.TM_CCOEFF_NORMED)[0, 0]) if a.std() > 1 and b.std() > 1 else 0.0


def _points(face: Face) -> Array:
    """The points ``[K, 2]`` of a face: a grid over the middle of its box, and its landmarks."""
    steps = np.linspace(-_GRID_SHARE / 2, _GRID_SHARE / 2, _GRID)
    x0, y0, x1, y1 = face.box
    x, y = face.center
    columns, rows = np.meshgrid(x + (x1 - x0) * steps, y + (y1 - y0) * steps)
    grid = np.stack([columns.ravel(), rows.ravel()], axis=1)
    return grid if face.landmarks is None else np.concatenate([grid, face.landmarks])


def _flow(before: Pixels, after: Pixels, points: Floats) -> tuple[Floats, Floats]:
    """Track points forwards and backwards. Returns their new positions and the errors, infinite for lost points."""
    options: dict[str, Any] = {
        "winSize": _WINDOW,
        "maxLevel": _LEVELS,
        "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.03),
    }
    end, there, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, **options)
    back, again, _ = cv2.calcOpticalFlowPyrLK(after, before, end, None, **options)
    error = np.hypot(*(back - points).T)
    error[(there.ravel() == 0) | (again.ravel() == 0)] = np.inf
    return end, error


def _similarity(start: Floats, end: Floats, good: Any, limit: float) -> Array | None:
    """The similarity ``[2, 3]`` that most of the good points follow, or ``None``."""
    needed = max(4, _MIN_INLIERS * len(start))
    if good.sum() < needed:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(
        start[good], end[good], method=cv2.RANSAC, ransacReprojThreshold=limit, maxIters=100, confidence=0.99
    )
    if matrix is None or inliers.sum() < needed:
        return None
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    return np.asarray(matrix, dtype=np.float64) if 1 / _MAX_GROWTH <= scale <= _MAX_GROWTH else None
