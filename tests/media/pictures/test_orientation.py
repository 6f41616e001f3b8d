"""Stills and videos in every orientation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from multiemo.media.reading import Playback, PlayedFrame, probe
from tests.support.media_files import grid, turned, write
from tests.support.pictures import needs_avif, read, scene, stored


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.jpg", "RGB"),
        ("a.png", "RGB"),
        ("a.png", "RGBA"),
        ("a.webp", "RGB"),
        ("a.webp", "RGBA"),
        ("a.tif", "RGB"),
        pytest.param("a.avif", "RGB", marks=needs_avif),
        pytest.param("a.avif", "RGBA", marks=needs_avif),
    ],
)
def test_every_still_is_upright(tmp_path: Path, name: str, mode: str, orientation: int) -> None:
    path = tmp_path / name
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(stored(scene(), orientation)).convert(mode)
    picture.save(path, exif=exif, **({"lossless": True} if name == "a.webp" else {"quality": 95}))
    got = read(path)
    assert got.shape == scene().shape
    assert np.abs(got - scene()).mean() < 4
    info = probe(path, "image")
    assert (info.height, info.width) == got.shape[:2]


#: The 2 x 2 part of the display matrix (ISO/IEC 14496-12, 6.2.2) that makes each stored orientation upright.
MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_film_is_upright(tmp_path: Path, orientation: int) -> None:
    one = 1 << 16
    a, b, c, d = (one * part for part in MATRICES[orientation])
    path = write(tmp_path / "film.mp4", stamps=grid(3), frames=[stored(scene(), orientation)] * 3)
    turned(path, (a, b, 0, c, d, 0, 0, 0, 1 << 30))
    assert np.abs(read(path) - scene()).mean() < 8
    info = probe(path)
    assert (info.width, info.height) == (48, 32)
    assert info.mirrored == (orientation in (2, 4, 5, 7))
    back = np.rot90(stored(scene(), orientation), info.rotation // 90)
    np.testing.assert_array_equal(back[:, ::-1] if info.mirrored else back, scene())
    seen = [piece for piece in Playback(path, rate=None, fps=25.0).pieces() if isinstance(piece, PlayedFrame)]
    assert (seen[0].frame.width, seen[0].frame.height) == (48, 32)
    assert np.abs(seen[0].frame.rgb().astype(int) - scene()).mean() < 8
    grey = cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY).astype(int)
    assert np.abs(seen[0].frame.grey(48).astype(int) - grey).mean() < 8
