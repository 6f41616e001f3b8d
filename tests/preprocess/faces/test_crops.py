"""Faces on drawn pictures and stub detectors: crops, quality; presence on real media."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from multiemo.media.reading import read_media
from multiemo.preprocess.faces.crops import EYES_APART, EYES_Y, FacePreprocessor, FaceTrack, crop_face, upright
from multiemo.preprocess.faces.detection import Face
from multiemo.types import Absent, FaceSpec
from tests.support.detectors import needs_centerface, needs_haar


class Scripted:
    """A detector that returns scripted faces, frame by frame."""

    def __init__(self, *faces: list[Face]) -> None:
        self.faces = list(faces)

    def detect(self, frame: np.ndarray) -> list[Face]:
        return self.faces.pop(0)


def face(x: float, y: float, side: float = 40.0, score: float = 0.9) -> Face:
    return Face((x, y, x + side, y + side), score)


def run(spec: FaceSpec, *faces: list[Face]) -> FaceTrack | Absent:
    preprocessor = FacePreprocessor(spec)
    preprocessor.detector = Scripted(*faces)
    frames = np.random.default_rng(0).integers(0, 255, (len(faces), 180, 320, 3), dtype=np.uint8)
    return preprocessor(frames, np.arange(len(faces)) * 0.25)


SPEC = FaceSpec(detector="haar", size=32, frames=8)


def test_a_steady_face_gives_crops_times_and_boxes() -> None:
    track = run(SPEC, *[[face(100 + 5 * i, 50)] for i in range(6)])
    assert isinstance(track, FaceTrack)
    assert track.crops.shape == (6, 3, 32, 32)
    assert track.crops.dtype == torch.uint8
    np.testing.assert_allclose(track.times, np.arange(6) * 0.25)
    assert track.boxes.shape == (6, 4)
    assert (track.faces, track.seen, track.searched, track.notes) == (1, 6, 6, [])


def test_more_frames_than_wanted_are_thinned_evenly() -> None:
    track = run(SPEC, *[[face(100, 50)] for _ in range(40)])
    assert isinstance(track, FaceTrack)
    np.testing.assert_allclose(track.times, (np.arange(8) * 5 + 2) * 0.25)
    assert track.seen == 40


def test_a_face_that_leaves_is_noted() -> None:
    track = run(SPEC, *[[face(100, 50)] if i < 4 else [] for i in range(8)])
    assert isinstance(track, FaceTrack)
    assert track.notes == ["the face was found in 4 of 8 frames"]
    assert track.times.max() == 0.75


def test_the_largest_and_steadiest_of_three_is_used() -> None:
    passer_by, small, main = face(10, 10, 60), face(250, 20, 25), face(120, 60, 50)
    track = run(SPEC, [passer_by, small, main], [small, main], [main, small], [small, main])
    assert isinstance(track, FaceTrack)
    assert track.faces == 3
    assert track.notes == ["3 faces found; the largest and steadiest was used"]
    assert (track.boxes[:, 0] == 120).all()


def test_absent_says_what_was_looked_at() -> None:
    none = run(SPEC, *[[] for _ in range(12)])
    assert none == Absent("no face found in any of 12 frames")
    assert run(SPEC, []) == Absent("no face found in the picture")
    rare = run(SPEC, [face(100, 50)], *[[] for _ in range(9)])
    assert rare == Absent("no steady face: the best one was found in only 1 of 10 frames")
    tiny = run(SPEC, [face(100, 50, side=3.6)])
    assert tiny == Absent("every face is too small: 2.0% of the picture's shorter side at most, 4.0% is needed")
    empty = FacePreprocessor(SPEC)(np.zeros((0, 10, 10, 3), dtype=np.uint8))
    assert empty == Absent("there are no video frames to look for a face in")


def shown(spec: FaceSpec, frames: np.ndarray, *faces: list[Face], cropped: bool = False) -> FaceTrack | Absent:
    preprocessor = FacePreprocessor(spec)
    preprocessor.detector = Scripted(*faces)
    return preprocessor(frames, np.arange(len(frames)) * 0.25, cropped)


def test_what_cannot_be_read_is_no_face_in_a_still_as_in_a_film() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (18, 32, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
    black, soft = picture // 64, cv2.GaussianBlur(picture, (0, 0), 8)
    for spoilt, reason in ((black, "too dark or overexposed (exposure 0.0"), (soft, "too blurred (sharpness 0.0")):
        still = shown(SPEC, spoilt[None], [face(100, 50)])
        assert isinstance(still, Absent)
        assert still.reason.startswith(f"the face is {reason}")
        film = shown(SPEC, np.stack([spoilt] * 3 + [picture] * 5), *[[face(100, 50)]] * 8)
        assert isinstance(film, FaceTrack)
        assert film.times.tolist() == [0.75, 1.0, 1.25, 1.5, 1.75]
        assert film.seen == 8
        assert [note.split(reason)[0] for note in film.notes] == ["3 of 8 faces were left out: "]
    noise = np.random.default_rng(0).integers(0, 255, (1, 180, 320, 3), dtype=np.uint8)
    small = shown(SPEC, noise, [face(100, 50, side=7.9)])
    assert small == Absent("the face is too small (size 0.10, 0.10 is needed)")


def test_of_two_faces_one_that_can_be_read_is_used() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (180, 320, 3), dtype=np.uint8)
    picture[:, :160] = 0
    got = shown(SPEC, picture[None], [face(20, 50, side=90), face(220, 50)])
    assert isinstance(got, FaceTrack)
    assert got.boxes[0, 0] == 220
    assert got.notes == ["2 faces found; the largest and steadiest was used"]


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_a_crop_in_which_there_is_nothing_is_no_face(colour: int) -> None:
    blank = np.full((1, 48, 48, 3), colour, np.uint8)
    got = shown(SPEC, blank, cropped=True)
    assert got == Absent("the face is too dark or overexposed (exposure 0.00, 0.10 is needed)")
    one = np.random.default_rng(0).integers(0, 255, (1, 4, 4, 3), dtype=np.uint8)
    assert shown(SPEC, one, cropped=True) == Absent("the face is too small (size 0.05, 0.10 is needed)")


@pytest.mark.parametrize("angle", [-30.0, 0.0, 20.0])
@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_eyes_come_to_lie_at_their_places(angle: float, scale: float) -> None:
    frame = np.zeros((480, 640, 3), dtype=np.uint8)
    turn = np.deg2rad(angle)
    half = 20 * scale * np.array([np.cos(turn), np.sin(turn)])
    eyes = np.array([320, 240]) - half, np.array([320, 240]) + half
    yy, xx = np.mgrid[:480, :640]
    for channel, (x, y) in enumerate(eyes):
        spot = np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * (3 * scale) ** 2))
        frame[..., channel] = (255 * spot).astype(np.uint8)
    marks = np.array([*eyes, (320, 260), (305, 280), (335, 280)], dtype=np.float32)
    side = 100 * scale
    crop = crop_face(frame, Face((320 - side / 2, 240 - side / 2, 320 + side / 2, 240 + side / 2), 0.9, marks), 64)
    assert crop.shape == (64, 64, 3)
    for channel, x in enumerate((0.5 - EYES_APART / 2, 0.5 + EYES_APART / 2)):
        weight = crop[..., channel].astype(float)
        rows, columns = np.mgrid[:64, :64]
        assert (weight * columns).sum() / weight.sum() == pytest.approx(64 * x, abs=1.2)
        assert (weight * rows).sum() / weight.sum() == pytest.approx(64 * EYES_Y, abs=1.2)


@pytest.mark.parametrize("side", [5.0, 60.0, 150.0, 400.0, 1300.0])
@pytest.mark.parametrize("place", [(700.0, 500.0), (40.0, 960.0), (3000.0, 500.0)])
def test_a_crop_s_pixels_are_the_means_of_what_they_cover(side: float, place: tuple[float, float]) -> None:
    """For faces of any size: in the middle of the picture, across its corner and beyond its edge."""
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1400, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), max(1.0, side / 32))
    frame = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    x, y = place
    face = Face((x - side / 2, y - side / 2, x + side / 2, y + side / 2), 0.9)
    size, fine = 32, 48
    matrix = upright(face) * size * fine
    matrix[:, 2] += matrix[:, :2].sum(1) / 2 - 0.5
    dense = cv2.warpAffine(frame, matrix, (size * fine,) * 2, borderMode=cv2.BORDER_REPLICATE)
    wanted = dense.reshape(size, fine, size, fine, 3).mean((1, 3))
    assert np.abs(crop_face(frame, face, size) - wanted).mean() < 1.0


def test_a_profile_is_cropped_by_its_box() -> None:
    frame = np.zeros((100, 100, 3), dtype=np.uint8)
    frame[30:70, 30:70] = 255
    close = np.array([[50, 45], [52, 45], [50, 50], [50, 60], [51, 60]], dtype=np.float32)
    by_box = crop_face(frame, Face((30, 30, 70, 70), 0.9), 32)
    np.testing.assert_array_equal(crop_face(frame, Face((30, 30, 70, 70), 0.9, close), 32), by_box)
    assert by_box[16, 16].min() == 255
    assert by_box[0, 0].max() < 128


def test_a_face_crop_is_taken_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (1, 48, 48, 3), dtype=np.uint8)
    track = FacePreprocessor(FaceSpec(size=48))(picture, np.zeros(1), True)
    assert isinstance(track, FaceTrack)
    np.testing.assert_array_equal(track.crops[0].permute(1, 2, 0).numpy(), picture[0])
    assert (track.faces, track.seen, track.notes) == (1, 1, [])
    larger = FacePreprocessor(FaceSpec(size=64))(picture, np.zeros(1), True)
    assert isinstance(larger, FaceTrack)
    wanted = cv2.resize(picture[0], (64, 64), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(larger.crops[0].permute(1, 2, 0).numpy(), wanted)


def test_a_film_of_face_crops_is_one_face_and_thinned() -> None:
    film = np.zeros((6, 40, 60, 3), dtype=np.uint8)
    film[:, :, 10:50] = np.arange(10, 70, 10)[:, None, None, None]  # the middle is kept, the sides are not
    film[:, 20:, 10:50] = 255
    times = np.arange(6) * 3.0  # so far apart that a face that is looked for would be a new one each time
    track = FacePreprocessor(FaceSpec(size=40, frames=3))(film, times, cropped=True)
    assert isinstance(track, FaceTrack)
    assert [sorted(set(crop.flatten().tolist())) for crop in track.crops] == [[20, 255], [40, 255], [60, 255]]
    assert track.times.tolist() == [3.0, 9.0, 15.0]
    assert (track.faces, track.seen, track.searched) == (1, 6, 6)


PRESENT = {
    "single_face.mp4": (1, 0.0, 2.4),
    "face_noface.mov": (1, 0.0, 2.5),
    "noface_face.mov": (1, 3.9, 6.4),
    "single_face.jpg": (1, 0.0, 0.0),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param("centerface", marks=needs_centerface), pytest.param("haar", marks=[pytest.mark.slow, needs_haar])],
)
def test_presence_on_real_media(name: str, real_data: Path) -> None:
    preprocessor = FacePreprocessor(FaceSpec(detector=name, frames=64))
    for file, (faces, begins, ends) in PRESENT.items():
        media = read_media(real_data / "face_media" / file, fps=2, max_side=480)
        assert media.frames is not None
        track = preprocessor(media.frames, media.times)
        assert isinstance(track, FaceTrack), (file, track)
        assert track.faces == faces
        assert track.times.min() >= begins
        assert track.times.max() <= ends
        assert begins <= track.times.min() < begins + 0.6
    for file in ("no_face.mp4", "free-mountain-vector-01.jpg"):
        media = read_media(real_data / "face_media" / file, fps=2, max_side=480)
        assert media.frames is not None
        assert isinstance(preprocessor(media.frames, media.times), Absent), file
    media = read_media(real_data / "face_media" / "multi_face.jpg", fps=1, max_side=640)
    assert media.frames is not None
    track = preprocessor(media.frames, media.times)
    assert isinstance(track, FaceTrack)
    assert track.faces >= 4
    assert any("faces found" in note for note in track.notes)
