"""Faces over time: a scripted detector on textured and drawn faces, the training path as oracle, real media."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from multiemo.media.reading import read_media
from multiemo.preprocess.faces.crops import FacePreprocessor, FaceTrack
from multiemo.preprocess.faces.detection import Face
from multiemo.preprocess.faces.frames import ArrayFrame
from multiemo.preprocess.faces.linking import MAX_GAP_SECONDS
from multiemo.preprocess.faces.optical_flow import moved_face
from multiemo.preprocess.faces.selection import SpanFaces
from multiemo.preprocess.faces.tracking import RETRY_INTERVAL, FaceTracker
from multiemo.synthetic.appearance import Look
from multiemo.synthetic.face import DrawnHead, Pose
from multiemo.types import Absent, FaceSpec
from tests.support.detectors import needs_centerface
from tests.support.patterned_faces import SIDE, face_at, scene, texture

SPEC = FaceSpec(detector="haar", size=32, frames=64, fps=8.0)


class Told:
    """A detector that finds scripted faces in the picture or a part of it, and counts its calls."""

    def __init__(self) -> None:
        self.faces: list[Face] = []
        self.searches = 0
        self.parts = 0

    def detect(self, frame: np.ndarray) -> list[Face]:
        if frame.base is None:
            self.searches += 1
            return self.faces
        self.parts += 1
        start = (a.__array_interface__["data"][0] for a in (frame, frame.base))
        rows, rest = divmod(next(start) - next(start), frame.strides[0])
        back = np.array([[1.0, 0, -rest // 3], [0, 1.0, -rows]])
        moved = [moved_face(face, back) for face in self.faces]
        return [f for f in moved if all(0 < c < s for c, s in zip(f.center, frame.shape[1::-1], strict=True))]


def tracker(*, every: float = 10.0, spec: FaceSpec = SPEC) -> tuple[FaceTracker, Told]:
    made = FaceTracker(spec, every=every)
    made.detector = told = Told()
    return made, told


def show(made: FaceTracker, told: Told, time: float, *places: tuple[int, float, float], room: int = 0) -> None:
    frame, told.faces = scene(*places, room=room)
    made.add(frame, time)


def ids(made: FaceTracker, start: float, end: float) -> list[int]:
    faces = made.between(start, end)
    return sorted(p.id for p in faces.people) if isinstance(faces, SpanFaces) else []


def test_few_detections_and_the_box_stays_on_the_face() -> None:
    made, told = tracker(every=2.0)
    for k in range(33):
        show(made, told, k / 8, (1, 60 + 3 * k, 50 + k))
    faces = made.between(0.0, 10.0)
    assert isinstance(faces, SpanFaces)
    assert (told.searches, told.parts) == (3, 7)  # every 2 s; once soon after the first, and every 0.5 s
    assert len(faces.times) == 33
    truth = 60 + 3 * np.arange(33)
    assert np.abs(faces.boxes[:, 0] - truth).max() < 0.05 * SIDE
    assert np.abs(faces.boxes[:, 1] - 50 - np.arange(33)).max() < 0.05 * SIDE


def test_zero_detects_on_every_frame() -> None:
    made, told = tracker(every=0)
    for k in range(6):
        show(made, told, k / 8, (1, 100, 50))
    assert told.searches == 6


def test_a_cut_is_looked_at_at_once_and_shows_somebody_else() -> None:
    made, told = tracker()
    for k in range(8):
        show(made, told, k / 8, (1, 100, 50))
    before = told.searches
    frame, told.faces = ArrayFrame(texture(7, 180, 320)), [face_at(100, 50)]
    made.add(frame, 1.0)
    assert told.searches == before + 1
    assert ids(made, 0.0, 1.0) == [1]
    assert ids(made, 1.0, 1.1) == [2]


def test_a_lost_face_is_looked_for_at_once() -> None:
    made, told = tracker()
    for k in range(8):
        show(made, told, k / 8, (1, 100, 50))
    before = told.searches
    show(made, told, 1.0)
    assert told.searches == before + 1
    assert made.between(1.0, 1.1) == Absent("no face found in the picture")


def test_frames_that_are_not_later_are_left_out() -> None:
    made, told = tracker(every=0)
    for time in (0.0, 0.125, 0.125, 0.1, 0.25):
        show(made, told, time, (1, 100, 50))
    assert told.searches == 3


def test_crops_come_at_the_wanted_rate_at_most() -> None:
    made, told = tracker(spec=FaceSpec(detector="haar", size=32, frames=64, fps=4.0))
    rng = np.random.default_rng(0)
    for time in np.cumsum(rng.uniform(0.03, 0.12, 60)):
        show(made, told, float(time), (1, 100, 50))
    faces = made.between(0.0, 60.0)
    assert isinstance(faces, SpanFaces)
    assert len(np.unique(np.floor(faces.times * 4 + 0.01))) == len(faces.times) > 12


def test_two_people_keep_their_numbers_when_they_pass_each_other() -> None:
    made, told = tracker(every=0.5)
    for k in range(25):
        show(made, told, k / 8, (1, 20 + 8 * k, 20), (2, 220 - 8 * k, 105))
    faces = made.between(0.0, 10.0)
    assert isinstance(faces, SpanFaces)
    assert faces.faces == 2
    assert faces.why == "largest and steadiest"
    assert faces.notes == ["2 faces found; the largest and steadiest was used"]
    assert {p.id: p.seen for p in faces.people} == {1: 1.0, 2: 1.0}
    by_id = {p.id: p.boxes[:, 1].mean() for p in faces.people}
    assert abs(by_id[1] - 20) < 4
    assert abs(by_id[2] - 105) < 4


@pytest.mark.parametrize(("away", "same"), [(0.7 * MAX_GAP_SECONDS, True), (2.5 * MAX_GAP_SECONDS, False)])
def test_who_comes_back_soon_keeps_the_number(away: float, same: bool) -> None:
    made, told = tracker(every=0.25)
    for k in range(8):
        show(made, told, k / 8, (1, 40, 50))
    for k in range(int(away * 8)):
        show(made, told, 1 + k / 8)
    back = 1 + int(away * 8) / 8
    for k in range(8):
        show(made, told, back + k / 8, (1, 200, 60))  # elsewhere, known by looks
    assert ids(made, back, back + 2) == ([1] if same else [2])
    assert ids(made, 0.0, 1.0) == [1]


def test_a_false_alarm_is_not_carried_on() -> None:
    made, told = tracker(every=1.0)
    for k in range(24):
        frame, faces = scene((1, 60, 50))
        told.faces = [*faces, face_at(200, 60)] if k == 8 else faces
        made.add(frame, k / 8)
    faces = made.between(0.0, 10.0)
    assert isinstance(faces, SpanFaces)
    assert [p.id for p in faces.people] == [1]
    assert faces.faces == 2  # as the training path counts: it was there once
    assert 2 not in {p.id for p in faces.people}


def drawn(count: int, fps: float) -> Iterator[tuple[np.ndarray, list[Face]]]:
    """A film of a drawn head that sways, and its positions."""
    head = DrawnHead(Look.draw(np.random.default_rng(4)))
    room = texture(3, 256, 256, contrast=15.0)
    for k in range(count):
        sway = np.sin(2 * np.pi * 0.5 * k / fps)
        pose = Pose(x=0.5 + 0.05 * sway, y=0.5, scale=0.8, roll=4 * sway)
        picture = head.place(head.paint({25: 0.5 + 0.5 * sway}, pose), room, pose)
        scale = 0.8 * 256
        x, y = (0.5 + 0.05 * sway) * 256, 128.0
        turn = np.deg2rad(4 * sway)
        rotate = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        marks = np.array([[-35, -14], [35, -14], [0, 24], [-26, 56], [26, 56]]) * scale / 288 @ rotate.T + (x, y)
        half = 0.27 * scale
        yield picture, [Face((x - half, y - 1.2 * half, x + half, y + 1.4 * half), 0.9, marks.astype(np.float32))]


@pytest.mark.parametrize("dark", [0, 20])
def test_detecting_on_every_frame_gives_the_crops_of_the_training_path(dark: int) -> None:
    spec = FaceSpec(detector="haar", size=48, frames=8, fps=4.0)
    film = [(picture // 64 if i < dark else picture, faces) for i, (picture, faces) in enumerate(drawn(20, 4.0))]
    training = FacePreprocessor(spec)
    training.detector = script = Told()
    answers = [faces for _, faces in film]
    script.detect = lambda frame: answers.pop(0)  # type: ignore[method-assign]
    times = np.arange(20) / 4
    wanted = training(np.stack([picture for picture, _ in film]), times)
    made, told = tracker(every=0, spec=spec)
    for (picture, faces), time in zip(film, times, strict=True):
        told.faces = faces
        made.add(ArrayFrame(picture), float(time))
    got = made.between(0.0, 5.0)
    if dark == 20:
        assert isinstance(wanted, Absent)
        assert got == wanted
        return
    assert isinstance(wanted, FaceTrack)
    assert isinstance(got, SpanFaces)
    np.testing.assert_array_equal(got.times, wanted.times)
    np.testing.assert_allclose(got.boxes, wanted.boxes)
    assert np.abs(got.crops.numpy().astype(int) - wanted.crops.numpy()).max() <= 1
    assert (got.why, got.notes) == ("only face", wanted.notes)


def test_followed_crops_are_nearly_those_of_every_frame() -> None:
    spec = FaceSpec(detector="haar", size=48, frames=64, fps=8.0)
    crops = {}
    for every in (0.0, 1.0):
        made, told = tracker(every=every, spec=spec)
        for k, (picture, faces) in enumerate(drawn(32, 8.0)):
            told.faces = faces
            made.add(ArrayFrame(picture), k / 8)
        got = made.between(0.0, 10.0)
        assert isinstance(got, SpanFaces)
        crops[every] = got.crops.numpy().astype(float)
    assert crops[0.0].shape == crops[1.0].shape
    assert np.abs(crops[0.0] - crops[1.0]).mean() < 2.0
    assert np.abs(crops[0.0] - np.roll(crops[0.0], 4, axis=0)).mean() > 3.0  # the head does move in them


def test_absent_in_the_training_paths_words() -> None:
    made, told = tracker(every=0)
    assert made.between(0.0, 4.0) == Absent("there are no video frames to look for a face in")
    for k in range(12):
        show(made, told, k / 8)
    assert made.between(0.0, 4.0) == Absent("no face found in any of 12 frames")
    assert made.between(0.0, 0.1) == Absent("no face found in the picture")
    told.faces = [Face((10, 10, 13.6, 13.6), 0.9)]
    made.add(scene()[0], 2.0)
    reason = "every face is too small: 2.0% of the picture's shorter side at most, 4.0% is needed"
    assert made.between(2.0, 4.0) == Absent(reason)
    show(made, told, 4.0, (1, 100, 50))
    for k in range(9):
        show(made, told, 4.125 + k / 8)
    assert made.between(4.0, 6.0) == Absent("no steady face: the best one was found in only 1 of 10 frames")


def test_a_still_is_a_film_of_one_frame() -> None:
    made, told = tracker()
    show(made, told, 0.0, (1, 100, 50))
    faces = made.between(0.0, 0.0)
    assert isinstance(faces, SpanFaces)
    assert faces.crops.shape == (1, 3, 32, 32)
    assert (faces.person, faces.why, faces.notes) == (1, "only face", [])
    assert 0.1 < faces.quality <= 1.0


def test_a_short_span_has_the_picture_that_is_shown() -> None:
    made, told = tracker()
    show(made, told, 0.0, (1, 100, 50))
    show(made, told, 1.0, (1, 100, 50))
    assert ids(made, 0.3, 0.8) == [1]
    assert made.between(1.2 + MAX_GAP_SECONDS, 9.0) == Absent("there are no video frames to look for a face in")


def test_unusable_crops_are_left_out_and_named() -> None:
    made, told = tracker(every=0)
    for k in range(16):
        frame, told.faces = scene((1, 100, 50))
        blurred = ArrayFrame(cv2.GaussianBlur(frame.pixels, (0, 0), 8))
        black = ArrayFrame(frame.pixels // 64)
        made.add(black if k >= 8 else blurred if k < 3 else frame, k / 8)
    faces = made.between(0.0, 1.0)
    assert isinstance(faces, SpanFaces)
    assert faces.times.min() == pytest.approx(0.375)
    assert any(note.startswith("3 of 8 faces were left out: too blurred (sharpness 0.0") for note in faces.notes)
    soft, dark = made.between(0.0, 0.3), made.between(1.0, 2.0)
    assert isinstance(soft, Absent)
    assert isinstance(dark, Absent)
    assert soft.reason.startswith("the face is too blurred (sharpness 0.0")
    assert dark.reason.startswith("the face is too dark or overexposed (exposure 0.0")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_film() -> None:
    def held(count: int) -> tuple[int, ...]:
        made, told = tracker(every=0.5)
        for k in range(count):
            show(made, told, k / 8, (1 + k // 40, 40 + (k // 40) % 3 * 80, 50))
            if k % 8 == 7:
                made.forget(k / 8 - 2.0)
        tracks = made._tracks
        return (
            len(tracks),
            len(made._crop_times),
            sum(len(t.sightings) for t in tracks),
            sum(len(t.movements) for t in tracks),
        )

    short, long = held(60), held(600)
    assert all(b <= a for a, b in zip(short, long, strict=True)), (short, long)


PRESENT = {
    "single_face.mp4": (0.0, 2.4),
    "face_noface.mov": (0.0, 2.5),
    "noface_face.mov": (3.9, 6.4),
}


@needs_centerface
def test_presence_on_real_media(real_data: Path) -> None:
    spec = FaceSpec(frames=64, fps=4.0)
    for file in (*PRESENT, "no_face.mp4"):
        media = read_media(real_data / "face_media" / file, fps=8, max_side=480)
        assert media.frames is not None
        made = FaceTracker(spec)
        for picture, time in zip(media.frames, media.times, strict=True):
            made.add(ArrayFrame(picture), float(time))
        faces = made.between(0.0, media.duration)
        if file not in PRESENT:
            assert isinstance(faces, Absent)
            continue
        begins, ends = PRESENT[file]
        assert isinstance(faces, SpanFaces), (file, faces)
        assert faces.faces == 1
        assert len(faces.people) == 1
        assert begins <= faces.times.min() < begins + 1.1
        assert faces.times.max() <= ends + RETRY_INTERVAL
