"""A film of several synthetic people who speak in turn, and a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import multiemo
from multiemo.data.manifest import read_manifest
from multiemo.data.media import read_media
from tests.support.media_files import film

RATE, FPS = 16000, 12
#: Seconds of silence, in which the last picture stands still, after each of the clips.
PAUSE = 1.6


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
