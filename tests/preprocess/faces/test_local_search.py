"""Search for known faces in a part of the picture gives the result of the whole picture, on real media."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from multiemo.media.reading import read_media
from multiemo.preprocess.faces.detection import Face, make_detector
from multiemo.preprocess.faces.local_search import GRID, LARGEST, SIDES, detect_near
from multiemo.preprocess.faces.optical_flow import moved_face
from tests.support.detectors import needs_centerface


class Asked:
    """A detector that records its input and returns one face in the middle of it."""

    def __init__(self, side: float = 20.0) -> None:
        self.side = side
        self.pictures: list[np.ndarray] = []

    def detect(self, frame: np.ndarray) -> list[Face]:
        self.pictures.append(frame)
        middle = np.array(frame.shape[1::-1]) / 2
        low, high = middle - self.side / 2, middle + self.side / 2
        return [Face((low[0], low[1], high[0], high[1]), 0.8)]


def at(x: float, y: float, side: float) -> Face:
    return Face((x - side / 2, y - side / 2, x + side / 2, y + side / 2), 0.9)


@pytest.mark.parametrize(("x", "y", "side"), [(160, 90, 20), (5, 5, 20), (315, 175, 30), (150, 80, 40), (100, 90, 62)])
def test_a_part_lies_on_the_grid_and_around_the_face(x: float, y: float, side: float) -> None:
    asked = Asked(side)
    picture = np.arange(180 * 320 * 3, dtype=np.uint32).reshape(180, 320, 3).astype(np.uint8)
    detect_near(asked, picture, [at(x, y, side)])
    (part,) = asked.pictures
    length = part.shape[0]
    assert part.shape == (length, length, 3)
    assert length in SIDES
    assert length >= 2 * side + GRID
    padded = np.zeros((192, 320, 3), dtype=np.uint8)
    padded[:180] = picture
    places = [
        (left, top)
        for left in range(0, 321 - length, GRID)
        for top in range(0, 193 - length, GRID)
        if np.array_equal(padded[top : top + length, left : left + length], part)
    ]
    assert any(left <= x <= left + length and top <= y <= top + length for left, top in places)


def test_the_whole_picture_is_asked_for_where_a_part_does_not_do() -> None:
    picture = np.zeros((180, 320, 3), dtype=np.uint8)
    assert detect_near(Asked(), picture, [at(160, 96, LARGEST + 1)]) is None
    assert detect_near(Asked(), picture, [at(40 + 40 * k, 96, 20) for k in range(7)]) is None
    assert detect_near(Asked(200), picture, [at(160, 96, 20)]) is None  # found something else
    assert detect_near(Asked(), picture[:80], [at(160, 40, 40)]) is None
    found = detect_near(Asked(), picture, [at(176, 112, 20), at(48, 48, 20)])
    assert found is not None
    assert [f.center for f in found] == [(176.0, 112.0), (48.0, 48.0)]


@needs_centerface
def test_a_part_says_what_the_whole_picture_says(real_data: Path) -> None:
    media = read_media(real_data / "face_media" / "single_face.mp4", fps=4, max_side=320)
    assert media.frames is not None
    detector = make_detector("centerface", size=320, min_score=0.5, min_face=0.04)
    small = np.full((len(media.frames), 180, 320, 3), 90, dtype=np.uint8)
    small[:, 45:135, 80:240] = [cv2.resize(f, (160, 90), interpolation=cv2.INTER_AREA) for f in media.frames]
    errors = []
    for k, frame in enumerate(small):
        (whole,) = detector.detect(frame)
        believed = moved_face(whole, np.array([[1.0, 0.0, 3.0 * (-1) ** k], [0.0, 1.0, 2.0]]))
        (part,) = detect_near(detector, frame, [believed]) or [None]
        assert part is not None
        assert whole.landmarks is not None
        assert part.landmarks is not None
        eyes = np.linalg.norm(whole.landmarks[1] - whole.landmarks[0])
        errors.append(np.linalg.norm(whole.landmarks - part.landmarks, axis=1).mean() / eyes)
    assert np.mean(errors) < 0.03
