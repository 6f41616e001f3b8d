"""Damaged media by the hundred: read in a process of its own, so that a crash in native code is found and named.

``python -m tests.support.damage FOLDER FIRST COUNT`` reads ``COUNT`` damaged files from seed ``FIRST`` on and prints a
line of JSON for each: before it is read (so that the last line names the one that crashed or hung) and after it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from multiemo.errors import MultiemoError
from multiemo.inputs import build_input
from multiemo.predict.reader import Options, Reader
from multiemo.predict.sources import Item
from multiemo.types import FaceSpec, SpeechSpec
from tests.support.media_files import grid, tone, write
from tests.support.paths import ROOT

#: Seconds that one small file may take on a loaded machine.
LIMIT = 60.0

#: Containers with their codecs: name, video codec, audio codec, sample rate, pixels, options.
_FILMS: tuple[tuple[str, str, str, int, dict[str, str]], ...] = (
    ("h264.mp4", "libx264", "aac", 44100, {}),
    ("fast.mp4", "libx264", "aac", 44100, {"movflags": "+faststart"}),
    ("pieces.mp4", "libx264", "aac", 44100, {"movflags": "+frag_keyframe+empty_moov"}),
    ("h264.mov", "libx264", "aac", 44100, {}),
    ("vp8.mkv", "libvpx", "libopus", 48000, {}),
    ("vp9.webm", "libvpx-vp9", "libopus", 48000, {}),
    ("mpeg4.avi", "mpeg4", "libmp3lame", 44100, {}),
    ("h264.ts", "libx264", "aac", 44100, {}),
)

_SOUNDS = (("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.mp3", "libmp3lame"), ("a.m4a", "aac"), ("a.ogg", "libopus"))
_STILLS = (".jpg", ".png", ".bmp", ".webp", ".tiff")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What reading a damaged file came to.

    Args:
        seed: of the damage.
        file: which file was damaged, and how.
        said: ``segments``, ``refused: ...``, or ``crashed: ...`` for an error that no user should see.
        seconds: that it took.
        files, threads: open file descriptors and threads afterwards.
        memory: resident, MB.
    """

    seed: int
    file: str
    said: str
    seconds: float
    files: int
    threads: int
    memory: float


def pictures(count: int) -> list[np.ndarray]:
    """A soft random scene that moves."""
    scene = np.random.default_rng(5).integers(0, 255, (12, 30, 3), dtype=np.uint8)
    scene = cv2.resize(scene, (160, 64), interpolation=cv2.INTER_CUBIC)
    return [np.ascontiguousarray(scene[8:56, i : i + 64]) for i in range(count)]


def whole_files(folder: Path) -> list[Path]:
    """Small sound files of every usual kind, made if they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = pictures(30)
    for name, video, audio, rate, options in _FILMS:
        if not (path := folder / name).exists():
            sound = tone(1.2, rate)
            write(
                path, stamps=grid(30), frames=frames, audio=sound, video_codec=video, audio_codec=audio, rate=rate,
                options=options,
            )  # fmt: skip
    for name, codec in _SOUNDS:
        rate = 48000 if codec == "libopus" else 44100
        if not (path := folder / name).exists():
            write(path, audio=tone(1.0, rate), audio_codec=codec, rate=rate)
    for suffix in _STILLS:
        cv2.imwrite(str(folder / f"still{suffix}"), frames[0])
    if not (path := folder / "anim.gif").exists():
        write(path, stamps=grid(4, 10), frames=[f[..., :1].repeat(3, 2) for f in frames[:4]], video_codec="gif",
              pixels="gray")  # fmt: skip
    names = [f[0] for f in _FILMS] + [s[0] for s in _SOUNDS] + [f"still{s}" for s in _STILLS] + ["anim.gif"]
    return [folder / name for name in names]


def damage(data: bytes, seed: int) -> tuple[str, bytes]:
    """Its kind and the damaged bytes: cut off, bits turned at an end or anywhere, a piece lost or zero."""
    rng = np.random.default_rng(seed)
    values = bytearray(data)
    kind = ("cut", "head", "tail", "body", "lost", "zeros")[int(rng.integers(6))]
    place, size = int(rng.integers(len(data))), int(rng.integers(1, 400))
    if kind == "cut":
        return kind, bytes(values[:place])
    if kind == "lost":
        return kind, bytes(values[:place] + values[place + size :])
    if kind == "zeros":
        values[place : place + size] = bytes(len(values[place : place + size]))
        return kind, bytes(values)
    low, high = {"head": (0, 600), "tail": (-2500, len(data)), "body": (0, len(data))}[kind]
    low, high = max(0, low if low >= 0 else len(data) + low), min(high, len(data))
    for _ in range(int(rng.integers(1, 16))):
        values[int(rng.integers(low, high))] ^= 1 << int(rng.integers(8))
    return kind, bytes(values)


def reader() -> Reader:
    """Reads as a model with voice and face does; the model itself need not run."""
    specs = {"speech": SpeechSpec(), "face": FaceSpec(size=32, frames=3)}
    return Reader({m: build_input(m, spec) for m, spec in specs.items()}, Options())


def read(reader: Reader, path: Path) -> str:
    """Read a file to its end; what came of it."""
    try:
        reading = reader.open(Item(str(path), path))
        count = sum(1 for _ in reading.segments)
    except MultiemoError as error:
        line = str(error)
        return f"refused: {line}" if str(path) in line and "\n" not in line else f"crashed: unclear message {line!r}"
    except Exception as error:
        import traceback

        traceback.print_exc()
        return f"crashed: {type(error).__name__}: {error}"
    return f"segments: {count} ({'; '.join(reading.notes)})"


def resident() -> float:
    """Memory of this process, MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def run(folder: Path, first: int, count: int) -> None:
    """Read damaged files and print what came of each."""
    files = whole_files(folder / "whole")
    reads = reader()
    for path in files:  # everything is loaded once
        said = read(reads, path)
        print(json.dumps({"whole": path.name, "said": said}), flush=True)
    for seed in range(first, first + count):
        path = files[seed % len(files)]
        kind, data = damage(path.read_bytes(), seed)
        damaged = folder / f"seed{seed}{path.suffix}"
        damaged.write_bytes(data)
        print(json.dumps({"reads": seed, "file": f"{path.name} {kind}"}), flush=True)
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        begin = time.monotonic()
        said = read(reads, damaged)
        seconds = time.monotonic() - begin
        faulthandler.cancel_dump_traceback_later()
        if not said.startswith("crashed"):
            damaged.unlink()
        outcome = Outcome(
            seed, f"{path.name} {kind}", said, round(seconds, 3), len(os.listdir("/proc/self/fd")),
            threading.active_count(), round(resident(), 1),
        )  # fmt: skip
        print(json.dumps(asdict(outcome)), flush=True)


def outcomes(lines: str) -> list[dict[str, Any]]:
    """The outcomes among the printed lines."""
    return [value for line in lines.splitlines() if "seconds" in (value := json.loads(line))]


def read_damaged(folder: Path, first: int, count: int) -> list[dict]:
    """Read damaged files in another process; fails, naming the seed, where it crashes or hangs."""
    command = [sys.executable, "-m", "tests.support.damage", str(folder), str(first), str(count)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)
    last = done.stdout.strip().splitlines()[-1:]
    assert done.returncode == 0, f"exit code {done.returncode} while reading {last}: {done.stderr[-3000:]}"
    found = outcomes(done.stdout)
    assert [o["seed"] for o in found] == list(range(first, first + count))
    return found


if __name__ == "__main__":
    faulthandler.enable()
    cv2.setNumThreads(1)
    run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
