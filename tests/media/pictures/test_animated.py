"""Animated pictures: which are read as video, and their frame times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from multiemo.media.reading import Playback, PlayedFrame, is_image, probe, read_media
from tests.support.pictures import jpeg, needs_avif, read, scene

#: Duration of each picture, milliseconds.
SHOWN = (100, 200, 100, 300)


def moving(path: Path, count: int = 4) -> Path:
    pictures = [Image.fromarray(np.full((40, 60, 3), 40 + 50 * i, np.uint8)) for i in range(count)]
    if path.suffix == ".mjpeg":
        path.write_bytes(b"".join(jpeg(np.asarray(p)) for p in pictures))
    else:
        how = {"lossless": True} if path.suffix == ".webp" else {}
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=list(SHOWN[:count]), **how)
    return path


MOVING = [
    "a.gif",
    "a.png",
    "a.webp",
    pytest.param("a.avif", marks=needs_avif),
]


@pytest.mark.parametrize("name", MOVING)
@pytest.mark.parametrize("named", ["as it is", "photo.jpg"])
def test_moving_pictures_are_films_with_their_own_times(tmp_path: Path, name: str, named: str) -> None:
    path = moving(tmp_path / name)
    path = path if named == "as it is" else path.rename(tmp_path / named)
    assert not is_image(path)
    info = probe(path)
    assert (info.has_video, info.is_image, info.width, info.height) == (True, False, 60, 40)
    media = read_media(path, fps=100)
    assert media.frames is not None
    assert [round(float(f.mean()) / 50 - 0.8) for f in media.frames] == [0, 1, 2, 3]
    np.testing.assert_allclose(media.times, [0.0, 0.1, 0.3, 0.4], atol=0.002)
    assert media.problems == []
    seen = [piece for piece in Playback(path, rate=None, fps=100).pieces() if isinstance(piece, PlayedFrame)]
    np.testing.assert_allclose([s.time for s in seen], [0.0, 0.1, 0.3, 0.4], atol=0.002)
    assert [round(float(s.frame.grey(40).mean()) / 50 - 0.8) for s in seen] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", MOVING)
def test_one_picture_is_a_still(tmp_path: Path, name: str) -> None:
    path = moving(tmp_path / name, 1)
    assert is_image(path)
    assert probe(path, "image").is_image
    assert np.abs(read(path) - 40).max() < 4


def test_transparent_parts_of_moving_pictures_are_white(tmp_path: Path) -> None:
    for name in ("a.webp", "a.png", "a.gif"):
        pictures = [Image.new("RGBA", (40, 40), (0, 0, 0, 0)) for _ in range(2)]
        for i, picture in enumerate(pictures):
            picture.paste((200, 0, 0, 255), (20, 0, 40, 20 + 20 * i))
            picture.putpixel((0, 39), (200, 0, 0, 255))
        how = {"lossless": True} if name == "a.webp" else {"disposal": 2}
        pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=100, **how)
        seen = [p for p in Playback(tmp_path / name, rate=None, fps=25).pieces() if isinstance(p, PlayedFrame)]
        assert len(seen) == 2
        assert seen[0].frame.rgb()[:38, :18].min() > 250
        assert seen[0].frame.grey(40)[:38, :18].min() > 250
        assert seen[1].frame.rgb()[5, 30].tolist() == pytest.approx([200, 0, 0], abs=3)


def test_a_film_with_a_colour_profile_is_read_again_and_again(tmp_path: Path) -> None:
    """PNG decoders attach the name of the colour profile, which PyAV frees twice when the side data is read."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pictures = [Image.fromarray(scene()) for _ in range(4)]
    pictures[1].putpixel((0, 0), (0, 0, 0))
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:], icc_profile=profile, duration=100)
    code = (
        "import gc, sys; from multiemo.media.reading import Playback, read_media\n"
        "for _ in range(3):\n"
        "    read_media(sys.argv[1], fps=10); list(Playback(sys.argv[1], rate=None, fps=10).pieces()); gc.collect()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], timeout=60, check=False)
    assert done.returncode == 0


def test_motion_jpeg_without_a_container_is_a_film_of_no_times(tmp_path: Path) -> None:
    path = moving(tmp_path / "a.mjpeg").rename(tmp_path / "a.jpg")
    media = read_media(path, fps=100)
    assert media.frames is not None
    assert [round(float(f.mean()) / 50 - 0.8) for f in media.frames] == [0, 1, 2, 3]
    np.testing.assert_allclose(media.times, np.arange(4) / 25)
    assert media.problems == ["its pictures have no times; 25 per second were assumed"]
    assert list(probe(path).problems) == media.problems


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.mjpeg"])
def test_moving_pictures_that_are_cut_off_are_read_with_a_note(tmp_path: Path, name: str) -> None:
    path = moving(tmp_path / name)
    data = path.read_bytes()
    path.write_bytes(data[: int(0.9 * len(data))])
    note = "the file is cut off: its last pictures are missing"
    media = read_media(path, fps=100)
    assert media.frames is not None
    assert note in media.problems
    assert note in probe(path).problems
    playback = Playback(path, rate=None, fps=100)
    assert 1 <= sum(isinstance(piece, PlayedFrame) for piece in playback.pieces()) <= 4
    assert note in playback.problems
