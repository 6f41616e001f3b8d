"""Active speaker: signals with a known correlation, and two drawn people of whom one talks."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from scipy import stats

from multiemo.preprocess.faces.active_speaker import (
    LAGS,
    MIN_MOVEMENTS,
    Movement,
    circular_shifts,
    mouth_motion,
    synchrony,
    who_speaks,
)
from multiemo.preprocess.faces.detection import Face
from multiemo.preprocess.faces.frames import ArrayFrame
from multiemo.preprocess.faces.selection import SpanFaces
from multiemo.preprocess.faces.tracking import FaceTracker
from multiemo.synthetic.appearance import Look
from multiemo.synthetic.face import DrawnHead, Pose
from multiemo.types import FaceSpec
from tests.support.series import walk

RATE = 100  # of the voice's level


def envelope(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Loudness of artificial speech, 0..1: syllables at about 4 a second, in words with pauses between them."""
    times = np.arange(int(seconds * RATE)) / RATE
    loud, t = np.zeros(len(times)), float(rng.uniform(0, 0.3))
    while t < seconds:
        for _ in range(int(rng.integers(2, 7))):
            length = rng.uniform(0.14, 0.3)
            shape = np.clip(1 - ((times - t - length / 2) / (length / 2)) ** 2, 0, 1)
            loud = np.maximum(loud, rng.uniform(0.5, 1.0) * shape)
            t += length
        t += rng.uniform(0.1, 0.5)
    return loud


def steps(logs: np.ndarray, fps: float = 8.0) -> list[Movement]:
    """Movements with the given logarithm (above the noise)."""
    return [Movement(k / fps, (k + 1) / fps, float(np.exp(a))) for k, a in enumerate(logs)]


def means(level: np.ndarray, fps: float, count: int) -> np.ndarray:
    """The level's mean over each frame."""
    edges = (np.arange(count + 1) / fps * RATE).astype(int)
    return np.array([level[a:b].mean() for a, b in itertools.pairwise(edges)])


def test_synchrony_is_the_correlation() -> None:
    rng = np.random.default_rng(0)
    level = envelope(rng, 5.0)
    times = (np.arange(len(level)) + 0.5) / RATE
    heard = means(level, 8.0, 39)
    assert synchrony(steps(4 + heard), times, level) == pytest.approx(1.0, abs=0.03)
    noisy = 4 + heard + rng.normal(0, 0.3, len(heard))
    r = synchrony(steps(noisy), times, level)
    assert r is not None
    assert r == pytest.approx(np.corrcoef(heard, noisy)[0, 1], abs=0.05)
    assert synchrony(steps(np.ones(39)), times, level) == 0.0
    assert synchrony(steps(heard)[: MIN_MOVEMENTS - 1], times, level) is None
    assert synchrony(steps(means(level, 4.0, 19), 4.0), times, level) is None


@pytest.mark.parametrize("lag", [-0.15, 0.1])
def test_a_lag_is_found(lag: float) -> None:
    level = envelope(np.random.default_rng(1), 6.0)
    times = (np.arange(len(level)) + 0.5) / RATE
    heard = np.interp((np.arange(36) + 0.5 + 4) / 8 + lag, times, level)
    moves = [Movement((k + 4) / 8, (k + 5) / 8, float(np.exp(4 + a))) for k, a in enumerate(heard)]
    r = synchrony(moves, times, level)
    assert r is not None
    assert r > 0.85


def test_a_name_needs_a_margin() -> None:
    rng = np.random.default_rng(2)
    level = envelope(rng, 5.0)
    times = (np.arange(len(level)) + 0.5) / RATE
    heard = means(level, 8.0, 39)
    talks, idles = steps(heard + rng.normal(0, 0.1, 39)), steps(rng.normal(0, 1, 39))
    named = who_speaks({1: idles, 2: talks}, times, level)
    assert named.person == 2
    assert named.why.startswith("mouth moves with the voice (r 0.")
    assert who_speaks({1: talks, 2: talks}, times, level).person is None
    nobody = who_speaks({1: idles, 2: steps(rng.normal(0, 1, 39))}, times, level)
    assert nobody.person is None
    assert nobody.why.startswith("no mouth moves clearly with the voice (r ")
    brief = who_speaks({1: talks[:3], 2: idles[:3]}, times, level)
    assert brief.person is None
    assert brief.why == "too few pictures, or too low a frame rate, to decide who speaks"


Voice = Callable[[np.random.Generator, float], np.ndarray]  # (generator, seconds) -> its level every 40 ms


def named(voice: Voice, mouth: Callable[[np.random.Generator, float], np.ndarray], spans: int) -> int:
    """Number of spans of 4 to 12 s in which one of two or three mouths unrelated to the voice is chosen."""
    rng, count = np.random.default_rng(11), 0
    for k in range(spans):
        seconds = (4.0, 6.0, 8.0, 12.0)[k % 4]
        level = voice(rng, seconds)
        faces = {i: steps(mouth(rng, seconds), 12.5) for i in range(2 + k // 4 % 2)}
        count += who_speaks(faces, (np.arange(len(level)) + 0.5) * 0.04, level).person is not None
    return count


def seldom(count: int, spans: int) -> bool:
    """Whether a probability of 5% gives this many more often than once in a hundred."""
    return bool(stats.binom.sf(count - 1, spans, 0.05) > 0.01)


def test_unrelated_mouths_are_named_as_seldom_as_stated() -> None:
    def voice(rng: np.random.Generator, seconds: float) -> np.ndarray:
        return 6 * walk(rng, round(seconds / 0.04))

    assert seldom(named(voice, lambda rng, seconds: walk(rng, int(12.5 * seconds)), 160), 160)


@pytest.mark.parametrize("mouths", ["slow", "talks"])
def test_unrelated_mouths_are_as_seldom_given_real_voices(real_data: Path, mouths: str) -> None:
    """Mouths that drift, and mouths that speak other sentences."""
    voices = []
    for actor in range(1, 19):
        sounds = []
        for take in sorted((real_data / f"ravdess/Actor_{actor:02d}").glob("*.flac"))[::5]:
            with av.open(str(take)) as opened:
                sounds.append(np.concatenate([f.to_ndarray()[0] for f in opened.decode(audio=0)]) / 32768)
        blocks = np.concatenate(sounds)
        power = np.square(blocks[: len(blocks) // 640 * 640].reshape(-1, 640)).mean(1)  # 40 ms
        level = 10 * np.log10(power + 1e-8)
        voices.append(level[level > level.max() - 50])  # as in a turn: without the silence between takes

    def voice(rng: np.random.Generator, seconds: float) -> np.ndarray:
        level, count = voices[rng.integers(len(voices))], round(seconds / 0.04)
        start = rng.integers(len(level) - count)
        return level[start : start + count]

    def mouth(rng: np.random.Generator, seconds: float) -> np.ndarray:
        count = int(12.5 * seconds)
        if mouths == "slow":
            return walk(rng, count)
        said = voice(rng, seconds)[: 2 * count].reshape(count, 2).mean(1)
        return 3 + (said - said.mean()) / said.std() + 0.5 * rng.standard_normal(count)

    assert seldom(named(voice, mouth, 160), 160)


def test_in_a_short_span_nobody_can_be_named() -> None:
    """If fewer shifts fit than 5% requires, not even a mouth that follows the voice perfectly is chosen."""
    for seconds, person, why in (
        (3.9, None, "3.9 s are too short to decide who speaks (r 1.00"),
        (4.0, 2, "mouth moves"),
    ):
        rng = np.random.default_rng(4)
        level = envelope(rng, seconds)
        times = (np.arange(len(level)) + 0.5) / RATE
        count = int(12.5 * seconds)
        faces = {1: steps(rng.normal(0, 1, count), 12.5), 2: steps(4 * means(level, 12.5, count), 12.5)}
        said = who_speaks(faces, times, level)
        assert said.person == person
        assert said.scores[2] > 0.95
        assert said.why.startswith(why)


def test_turns_are_the_level_in_other_places() -> None:
    level = np.random.default_rng(0).normal(size=500)
    times = 7.0 + np.arange(500) / RATE
    rows = circular_shifts(times, level)
    assert len(rows) == 2 * int(5.0 / (LAGS[-1] - LAGS[0]))
    np.testing.assert_array_equal(rows[0], level)
    np.testing.assert_array_equal(np.sort(rows, 1), np.broadcast_to(np.sort(level), rows.shape))
    begin = np.array([int(np.flatnonzero(row == level[0])[0]) for row in rows[: len(rows) // 2]])
    assert np.all(np.diff(begin) / RATE > LAGS[-1] - LAGS[0])
    np.testing.assert_array_equal(rows[len(rows) // 2 :], rows[: len(rows) // 2, ::-1])


def test_only_the_mouth_counts() -> None:
    rng = np.random.default_rng(3)
    face = cv2.GaussianBlur(rng.integers(0, 255, (40, 40), dtype=np.uint8), (0, 0), 2)
    talking, frowning = face.copy(), face.copy()
    talking[28:36, 14:26] //= 2
    frowning[2:14] //= 2
    assert mouth_motion(face, talking) > 5
    assert mouth_motion(face, frowning) == pytest.approx(0.0)
    assert mouth_motion(face, face + np.uint8(5)) == pytest.approx(0.0)  # a lamp
    noise = [face + rng.integers(0, 6, face.shape, dtype=np.uint8) for _ in range(2)]
    assert abs(mouth_motion(*noise)) < 1.0


class TwoHeads:
    """Two drawn people side by side in a picture of 640x360; the first is on the left."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.heads = [DrawnHead(Look.draw(rng)) for _ in range(2)]
        self.phase = rng.uniform(0, 2 * np.pi, (2, 3))
        self.rng = rng

    def picture(self, time: float, mouths: tuple[float, float]) -> tuple[np.ndarray, list[Face]]:
        """The picture at a time, with mouths open by 0..1, and the positions of the faces."""
        picture = np.full((360, 640, 3), 120, dtype=np.uint8)
        faces = []
        for k, head in enumerate(self.heads):
            sway = np.sin(2 * np.pi * np.array([0.31, 0.43, 0.57]) * time + self.phase[k])
            pose = Pose(x=0.5 + 0.03 * sway[0], y=0.5, scale=0.75, roll=3 * sway[1], yaw=0.3 * sway[2])
            blink = float((time + k) % 2.3 < 0.12)
            painted = head.paint({25: 0.55 * mouths[k], 26: 0.3 * mouths[k], 45: blink, 12: 0.3 + 0.2 * sway[2]}, pose)
            picture[20:340, 320 * k : 320 * k + 320] = head.place(painted, np.full((320, 320, 3), 120, np.uint8), pose)
            x, y, scale = 320 * k + 320 * pose.x, 20 + 160.0, 240 / 288
            turn = np.deg2rad(pose.roll)
            rotate = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            marks = np.array([[-35, -14], [35, -14], [0, 24], [-26, 56], [26, 56]]) * scale @ rotate.T + (x, y)
            faces.append(Face((x - 65, y - 75, x + 65, y + 90), 0.9, marks.astype(np.float32)))
        noise = self.rng.normal(0, 3, picture.shape[:2])[..., None]
        return np.clip(picture + noise, 0, 255).astype(np.uint8), faces


def film(seed: int, fps: float, seconds: float, talks: int | None) -> tuple[SpanFaces, np.ndarray]:
    """Two people of whom one (or nobody) talks, through the tracker."""
    rng = np.random.default_rng(seed)
    heads, level = TwoHeads(rng), envelope(rng, seconds)
    times = (np.arange(len(level)) + 0.5) / RATE
    tracker = FaceTracker(FaceSpec(detector="haar", size=32, frames=8), every=1.0)

    class Truth:
        faces: list[Face]

        def detect(self, frame: np.ndarray) -> list[Face]:
            scale = max(frame.shape) / 640
            return [Face(tuple(v * scale for v in f.box), f.score, f.landmarks * scale) for f in self.faces]

    tracker.detector = truth = Truth()
    for k in range(int(seconds * fps)):
        opening = float(np.interp(k / fps, times, level))
        picture, truth.faces = heads.picture(k / fps, (opening * (talks == 0), opening * (talks == 1)))
        tracker.add(ArrayFrame(picture), k / fps)
    decibels = 20 * np.log10(np.maximum(level, 1e-4))
    faces = tracker.between(0.0, seconds, (times, decibels))
    assert isinstance(faces, SpanFaces)
    return faces, level


@pytest.mark.parametrize("talks", [0, 1])
def test_the_talking_head_is_chosen(talks: int) -> None:
    faces, _ = film(5, 12.0, 4.0, talks)
    chosen = faces.boxes[:, 0].mean() > 320
    assert chosen == bool(talks)
    assert faces.why.startswith("mouth moves with the voice (r 0.")
    assert faces.notes[0].startswith("2 faces found; the one whose mouth moves with the voice")
    assert all(p.speaking is not None for p in faces.people)


def test_nobody_is_named_when_nobody_talks() -> None:
    faces, _ = film(5, 12.0, 4.0, None)
    assert faces.why.startswith("largest and steadiest; no mouth moves clearly with the voice (r ")
