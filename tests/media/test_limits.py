"""Limits of what is decoded: a bomb of each kind is an error that names the file and the limit."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multiemo.config import parse_config
from multiemo.data.features.pickles import read_npz
from multiemo.data.features.reading import read_features
from multiemo.errors import ConfigError, ManifestError, MediaError
from multiemo.media import playback as playback_module
from multiemo.media.limits import NAMES, VARIABLE, Limits, current_limits, limited
from multiemo.media.reading import Playback, PlayedSound, iter_media, probe, read_media
from multiemo.runs import pipeline
from multiemo.transcripts import read_transcript
from tests.support.media_files import grid, tone, write


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Two seconds, 50 pictures of 64 x 48."""
    return write(tmp_path / "film.mp4", stamps=grid(50), audio=tone(2.0))


def refused(match: str, path: Path, **how: object) -> None:
    with pytest.raises(MediaError, match=match) as caught:
        read_media(path, **how)  # type: ignore[arg-type]
    assert path.name in str(caught.value)


def test_a_file_that_is_too_big_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "big.mp4"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 300 * 10**9)  # sparse
    for use in (probe, lambda p: read_media(p, rate=16000), lambda p: Playback(p, rate=16000, fps=None)):
        with pytest.raises(MediaError, match=r"big.mp4: has 300 GB; at most 200 GB are read.*file_gb"):
            use(path)


def test_a_header_that_promises_days_is_refused_before_decoding(tmp_path: Path) -> None:
    path = write(tmp_path / "long.wav", audio=tone(0.5, 8000), audio_codec="pcm_u8", rate=8000)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", 0x7FFFFFFF)  # 74 hours of 8 bits at 8 kHz
    path.write_bytes(data)
    with path.open("r+b") as file:
        os.truncate(file.fileno(), 0x7FFFFFFF)
    refused(r"long.wav: lasts 74.5\d hours according to its header; at most 48", path, rate=16000)
    with pytest.raises(MediaError, match="at most 48 are read"):
        Playback(path, rate=16000, fps=None)
    assert read_media(path, rate=16000, start=0, end=0.4).duration == pytest.approx(0.4, abs=0.01)


def test_a_file_that_is_longer_than_its_header_stops_at_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playback_module, "too_long", lambda _: None)  # as if the header were short
    path = write(tmp_path / "sound.mp3", audio=tone(10.0), audio_codec="libmp3lame")
    with limited(hours=4 / 3600):
        playback = Playback(path, rate=16000, fps=None)
        assert sum(len(p.samples) for p in playback.pieces() if isinstance(p, PlayedSound)) < 6 * 16000
    assert any("the limit of hours" in note for note in playback.problems), playback.problems


def png(path: Path, width: int, height: int) -> Path:
    """A black picture of any size in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path: Path, film: Path) -> None:
    still = png(tmp_path / "still.png", 5000, 5000)
    assert still.stat().st_size < 10_000
    with limited(megapixels=24):
        refused(r"still.png: is 5000x5000 pixels; at most 24 million", still, fps=1.0)
    assert read_media(still, fps=1.0, max_side=32).frames is not None
    with limited(megapixels=0.003):
        playback = Playback(film, rate=16000, fps=5)
        assert playback.absent["video"].startswith("its pictures are 64x48 pixels; at most 0.003 million")
        playback.close()
        refused("could be decoded", film, fps=5.0)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_an_animation_of_too_many_pixels_is_not_decoded(tmp_path: Path, suffix: str) -> None:
    pictures = [Image.new("RGB", (400, 300), (40 * i, 0, 0)) for i in range(4)]
    path = tmp_path / f"bomb.{suffix}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    assert read_media(path, fps=10).frames is not None
    with limited(megapixels=0.1):
        refused(r"bomb\.\w+: ", path, fps=10)


def test_pictures_are_counted(film: Path) -> None:
    with limited(frames=20):
        media = read_media(film, fps=25.0)
        assert media.frames is not None
        assert len(media.frames) <= 20
        assert any("more than 20 pictures; raise the limit frames" in problem for problem in media.problems)


def test_what_is_kept_of_a_clip_is_bounded(film: Path) -> None:
    with limited(memory_gb=1e-4):  # 10 of the 50 pictures
        refused(r"film.mp4: its sound and pictures would take 0.0001\d* GB of memory", film, fps=25.0)
        assert read_media(film, fps=25.0, max_frames=3).frames is not None
        assert len([*iter_media(film, window=0.2, fps=25.0)]) >= 10, "windows that are dropped still count"
        assert len([*Playback(film, rate=16000, fps=25.0).pieces()]) > 30, "playing keeps nothing"


def test_an_archive_that_expands_to_gigabytes_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, a=np.zeros((1000, 1000)))
    assert path.stat().st_size < 20_000
    assert read_features(path)[0].shape == (1000, 1000)
    with limited(memory_gb=0.007):
        with pytest.raises(MediaError, match=r"bomb.npz: its arrays would take 0.008 GB"):
            read_features(path)
        with pytest.raises(ManifestError, match=r"bomb.npz: its arrays would take 0.008 GB"):
            read_npz(path)


def test_a_transcript_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.srt"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 10**10)
    with pytest.raises(MediaError, match=r"bomb.srt: is larger than 64 MB"):
        read_transcript(path)


def test_entities_of_a_transcript_are_not_expanded(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "ha"}">' for i in range(10))
    path = tmp_path / "bomb.xml"
    path.write_text(f'<?xml version="1.0"?><!DOCTYPE tt [{entities}]><tt><body><p begin="1s">&e9;</p></body></tt>')
    with pytest.raises(MediaError, match=r"bomb.xml"):
        read_transcript(path)


def test_limits_come_from_the_environment_and_reach_child_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "hours=2, megapixels=1e1")
    assert current_limits() == Limits(hours=2, megapixels=10)
    with limited(hours=3):
        code = "from multiemo.media.limits import current_limits as c; print(c().hours, c().megapixels, c().file_gb)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["3.0", "10.0", "200.0"]
    assert current_limits().hours == 2


@pytest.mark.parametrize("text", ["hours", "hours=", "hours=0", "hours=-1", "hours=nan", "days=3", "hours=1e99"])
def test_a_wrong_limit_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ConfigError, match=f"limits: '{text}'.*{NAMES[0]}"):
        current_limits()


def test_the_command_line_sets_limits(
    cli, tiny_run: Path, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "")  # restored afterwards
    code, _, err = cli("predict", tiny_run, film, "--limits", "hours=0.0003")
    assert code == 1
    assert "film.mp4: lasts 0.0005" in err
    assert cli("predict", tiny_run, film, "--limits", "weeks=1")[0] == 2


def test_a_config_sets_the_limits_of_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """They hold while it trains, in every process, and not afterwards."""
    config = parse_config(
        {
            "name": "x",
            "label_set": "polarity3",
            "data": {"manifest": "m.jsonl", "limits": {"hours": 1}},
            "encoders": {"text": {"name": "text_transformer"}},
            "stages": ["text"],
        }
    )
    seen: list[Limits] = []

    class Session:
        def __init__(self, *_: object) -> None:
            seen.append(current_limits())

        def run(self) -> None:
            return None

    monkeypatch.setattr(pipeline, "_Session", Session)
    monkeypatch.setenv(VARIABLE, "hours=2 frames=9")
    pipeline.train(config)
    assert seen == [Limits(hours=1, frames=9)]
    assert current_limits() == Limits(hours=2, frames=9)
