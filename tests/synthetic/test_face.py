"""Drawn faces follow action units and poses."""

from __future__ import annotations

import cv2
import numpy as np

from multiemo.synthetic import cues
from multiemo.synthetic.appearance import Look
from multiemo.synthetic.face import DrawnHead, Pose


def test_action_units_move_the_face() -> None:
    head = DrawnHead(Look.draw(np.random.default_rng(2)))
    still = head.paint({}).astype(int)
    for unit in cues.ACTION_UNITS:
        moved = np.abs(head.paint({unit: 1.0}).astype(int) - still).max()
        assert moved > 12, f"AU{unit} draws nothing"
    assert (head.paint({}) == still).all()


def test_head_lands_where_the_pose_says() -> None:
    head = DrawnHead(Look.draw(np.random.default_rng(5)))
    background = np.zeros((256, 256, 3), np.uint8)
    placed = head.place(head.paint({}), background, Pose(x=0.7, y=0.5, scale=0.6))
    columns = np.nonzero(cv2.cvtColor(placed, cv2.COLOR_RGB2GRAY).max(axis=0) > 40)[0]
    assert 0.6 < columns.mean() / 256 < 0.8
    assert background.max() == 0
