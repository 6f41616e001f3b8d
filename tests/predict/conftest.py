"""A film of several synthetic people who speak in turn, and a model."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import multiemo
from multiemo.data.manifest import read_manifest
from multiemo.data.media import read_media

RATE, FPS = 16000, 12
#: Seconds of silence, in which the last picture stands still, after each of the clips.
PAUSE = 1.6


def film(path: Path, pictures: list[np.ndarray], sound: np.ndarray | None) -> Path:
    """Write pictures (12 a second) and sound (16 kHz) as H.264 with B-frames and AAC."""
    with av.open(str(path), "w") as container:
        packets = []
        video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "bf": "2", "crf": "18"})
        video.height, video.width, video.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        audio = None if sound is None else container.add_stream("aac", rate=RATE, layout="mono")
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            packets += video.encode(frame)
        packets += video.encode(None)
        if audio is not None and sound is not None:
            for start in range(0, len(sound), 1024):
                piece = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = RATE, start, Fraction(1, RATE)
                packets += audio.encode(piece)
            packets += audio.encode(None)
        for packet in sorted((p for p in packets if p.dts is not None), key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return path


@pytest.fixture(scope="session")
def talk(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five clips of the small corpus, one after the other, a pause after each: about twenty seconds."""
    clips = [c for c in read_manifest(small_corpus) if c.video]
    pictures: list[np.ndarray] = []
    sounds: list[np.ndarray] = []
    for clip in clips:
        media = read_media(small_corpus.parent / str(clip.video), rate=RATE, fps=FPS)
        if media.audio is None or media.frames is None or (pictures and media.frames[0].shape != pictures[0].shape):
            continue
        count = round((media.duration + PAUSE) * FPS)
        shown = np.searchsorted(media.times, np.arange(count) / FPS, side="right") - 1
        pictures += [media.frames[max(i, 0)] for i in shown]
        sounds.append(np.resize(np.pad(media.audio, (0, RATE * 10)), round(count / FPS * RATE)))
        if len(sounds) == 5:
            break
    assert len(sounds) == 5
    return film(tmp_path_factory.mktemp("talk") / "talk.mp4", pictures, np.concatenate(sounds))


@pytest.fixture(scope="session")
def model(tiny_run: Path) -> multiemo.Predictor:
    """The tiny model."""
    return multiemo.load(tiny_run)


@pytest.fixture(scope="session")
def pair(model: multiemo.Predictor, small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of two people side by side, without sound."""
    for clip in read_manifest(small_corpus):
        path = small_corpus.parent / str(clip.video)
        if clip.video and "face" in model.predict(path)["present"]:
            break
    pictures = read_media(path, fps=FPS).frames
    assert pictures is not None
    both = [np.hstack([picture, picture[:, ::-1]]) for picture in pictures[:FPS]]
    return film(tmp_path_factory.mktemp("pair") / "pair.mp4", both * 3, None)
