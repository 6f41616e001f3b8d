"""Quality of a face crop: each part falls with the property that it measures, and ordinary training data pass."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from multiemo.preprocess.faces.crops import crop_face, whole_picture
from multiemo.preprocess.faces.detection import Face
from multiemo.preprocess.faces.quality import MIN_QUALITY, Quality, face_quality
from multiemo.synthetic.appearance import Look
from multiemo.synthetic.face import DrawnHead, Pose


def drawn(seed: int = 0) -> np.ndarray:
    """A drawn face, ``[64, 64, 3]``."""
    rng = np.random.default_rng(seed)
    head, pose = DrawnHead(Look.draw(rng)), Pose(scale=1.15, y=0.47)
    room = np.full((256, 256, 3), int(rng.integers(60, 200)), dtype=np.uint8)
    return cv2.resize(head.place(head.paint({}, pose), room, pose), (64, 64), interpolation=cv2.INTER_AREA)


def facing(nose: float, side: float = 100.0) -> Face:
    """A face with its nose at this share of the way from eye to eye."""
    marks = np.array([[30, 40], [70, 40], [30 + 40 * nose, 60], [35, 80], [65, 80]], dtype=np.float32)
    return Face((0, 0, side, side), 0.9, marks)


def test_a_good_face_is_good() -> None:
    quality = face_quality(drawn(), facing(0.5))
    assert quality.score > 0.6
    assert quality.pose == 1.0


def test_sharpness_falls_with_blur_and_ignores_contrast_and_size() -> None:
    face, crop = facing(0.5), drawn()
    blurred = [face_quality(cv2.GaussianBlur(crop, (0, 0), s), face).sharpness for s in (0.7, 1.5, 3.0, 8.0)]
    assert blurred == sorted(blurred, reverse=True)
    assert blurred[-1] < MIN_QUALITY < blurred[0]
    pale = (96 + crop.astype(float) / 3).round().astype(np.uint8)
    assert face_quality(pale, face).sharpness == pytest.approx(face_quality(crop, face).sharpness, abs=0.1)
    large = cv2.resize(crop, (224, 224), interpolation=cv2.INTER_CUBIC)
    assert face_quality(large, face).sharpness == pytest.approx(face_quality(crop, face).sharpness, abs=0.1)


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    from scipy.ndimage import gaussian_filter, laplace

    crop = cv2.GaussianBlur(drawn(), (0, 0), 2.0)
    inner = gaussian_filter(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[8:-8, 8:-8].astype(float), 1.0, mode="mirror")
    expected = laplace(inner, mode="mirror").var() / inner.var()
    low, high = np.log(1.4e-3), np.log(5e-2)
    want = np.clip((np.log(expected) - low) / (high - low), 0, 1)
    assert face_quality(crop, facing(0.5)).sharpness == pytest.approx(want, abs=0.01)


def test_size_pose_and_exposure() -> None:
    crop = drawn()
    sizes = [face_quality(crop, Face((0, 0, s, s), 0.9)).size for s in (4, 12, 48, 200)]
    assert sizes == [0.05, 0.15, 0.6, 1.0]
    assert face_quality(crop, Face((0, 0, 9, 9), 0.9)).pose is None
    poses = [face_quality(crop, facing(n)).pose for n in (0.5, 0.3, 0.1, -0.1, -0.7)]
    assert poses[0] == poses[1] == 1.0
    assert poses[2] is not None
    assert poses[3] is not None
    assert 1.0 > poses[2] > poses[3] > MIN_QUALITY
    assert poses[4] == 0.0
    behind = Face((0, 0, 100, 100), 0.9, facing(0.5).landmarks[[1, 0, 2, 3, 4]])
    assert face_quality(crop, behind).pose == 0.0
    levels = [face_quality((crop * k).astype(np.uint8), facing(0.5)).exposure for k in (1.0, 0.3, 0.05, 0.0)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == 1.0
    assert levels[1] > MIN_QUALITY  # dark, but readable
    assert levels[-1] == 0.0
    assert face_quality(np.full_like(crop, 255), facing(0.5)).exposure == 0.0


def test_the_weakest_part_is_the_score_and_is_named() -> None:
    assert Quality(0.03, 0.9, 0.8, 0.7).score == 0.03
    assert Quality(0.03, 0.9, 0.8, 0.7).fault == "too blurred (sharpness 0.03, 0.10 is needed)"
    assert Quality(0.3, 0.9, 0.8, 0.02).fault == "turned away (pose 0.02, 0.10 is needed)"
    assert Quality(0.3, 0.9, 0.08).fault == "too dark or overexposed (exposure 0.08, 0.10 is needed)"
    assert Quality(0.3, 0.09, 0.8).fault == "too small (size 0.09, 0.10 is needed)"


@pytest.mark.parametrize("seed", range(12))
def test_drawn_faces_pass(seed: int) -> None:
    assert face_quality(drawn(seed), facing(0.5)).score > 2 * MIN_QUALITY


def test_a_training_corpus_passes(real_data: Path) -> None:
    """Grey faces of 48 pixels, enlarged; about every fiftieth file."""
    files = sorted((real_data / "fer2013" / "test").glob("*/*.png"))[::40]
    scores = []
    for file in files:
        picture = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        whole = Face((0, 0, 48, 48), 1.0)
        scores.append(face_quality(whole_picture(picture, whole, 112), whole).score)
        scores.append(face_quality(crop_face(picture, whole, 64), whole).score)
    assert len(scores) > 100
    assert np.mean(np.array(scores) < MIN_QUALITY) <= 0.01
