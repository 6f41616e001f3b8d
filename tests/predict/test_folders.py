"""Folders: what in them is media, and what is said of the rest."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from multiemo.data.content import why_no_media
from multiemo.data.endings import MEDIA
from multiemo.errors import MediaError
from multiemo.predict import LeftOut, expand
from tests.support.media_files import grid, tone, write


def sound(path: Path, **how: object) -> Path:
    return write(path, audio=tone(0.3, 48000), rate=48000, **({"audio_codec": "pcm_s16le"} | how))  # type: ignore[arg-type]


SOUNDS = [("a.wav", "pcm_s16le"), ("a.mp3", "mp3"), ("a.aac", "aac"), ("a.flac", "flac"), ("a.ogg", "libvorbis")]
SOUNDS += [("a.m4a", "aac"), ("a.opus", "libopus"), ("a.mka", "libopus"), ("a.caf", "pcm_s16le")]
SOUNDS += [
    ("a.aiff", "pcm_s16be"),
    ("a.au", "pcm_s16be"),
    ("a.w64", "pcm_s16le"),
    ("a.wv", "wavpack"),
    ("a.mp2", "mp2"),
]
FILMS = [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.ts", "libx264"), ("a.vob", "mpeg2video")]
FILMS += [("a.mxf", "mpeg2video"), ("a.flv", "libx264"), ("a.webm", "libvpx"), ("a.3gp", "libx264")]
PICTURES = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM"]


@pytest.mark.parametrize(("name", "codec"), SOUNDS)
def test_sound_is_known_without_its_name(tmp_path, name, codec):
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    shutil.move(sound(tmp_path / name, audio_codec=codec), tmp_path / "REC0001")
    assert why_no_media(tmp_path / "REC0001") is None


@pytest.mark.parametrize(("name", "codec"), FILMS)
def test_a_film_is_known_without_its_name(tmp_path, name, codec):
    frames = [np.full((64, 96, 3), 90, np.uint8)] * 5
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    shutil.move(tmp_path / name, tmp_path / "MOV001.x")
    assert why_no_media(tmp_path / "MOV001.x") is None


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_known_without_its_name(tmp_path, kind):
    try:
        Image.new("RGB", (32, 24), (200, 120, 90)).save(tmp_path / "IMG", format=kind)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {kind}")
    assert why_no_media(tmp_path / "IMG") is None


OTHERS = [
    ("a.txt", b"Hello.\n", "is text"),
    ("a.ts", b"export const a = 1\n", "is text"),
    ("a.txt", "Hello, you.".encode("utf-16"), "is no sound, film or picture that is known"),
    ("a.npy", b"\x93NUMPY\x01\x00v\x00{'descr'", "is no sound, film or picture that is known"),
    ("a.zip", b"PK\x03\x04" + bytes(40), "is an archive; unpack it"),
    ("a.dat", b"", "is empty (0 bytes)"),
    ("a.bin", bytes(range(256)), "is no sound, film or picture that is known"),
    ("a.bin", b"\xff\xfb\x00\x00\x00\x00\x00\x00", "is no sound, film or picture that is known"),
]


@pytest.mark.parametrize(("name", "content", "reason"), OTHERS)
def test_what_is_no_media(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    assert why_no_media(tmp_path / name) == reason


def test_damaged_media_are_not_left_out_silently(tmp_path):
    """Their names say what they should be, so that each is refused with its own reason."""
    for name, content in [
        ("a.mp4", b""),
        ("b.MOV", b"version https://git-lfs.github.com/spec/v1\n"),
        ("c.heic", b"\x00"),
    ]:
        (tmp_path / name).write_bytes(content)
        assert why_no_media(tmp_path / name) is None
    assert {".mts", ".vob", ".amr", ".m4b", ".heic", ".avif"} <= MEDIA


def test_a_folder(tmp_path):
    box = tmp_path / "box"
    for name in ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", ".hidden", "sub/.Trash-1000"):
        (box / name).mkdir(parents=True)
        sound(box / name / "a.wav")
    media = [sound(box / "b.wav"), sound(box / "sub" / "talk.wav")]
    media.append(Path(shutil.move(sound(box / "c.mp3", audio_codec="mp3"), box / "voice memo")))
    for name in ("._b.wav", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (box / name).write_bytes(b"\x00\x01")
    (box / "notes.md").write_text("read me")
    (box / "rows.jsonl").write_text("{}")
    (box / "sub" / "talk.en.srt").write_text("1\n")
    (box / "sub" / "other.srt").write_text("1\n")
    (box / "dead.mp4").symlink_to("nowhere")
    (box / "link").symlink_to(tmp_path, target_is_directory=True)
    server = socket.socket(socket.AF_UNIX)
    try:
        here = os.getcwd()
        os.chdir(box)  # the path of a socket must be short
        server.bind("s.mp4")
    finally:
        os.chdir(here)
        server.close()
    left: list[LeftOut] = []
    items = expand([box], left_out=left)
    assert [item.path for item in items] == sorted(media)
    said = {str(Path(one.path).relative_to(box)): one.reason for one in left}
    assert said == {
        "notes.md": "is text",
        "rows.jsonl": "is a manifest or a table; name it itself",
        "sub/other.srt": "is text",
        "dead.mp4": "is a link to a file that is not there",
        "link": "is a link to a folder; name it itself",
        "s.mp4": "is a device or a pipe",
        "$RECYCLE.BIN": "is hidden or the system's; so are 9 more files and folders",
    }


def test_a_folder_without_media_says_what_it_holds(tmp_path):
    (tmp_path / "a.txt").write_text("Hello.")
    with pytest.raises(MediaError, match=r"no media file in this folder; of 1 left out the first is .*a.txt: is text"):
        expand([tmp_path])
    sound(tmp_path / "b.wav")
    (tmp_path / "empty").mkdir()
    assert [item.refused is None for item in expand([tmp_path / "empty", tmp_path / "b.wav"])] == [False, True]


def test_an_unreadable_folder_is_listed(tmp_path, monkeypatch):
    sound(tmp_path / "b.wav")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def locked(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    left: list[LeftOut] = []
    assert len(expand([tmp_path], left_out=left)) == 1
    assert [one.reason for one in left] == ["is a folder that cannot be opened (Permission denied)"]


def test_a_folder_of_a_model(cli, tiny_run, tmp_path):
    """What is left out stands in the JSON, on standard error, and beside a bulk prediction."""
    shutil.move(write(tmp_path / "a.mp4", stamps=grid(5), audio=tone(0.5)), tmp_path / "film.dav")
    (tmp_path / "a.txt").write_text("Hello.")
    code, out, err = cli("predict", tiny_run, tmp_path, "--json", "-")
    assert code == 0
    assert [Path(entry["input"]).name for entry in json.loads(out)["inputs"]] == ["film.dav"]
    assert json.loads(out)["left_out"] == [{"path": str(tmp_path / "a.txt"), "reason": "is text"}]
    assert f"left out {tmp_path / 'a.txt'}: is text" in err
