"""What a vision-language model is given to see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from multiemo.encoders.face.face_prompted import FacePrompted
from multiemo.types import FaceSpec
from tests.support.tiny_media_models import save_media_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_media_model(tmp_path_factory.mktemp("models") / "sees", "llava")


@pytest.mark.parametrize(("has", "shown"), [(1, [0, 0, 0, 0]), (2, [0, 0, 1, 1]), (3, [0, 0, 1, 2]), (4, [0, 1, 2, 3])])
def test_the_pictures_are_the_crops_in_their_order(folder, has, shown):
    encoder = FacePrompted(model=str(folder), labels=("happy", "sad"), size=24)
    assert encoder.input_spec == FaceSpec(size=24, frames=4)
    crops = torch.randint(0, 256, (has, 3, 24, 24), dtype=torch.uint8)
    pictures = encoder.media(crops)
    assert {picture.mode for picture in pictures} == {"RGB"}
    for picture, frame in zip(pictures, shown, strict=True):
        np.testing.assert_array_equal(np.asarray(picture), crops[frame].permute(1, 2, 0))


def test_a_clip_without_content_is_grey(folder):
    encoder = FacePrompted(model=str(folder), labels=("happy", "sad"), frames=2, size=24)
    assert encoder.neutral().unique().tolist() == [128]
    assert encoder.stored.prompt.before == "<image><image>\n"
    first, second = encoder.media(encoder.neutral())
    assert first.size == second.size == (24, 24)
