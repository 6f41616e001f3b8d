"""Tracking of faces from picture to picture, and detection of cuts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from multiemo.preprocess.faces.frames import ArrayFrame
from multiemo.preprocess.faces.optical_flow import View, follow, is_cut, moved_face
from tests.support.patterned_faces import scene, texture


@pytest.mark.parametrize(("angle", "zoom", "dx"), [(0.0, 1.0, 6.0), (6.0, 1.0, -3.0), (-4.0, 1.1, 2.5)])
def test_flow_moves_box_and_landmarks(angle: float, zoom: float, dx: float) -> None:
    frame, (face,) = scene((1, 120, 60))
    turn = np.asarray(cv2.getRotationMatrix2D(face.center, angle, zoom))
    turn[0, 2] += dx
    after = ArrayFrame(cv2.warpAffine(frame.pixels, turn, (320, 180), borderMode=cv2.BORDER_REFLECT))
    (moved,) = follow(View.of(frame), View.of(after), [face])
    assert moved is not None
    truth = moved_face(face, turn)
    np.testing.assert_allclose(moved.box, truth.box, atol=0.6)
    assert moved.landmarks is not None
    assert truth.landmarks is not None
    np.testing.assert_allclose(moved.landmarks, truth.landmarks, atol=0.6)


def test_flow_loses_a_face_that_is_not_there_any_more() -> None:
    frame, faces = scene((1, 120, 60))
    assert follow(View.of(frame), View.of(scene(room=3)[0]), faces) == [None]


def test_a_cut_is_another_scene_not_light_nor_a_pan() -> None:
    frame, _ = scene((1, 120, 60))
    brighter = ArrayFrame(np.clip(frame.pixels.astype(int) + 30, 0, 255).astype(np.uint8))
    panned = ArrayFrame(np.roll(frame.pixels, 15, axis=1))
    other = ArrayFrame(texture(7, 180, 320))
    assert not is_cut(View.of(frame), View.of(brighter))
    assert not is_cut(View.of(frame), View.of(panned))
    assert not is_cut(View.of(frame), View.of(scene((1, 128, 62))[0]))
    assert is_cut(View.of(frame), View.of(other))
    assert is_cut(View.of(frame), View.of(ArrayFrame(frame.pixels[:, :200])))
