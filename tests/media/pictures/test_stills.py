"""Stills: formats, content and truncation. Written by Pillow, OpenCV or box by box."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multiemo.errors import MediaError
from multiemo.media.reading import is_image, probe, read_media
from tests.support.pictures import jpeg, needs_avif, read, scene


def test_a_preview_or_another_view_behind_a_jpeg_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(scene()) + jpeg(scene(16, 24)))  # a preview
    assert is_image(path)
    announced = b"\xff\xe2" + struct.pack(">H", 14) + b"MPF\0II*\0\0\0\0\0"
    path.write_bytes(jpeg(scene())[:2] + announced + jpeg(scene())[2:] + jpeg(scene()))
    assert is_image(path)
    assert np.abs(read(path) - scene()).mean() < 4
    assert probe(path).problems == ()


@pytest.mark.parametrize("kind", ["BMP", "DDS", "ICNS", "ICO", "JPEG2000", "PCX", "PPM", "SGI", "TIFF"])
def test_what_else_is_a_picture_is_known_by_its_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "film.mp4"
    Image.fromarray(scene(64, 64)).save(path, kind)
    assert is_image(path)
    frames = read_media(path, fps=1, max_side=64).frames
    assert frames is not None
    assert np.abs(frames[0].astype(int) - scene(64, 64)).mean() < 3


def test_pages_are_no_film_and_said(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    Image.fromarray(scene()).save(path, save_all=True, append_images=[Image.fromarray(scene(20, 20))])
    assert is_image(path)
    assert read_media(path, fps=1).problems == ["it has 2 pages; the first was read"]
    assert probe(path).problems == ("it has 2 pages; the first was read",)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.97])
@pytest.mark.parametrize(
    "name",
    ["a.jpg", "a.png", "a.gif", "a.webp", "a.bmp", "a.tif", "a.ppm", "a.jp2", pytest.param("a.avif", marks=needs_avif)],
)
def test_a_still_that_is_cut_off_is_refused_whatever_its_format(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    assert read(path).shape == (64, 64, 3)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    for call in (lambda: read_media(path, fps=1, where="clip 7"), lambda: probe(path, where="clip 7")):
        with pytest.raises(MediaError, match=r"^clip 7: .*a\.\w+: is a picture .*cut off"):
            call()


@pytest.mark.parametrize("head", [b"\xff\x0a\xfa\x7f\x01\x90\x08\x06", b"\0\0\0\x0cJXL \r\n\x87\n"])
def test_a_picture_without_a_decoder_is_refused_in_one_line(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "picture.jxl"
    path.write_bytes(head + bytes(range(256)) * 4)
    for call in (lambda: read_media(path, fps=1, where="clip 7"), lambda: probe(path, where="clip 7")):
        with pytest.raises(MediaError, match=r"^clip 7: .*picture\.jxl: is a picture .*JXL"):
            call()


def test_grey_of_sixteen_bits_keeps_its_range_and_measured_values_are_refused(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64)
    Image.fromarray(ramp.astype(np.uint16)).save(tmp_path / "deep.png")
    assert np.abs(read(tmp_path / "deep.png")[..., 0] - ramp / 257).max() <= 1
    Image.fromarray(ramp.astype(np.float32)).save(tmp_path / "values.tif")
    with pytest.raises(MediaError, match="measured values"):
        read(tmp_path / "values.tif")
