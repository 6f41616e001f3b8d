"""Linking of detected faces over frames."""

from __future__ import annotations

import numpy as np

from multiemo.preprocess.faces.detection import Face
from multiemo.preprocess.faces.linking import link_faces


def face(x: float, y: float, side: float = 40.0) -> Face:
    return Face((x, y, x + side, y + side), 0.9)


def test_links_follow_position_and_size() -> None:
    times = np.arange(4) * 0.25
    left, right = [face(10 + 5 * i, 50) for i in range(4)], [face(200 - 5 * i, 50) for i in range(4)]
    tracks = link_faces([[right[i], left[i]] if i % 2 else [left[i], right[i]] for i in range(4)], times)
    assert sorted(t[0][1].box[0] for t in tracks) == [10, 200]
    assert [len(t) for t in tracks] == [4, 4]
    assert len(link_faces([[face(10, 50)], [face(200, 50)]], times[:2])) == 2
    assert len(link_faces([[face(100, 50, 20)], [face(90, 40, 60)]], times[:2])) == 2
    assert len(link_faces([[face(10, 50)], [face(10, 50)]], np.array([0.0, 9.0]))) == 2
