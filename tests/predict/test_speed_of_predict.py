"""The benchmark of ``predict``: its programs start, and its comparison with the slow path counts right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

import multiemo
from benchmarks.measure.slow_path import agreement
from tests.support.paths import ROOT

PROGRAMS = sorted(
    ["-m", f"benchmarks.measure.{p.stem}"] if p.parent.name == "measure" else [f"benchmarks/{p.name}"]
    for p in (ROOT / "benchmarks").rglob("*.py")
    if "__main__" in p.read_text("utf-8")
)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p[-1])
def test_a_benchmark_starts_from_the_root_of_the_repository(program: list[str]) -> None:
    done = subprocess.run([sys.executable, *program, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


def test_the_commands_of_the_manual_are_programs() -> None:
    manual = "".join(p.read_text("utf-8") for p in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    named = re.findall(r"python (-m benchmarks\.measure\.\w+|benchmarks/\S+\.py)", manual)
    assert named
    assert {tuple(name.split()) for name in named} <= {tuple(program) for program in PROGRAMS}


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
    from multiemo.data.media import read_media

    voice = read_media(talk, end=3.0, rate=16000).audio
    assert voice is not None
    soundfile.write(tmp_path / "voice.wav", voice, 16000)
    assert agreement(tiny_run, [tmp_path / "voice.wav"])["voice"] == {"segments": 1, "same": 1, "probability": 0.0}
