"""Pictures that are made byte by byte."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import features

from multiemo.media.reading import read_media

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")

#: For each value of EXIF's orientation, the visual side of the stored row 0 and of the stored column 0 (CIPA DC-008).
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def scene(height: int = 32, width: int = 48) -> np.ndarray:
    """A picture each of whose corners has a colour of its own."""
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[: height // 2, : width // 2] = (250, 20, 20)
    picture[: height // 2, width // 2 :] = (20, 250, 20)
    picture[height // 2 :, : width // 2] = (20, 20, 250)
    return picture


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """How a camera held so stores what is upright."""
    first, second = SIDES[orientation]
    swapped = first in ("left", "right")
    across, down = (first, second) if swapped else (second, first)
    flipped = upright[:: -1 if down == "bottom" else 1, :: -1 if across == "right" else 1]
    return np.ascontiguousarray(flipped.swapaxes(0, 1) if swapped else flipped)


def read(path: Path) -> np.ndarray:
    frames = read_media(path, fps=1).frames
    assert frames is not None
    return frames[0].astype(int)


def jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()  # type: ignore[no-any-return]
