"""Covered faces: nothing of a face is left outside the cover, and little within."""

from __future__ import annotations

import numpy as np
import pytest

from multiemo.anonymize.faces.covering import CELLS, cover_faces, cover_picture

BOX = (60.0, 40.0, 120.0, 120.0)


def noise(height: int = 200, width: int = 240) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("method", ["pixelate", "blur", "box"])
def test_the_whole_box_is_covered_and_far_pixels_stay(method: str) -> None:
    picture = noise()
    before = picture.copy()
    made = cover_faces(picture, [BOX], method)
    np.testing.assert_array_equal(picture, before)
    inside = made[40:120, 60:120].astype(int)
    assert np.abs(np.diff(inside, axis=1)).mean() < 8  # of noise it is 85
    assert np.abs(np.diff(inside, axis=0)).mean() < 8
    np.testing.assert_array_equal(made[:, :40], picture[:, :40])
    np.testing.assert_array_equal(made[160:], picture[160:])


def test_a_mosaic_has_few_cells() -> None:
    made = cover_faces(noise(), [BOX], "pixelate")
    colours = np.unique(made[40:120, 60:120].reshape(-1, 3), axis=0)
    assert len(colours) <= CELLS * CELLS
    assert len(np.unique(cover_picture(noise(), "pixelate").reshape(-1, 3), axis=0)) <= CELLS * CELLS


def test_detail_finer_than_a_cell_is_gone() -> None:
    stripes = np.zeros((200, 240, 3), np.uint8)
    stripes[:, ::2] = 255
    for method in ("pixelate", "blur"):
        inside = cover_faces(stripes, [BOX], method)[40:120, 60:120]
        assert np.ptp(inside.astype(int)) <= 40, method


def test_a_box_is_black() -> None:
    assert not cover_faces(noise(), [BOX], "box")[30:130, 50:130].any()
    assert not cover_picture(noise(), "box").any()


@pytest.mark.parametrize("box", [(-30.0, -20.0, 25.0, 40.0), (220.0, 150.0, 300.0, 260.0), (400.0, 0.0, 450.0, 60.0)])
@pytest.mark.parametrize("method", ["pixelate", "blur", "box"])
def test_faces_at_the_edge_and_beyond(box: tuple[float, float, float, float], method: str) -> None:
    picture = noise()
    made = cover_faces(picture, [box], method)
    x0, y0, x1, y1 = (max(0, round(v)) for v in box)
    assert made.shape == picture.shape
    region = made[y0 : min(y1, 200), x0 : min(x1, 240)]
    assert region.size == 0 or np.abs(np.diff(region.astype(int), axis=1)).mean() < 8


@pytest.mark.parametrize("side", [1, 2, 5])
def test_tiny_pictures_and_boxes(side: int) -> None:
    picture = noise(side, side)
    for method in ("pixelate", "blur", "box"):
        assert cover_faces(picture, [(0.0, 0.0, side, side)], method).shape == picture.shape
        assert cover_picture(picture, method).shape == picture.shape


def test_kept_faces() -> None:
    picture = noise()
    assert cover_faces(picture, [BOX], "keep") is picture
    assert cover_picture(picture, "keep") is picture
