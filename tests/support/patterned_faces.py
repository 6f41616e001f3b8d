"""Faces that are patterns, and rooms for them to move in."""

from __future__ import annotations

import cv2
import numpy as np

from multiemo.preprocess.faces.detection import Face
from multiemo.preprocess.faces.frames import ArrayFrame

SIDE = 60
#: The eyes, the nose and the corners of the mouth, as shares of a box.
MARKS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


def texture(seed: int, height: int, width: int, *, contrast: float = 60.0) -> np.ndarray:
    """A soft random pattern, ``[H, W, 3]``."""
    rough = np.random.default_rng(seed).normal(0, 1, (height, width))
    soft = cv2.GaussianBlur(rough, (0, 0), 2.5)
    grey = np.clip(128 + contrast * soft / soft.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def face_at(x: float, y: float, side: float = SIDE) -> Face:
    return Face((x, y, x + side, y + side), 0.9, (np.array([x, y]) + side * MARKS).astype(np.float32))


def scene(*places: tuple[int, float, float], room: int = 0) -> tuple[ArrayFrame, list[Face]]:
    """A picture of 320x180 with patterned faces (pattern, x, y) in a room, and where they are."""
    picture = texture(1000 + room, 180, 320, contrast=25.0)
    for pattern, x, y in places:
        moved = cv2.warpAffine(
            texture(pattern, SIDE, SIDE), np.array([[1.0, 0, x], [0, 1.0, y]]), (320, 180), flags=cv2.INTER_LINEAR
        )
        inside = cv2.warpAffine(np.ones((SIDE, SIDE)), np.array([[1.0, 0, x], [0, 1.0, y]]), (320, 180)) > 0.99
        picture[inside] = moved[inside]
    return ArrayFrame(picture), [face_at(x, y) for _, x, y in places]
