"""Render video of a head: expression over time, blinks, head motion, light, camera; and write mp4 and wav files."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.synthetic.canvas import Image
from multiemo.synthetic.cues import FACE
from multiemo.synthetic.face import DrawnHead, Pose
from multiemo.synthetic.voice import RATE

#: Frames per second, and side of the square picture, pixels.
FPS = 12
SIZE = 256
#: Intensity of an action unit at full strength.
_APEX = 0.95


def render_frames(
    head: DrawnHead, emotion: str, strength: float, opening: NDArray[np.float32], view: str, rng: np.random.Generator
) -> Iterator[Image]:
    """Render the frames of one utterance.

    Args:
        head: the speaker's head.
        emotion: the emotion that the face shows.
        strength: of the emotion, 0..1.
        opening: ``[K]`` mouth opening every 5 ms, from :mod:`multiemo.synthetic.voice`. It sets the clip's length.
        view: ``face``, ``away`` (the back of the head) or ``empty`` (nobody in the picture).
        rng: random number generator.

    Yields:
        ``[SIZE, SIZE, 3]`` uint8 RGB, ``FPS`` per second.
    """
    seconds = 0.005 * len(opening)
    count = max(2, int(seconds * FPS))
    times = np.arange(count) / FPS
    units = _expression(emotion, strength, times, seconds, rng)
    speech = np.interp(times, np.arange(len(opening)) * 0.005, opening)
    units[25] = np.clip(units.get(25, 0.0) + 0.55 * speech, 0, 1)
    units[26] = np.clip(units.get(26, 0.0) + 0.3 * speech, 0, 1)
    if 24 in units:  # lips are pressed between words only
        units[24] = units[24] * (1 - 0.7 * np.clip(speech * 1.5, 0, 1))
    units[45] = _blinks(times, rng)
    poses = _motion(times, rng)
    gaze = float(rng.normal(0, 0.3))
    camera = _Camera(rng)
    for k in range(count):
        frame = camera.background
        if view == "away":
            frame = head.place(None, frame, poses[k])
        elif view == "face":
            painted = head.paint({unit: float(level[k]) for unit, level in units.items()}, poses[k], gaze=gaze)
            frame = head.place(painted, frame, poses[k])
        yield camera.expose(frame, k)


def _expression(
    emotion: str, strength: float, times: Array, seconds: float, rng: np.random.Generator
) -> dict[int, Array]:
    """Return the intensity of each action unit over time: onset, apex, offset (Ekman, Friesen & Hager 2002).

    Prototypical units always appear, the others with their published share.
    """
    begin, rise = rng.uniform(0.0, 0.25), rng.uniform(0.15, 0.4)
    end, fall, rest = seconds - rng.uniform(0.0, 0.4), rng.uniform(0.3, 0.6), rng.uniform(0.35, 0.8)
    course = np.clip((times - begin) / rise, 0, 1) * (1 - (1 - rest) * np.clip((times - end + fall) / fall, 0, 1))
    course = course * course * (3 - 2 * course)
    units: dict[int, Array] = {}
    for unit, share in FACE[emotion].items():
        if rng.random() < share:
            units[unit] = np.clip(_APEX * strength * rng.normal(1.0, 0.12), 0, 1) * course
    stray = int(rng.choice((1, 2, 4, 7, 12, 15, 17)))  # a movement unrelated to the emotion
    if stray not in units and rng.random() < 0.4:
        units[stray] = np.full(len(times), rng.uniform(0.05, 0.3))
    return units


def _blinks(times: Array, rng: np.random.Generator) -> Array:
    """Return the closure of the lids over time: at most two blinks per clip, of about 0.15 s."""
    shut = np.zeros(len(times))
    for moment in rng.uniform(0.2, 4.0, 2):
        shut = np.maximum(shut, np.clip(1.3 - np.abs(times - moment) / 0.09, 0, 1))
    return shut


def _motion(times: Array, rng: np.random.Generator) -> list[Pose]:
    """Return poses over time: slow sway about a random position, scale and roll of the clip."""
    x, y = rng.uniform(0.43, 0.57), rng.uniform(0.48, 0.56)
    scale, roll = rng.uniform(0.72, 1.0), rng.normal(0, 3.5)
    yaw, pitch = rng.normal(0, 0.35, 2)
    sway = np.sin(2 * np.pi * (rng.uniform(0.2, 0.9, 5)[:, None] * times + rng.random(5)[:, None]))
    return [
        Pose(
            x=x + 0.012 * s[0],
            y=y + 0.008 * s[1],
            scale=scale,
            roll=roll + 2.5 * s[2],
            yaw=float(np.clip(yaw + 0.3 * s[3], -1, 1)),
            pitch=float(np.clip(pitch + 0.3 * s[4], -1, 1)),
        )
        for s in sway.T
    ]


class _Camera:
    """Background, light, sharpness and noise of one clip."""

    def __init__(self, rng: np.random.Generator) -> None:
        coarse = rng.uniform(60, 190) + rng.normal(0, 14, 3) + rng.normal(0, 18, (5, 5, 1))
        room = cv2.resize(np.clip(coarse, 0, 255).astype(np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        for _ in range(int(rng.integers(0, 4))):  # shelves, frames, door posts
            x, y, w, h = (int(v) for v in rng.integers(0, SIZE, 4))
            shade = tuple(float(v) for v in rng.uniform(40, 210) + rng.normal(0, 18, 3))
            cv2.rectangle(room, (x, y), (x + w // 2, y + h // 2), shade, -1)
        self.background: Image = np.asarray(cv2.GaussianBlur(room, (0, 0), float(rng.uniform(1.5, 5.0))), np.uint8)
        ys, xs = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
        angle = rng.uniform(0, 2 * np.pi)
        light = rng.uniform(0.8, 1.04) * (1 + rng.uniform(0.0, 0.3) * (np.cos(angle) * xs + np.sin(angle) * ys))
        warmth = 1 + rng.normal(0, 0.035, 3)
        self._light = np.clip(light[..., None] * warmth * 128, 0, 255).astype(np.uint8)
        self._blur = float(rng.uniform(0.0, 0.9))
        grain = rng.normal(0, rng.uniform(0.5, 3.0), (SIZE, SIZE, 1))
        self._grain = np.broadcast_to(np.clip(grain + 128, 0, 255), (SIZE, SIZE, 3)).astype(np.uint8)
        self._shifts = rng.integers(0, SIZE, 64)

    def expose(self, scene: Image, k: int) -> Image:
        """Return the picture that the camera takes of ``scene`` as its ``k``-th frame."""
        lit = cv2.multiply(scene, self._light, scale=1 / 128)
        if self._blur > 0.3:
            lit = cv2.GaussianBlur(lit, (0, 0), self._blur)
        grain = np.roll(self._grain, int(self._shifts[k % len(self._shifts)]), axis=0)
        return np.asarray(cv2.addWeighted(lit, 1.0, grain, 1.0, -128), dtype=np.uint8)


def write_mp4(path: Path, frames: Iterator[Image], samples: NDArray[np.float32] | None) -> None:
    """Encode H.264 (MPEG-4 part 2 if that encoder is missing) and AAC.

    Args:
        path: file to write.
        frames: ``[SIZE, SIZE, 3]`` uint8 RGB, ``FPS`` per second.
        samples: ``[N]`` float32 at 16 kHz, or ``None`` for a video without audio.
    """
    h264 = "libx264" in av.codecs_available
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264" if h264 else "mpeg4", rate=FPS)
        video.width = video.height = SIZE
        video.pix_fmt = "yuv420p"
        video.thread_count = 1  # the encoded bytes depend on it
        if h264:
            video.options = {"crf": "27", "preset": "superfast"}
        else:
            video.bit_rate = 400_000
        audio = None
        if samples is not None:
            audio = container.add_stream("aac", rate=RATE, layout="mono")
            audio.bit_rate = 48_000
        for image in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None and samples is not None:
            for start in range(0, len(samples), 1024):
                piece = np.ascontiguousarray(samples[None, start : start + 1024])
                chunk = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
                chunk.sample_rate, chunk.pts, chunk.time_base = RATE, start, Fraction(1, RATE)
                container.mux(audio.encode(chunk))
            container.mux(audio.encode(None))


def write_wav(path: Path, samples: NDArray[np.float32]) -> None:
    """Write 16-bit PCM, mono.

    Args:
        path: file to write.
        samples: ``[N]`` float32 within -1..1 at 16 kHz.
    """
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
