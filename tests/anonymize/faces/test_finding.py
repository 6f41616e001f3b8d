"""Regions of faces over time."""

from __future__ import annotations

import numpy as np
import pytest

from multiemo.anonymize.faces.finding import CARRIED, HOLD, face_detector, regions
from multiemo.errors import ConfigError
from multiemo.preprocess.faces.detection import Face

A, B = Face((10.0, 10.0, 30.0, 30.0), 0.9), Face((18.0, 10.0, 38.0, 30.0), 0.9)


def test_a_gap_is_filled_by_interpolation() -> None:
    times = np.arange(5) / 10
    found = [[A], [], [], [], [B]]
    boxes = regions(found, times)
    assert [len(b) for b in boxes] == [1, 1, 1, 1, 1]
    x0, y0, x1, y1 = boxes[2][0]
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((24, 20))
    assert x1 - x0 == pytest.approx(20 * CARRIED)
    assert boxes[0] == [A.box]


def test_a_face_is_held_before_and_after_it_is_found() -> None:
    times = np.arange(40) / 10
    found: list[list[Face]] = [[] for _ in times]
    found[20] = [A]
    covered = [number for number, boxes in enumerate(regions(found, times)) if boxes]
    assert covered == list(range(20 - round(HOLD * 10), 20 + round(HOLD * 10) + 1))


def test_the_hold_counts_seconds_whatever_the_frame_rate() -> None:
    times = np.array([0.0, 1.0, 1.4, 1.45, 1.5, 3.0])
    found: list[list[Face]] = [[], [], [], [A], [], []]
    assert [bool(boxes) for boxes in regions(found, times)] == [False, True, True, True, True, False]


def test_two_faces_are_carried_separately() -> None:
    far = Face((100.0, 100.0, 140.0, 140.0), 0.8)
    boxes = regions([[A, far], [far], [A, far]], np.arange(3) / 10)
    assert len(boxes[1]) == 2


def test_no_faces_and_no_frames() -> None:
    assert regions([[], []], np.array([0.0, 0.1])) == [[], []]
    assert regions([], np.zeros(0)) == []


def test_an_unknown_detector() -> None:
    with pytest.raises(ConfigError, match="unknown face detector 'best'"):
        face_detector("best")
