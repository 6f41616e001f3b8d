"""Augmentation of face crops."""

from __future__ import annotations

import torch

from multiemo.encoders.face.augmentation import FaceAugment


def test_augmentation_is_one_draw_a_clip_and_keeps_range() -> None:
    torch.manual_seed(3)
    augment = FaceAugment(flip=0.5, rotate=20, zoom=0.2, shift=0.1, light=0.3, grey=0.5, erase=1.0)
    picture = torch.rand(1, 3, 32, 32)
    frames = picture.expand(6, 3, 32, 32)
    out = augment(frames, torch.tensor([0, 0, 0, 1, 1, 1]), 2)
    assert out.min() >= 0
    assert out.max() <= 1
    torch.testing.assert_close(out[0], out[2])
    torch.testing.assert_close(out[3], out[5])
    assert (out[0] - out[3]).abs().mean() > 0.01


def test_augmentation_of_strength_zero_changes_nothing_and_a_flip_mirrors() -> None:
    picture = torch.rand(4, 3, 32, 32)
    clip = torch.arange(4)
    still = FaceAugment(flip=0, rotate=0, zoom=0, shift=0, light=0, grey=0, erase=0)
    torch.testing.assert_close(still(picture, clip, 4), picture, atol=1e-5, rtol=1e-5)
    mirrored = FaceAugment(flip=1, rotate=0, zoom=0, shift=0, light=0, grey=0, erase=0)
    torch.testing.assert_close(mirrored(picture, clip, 4), picture.flip(-1), atol=1e-5, rtol=1e-5)
