"""The comparison of ``predict`` with the slow path counts correctly."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

import multiemo
from benchmarks.measure.slow_path import agreement


@pytest.mark.slow
def test_files_against_the_slow_path(tiny_run: Path, talk: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    sound, still, broken = tmp_path / "hum.wav", tmp_path / "grey.png", tmp_path / "broken.mp4"
    soundfile.write(sound, noise, 16000)
    cv2.imwrite(str(still), np.full((64, 64, 3), 128, np.uint8))
    broken.write_bytes(b"nothing")
    found = agreement(tiny_run, [talk, sound, still, broken])
    segments = multiemo.load(tiny_run).predict(talk)["segments"]
    assert found["film"]["segments"] == len(segments)
    film = found["film"]
    assert film["same_of_these"] <= min(film["same"], film["itself"]) <= film["segments"]
    assert "still" not in found, "there is no face, so nothing to compare"


def test_a_model_that_hears_agrees_with_the_slow_path_on_a_voice(tiny_run: Path, talk: Path, tmp_path: Path) -> None:
    from multiemo.media.reading import read_media

    voice = read_media(talk, end=3.0, rate=16000).audio
    assert voice is not None
    soundfile.write(tmp_path / "voice.wav", voice, 16000)
    assert agreement(tiny_run, [tmp_path / "voice.wav"])["voice"] == {"segments": 1, "same": 1, "probability": 0.0}
