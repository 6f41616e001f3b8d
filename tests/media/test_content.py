"""Media files recognised by their content alone."""

from __future__ import annotations

import shutil

import av
import numpy as np
import pytest
from PIL import Image

from multiemo.media.content import why_no_media
from multiemo.media.endings import MEDIA
from tests.support.media_kinds import sound

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
    ("a.txt", "Hello, you.".encode("utf-16"), "is not a known audio, video or picture format"),
    ("a.npy", b"\x93NUMPY\x01\x00v\x00{'descr'", "is not a known audio, video or picture format"),
    ("a.zip", b"PK\x03\x04" + bytes(40), "is an archive; unpack it"),
    ("a.dat", b"", "is empty (0 bytes)"),
    ("a.bin", bytes(range(256)), "is not a known audio, video or picture format"),
    ("a.bin", b"\xff\xfb\x00\x00\x00\x00\x00\x00", "is not a known audio, video or picture format"),
]


@pytest.mark.parametrize(("name", "content", "reason"), OTHERS)
def test_what_is_no_media(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    assert why_no_media(tmp_path / name) == reason


def test_damaged_media_are_not_left_out_silently(tmp_path):
    """Their extensions name the expected kind, so that each is refused with its own reason."""
    for name, content in [
        ("a.mp4", b""),
        ("b.MOV", b"version https://git-lfs.github.com/spec/v1\n"),
        ("c.heic", b"\x00"),
    ]:
        (tmp_path / name).write_bytes(content)
        assert why_no_media(tmp_path / name) is None
    assert {".mts", ".vob", ".amr", ".m4b", ".heic", ".avif"} <= MEDIA
