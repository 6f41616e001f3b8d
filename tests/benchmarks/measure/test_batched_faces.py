"""CenterFace in torch against OpenCV's own execution of the same file."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from benchmarks.measure.batched_faces import BatchedCenterFace
from benchmarks.measure.onnx_network import OnnxNetwork
from multiemo.errors import ConfigError
from multiemo.media.reading import read_media
from multiemo.preprocess.faces.detection import CenterFace, centerface_file
from tests.support.detectors import needs_centerface

pytestmark = needs_centerface


def pictures() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (240, 320, 3), dtype=np.uint8)
    face = cv2.resize(skimage.data.astronaut()[:384], (320, 240), interpolation=cv2.INTER_AREA)
    return [face, noise, np.roll(face, 60, axis=1), np.zeros_like(face)]


def test_the_outputs_are_those_of_opencv() -> None:
    path = centerface_file()
    (picture, *_) = pictures()
    picture = np.pad(picture, ((0, 16), (0, 0), (0, 0)))
    theirs = cv2.dnn.readNetFromONNX(str(path))
    theirs.setInput(cv2.dnn.blobFromImage(picture))
    with torch.no_grad():
        ours = OnnxNetwork(path, CenterFace.OUTPUTS)(torch.from_numpy(picture).permute(2, 0, 1)[None].float())
    for got, wanted in zip(ours, theirs.forward(CenterFace.OUTPUTS), strict=True):
        assert np.abs(wanted).max() > 1e-2
        np.testing.assert_allclose(got.numpy(), wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def test_a_batch_has_the_faces_of_its_pictures() -> None:
    single = CenterFace(centerface_file(), 320, 0.5)
    found = BatchedCenterFace(centerface_file(), 320, 0.5, torch.device("cpu")).detect(pictures())
    expected = [single.detect(picture) for picture in pictures()]
    assert [len(faces) for faces in found] == [len(faces) for faces in expected]
    assert len(expected[0]) == 1
    for ours, theirs in zip(chain(*found), chain(*expected), strict=True):
        np.testing.assert_allclose(ours.box, theirs.box, rtol=0, atol=0.01)
        np.testing.assert_allclose(ours.landmarks, theirs.landmarks, rtol=0, atol=0.01)
        assert ours.score == pytest.approx(theirs.score, abs=1e-4)


@pytest.mark.slow
def test_real_pictures_have_the_same_faces(real_data: Path) -> None:
    single = CenterFace(centerface_file(), 320, 0.5)
    batched = BatchedCenterFace(centerface_file(), 320, 0.5, torch.device("cpu"))
    frames = [
        frame
        for name in ("multi_face.jpg", "WolfgangLanger_Pexels.mp4", "face_noface.mov", "no_face.mp4")
        for frame in read_media(real_data / "face_media" / name, fps=4, max_side=320).frames[:8]
    ]
    seen = 0
    for frame in frames:
        (ours,), theirs = batched.detect([frame]), single.detect(frame)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one.box, other.box, rtol=0, atol=0.01)
            seen += 1
    assert seen >= 10


def test_a_file_that_is_no_network_is_refused(tmp_path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(centerface_file().read_bytes()[:1000])
    with pytest.raises(ConfigError, match=r"broken\.onnx is not a readable ONNX network"):
        OnnxNetwork(path, ("a",))
