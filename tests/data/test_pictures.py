"""Stills and moving pictures: formats, orientation, tiles, what is cut off. Written by Pillow, OpenCV or box by box."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, features

from multiemo.data.media import Playback, PlayedFrame, is_image, probe, read_media
from multiemo.errors import MediaError
from tests.support.media_files import grid, turned, write

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")

#: For each value of EXIF's orientation, the visual side of the stored row 0 and of the stored column 0 (CIPA DC-008).
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def scene(height: int = 32, width: int = 48) -> np.ndarray:
    """A picture each of whose corners has a colour of its own."""
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[: height // 2, : width // 2] = (250, 20, 20)
    picture[: height // 2, width // 2 :] = (20, 250, 20)
    picture[height // 2 :, : width // 2] = (20, 20, 250)
    return picture


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """How a camera held so stores what is upright."""
    first, second = SIDES[orientation]
    swapped = first in ("left", "right")
    across, down = (first, second) if swapped else (second, first)
    flipped = upright[:: -1 if down == "bottom" else 1, :: -1 if across == "right" else 1]
    return np.ascontiguousarray(flipped.swapaxes(0, 1) if swapped else flipped)


def read(path: Path) -> np.ndarray:
    frames = read_media(path, fps=1).frames
    assert frames is not None
    return frames[0].astype(int)


# --------------------------------------------------------------------------------------------------------------------
# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.jpg", "RGB"),
        ("a.png", "RGB"),
        ("a.png", "RGBA"),
        ("a.webp", "RGB"),
        ("a.webp", "RGBA"),
        ("a.tif", "RGB"),
        pytest.param("a.avif", "RGB", marks=needs_avif),
        pytest.param("a.avif", "RGBA", marks=needs_avif),
    ],
)
def test_every_still_is_upright(tmp_path: Path, name: str, mode: str, orientation: int) -> None:
    path = tmp_path / name
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(stored(scene(), orientation)).convert(mode)
    picture.save(path, exif=exif, **({"lossless": True} if name == "a.webp" else {"quality": 95}))
    got = read(path)
    assert got.shape == scene().shape
    assert np.abs(got - scene()).mean() < 4
    info = probe(path, "image")
    assert (info.height, info.width) == got.shape[:2]


#: The 2 x 2 part of a display matrix (ISO/IEC 14496-12, 6.2.2) that brings upright what is stored so.
MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_film_is_upright(tmp_path: Path, orientation: int) -> None:
    one = 1 << 16
    a, b, c, d = (one * part for part in MATRICES[orientation])
    path = write(tmp_path / "film.mp4", stamps=grid(3), frames=[stored(scene(), orientation)] * 3)
    turned(path, (a, b, 0, c, d, 0, 0, 0, 1 << 30))
    assert np.abs(read(path) - scene()).mean() < 8
    info = probe(path)
    assert (info.width, info.height) == (48, 32)
    assert info.mirrored == (orientation in (2, 4, 5, 7))
    back = np.rot90(stored(scene(), orientation), info.rotation // 90)
    np.testing.assert_array_equal(back[:, ::-1] if info.mirrored else back, scene())
    seen = [piece for piece in Playback(path, rate=None, fps=25.0).pieces() if isinstance(piece, PlayedFrame)]
    assert (seen[0].frame.width, seen[0].frame.height) == (48, 32)
    assert np.abs(seen[0].frame.rgb().astype(int) - scene()).mean() < 8
    grey = cv2.cvtColor(scene(), cv2.COLOR_RGB2GRAY).astype(int)
    assert np.abs(seen[0].frame.grey(48).astype(int) - grey).mean() < 8


# --------------------------------------------------------------------------------------------------------------------
# HEIF, box by box


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, *parts: bytes) -> bytes:
    return box(kind, bytes(4), *parts)


def heif(path: Path, items: list[tuple[bytes, bytes, list[bytes]]], references: list[bytes]) -> Path:
    """A file of items, (kind, data, properties) each, numbered from 1; the last is the one to show."""
    properties = list(dict.fromkeys(p for _, _, ps in items for p in ps))
    infos = [
        box(b"infe", b"\2\0\0\0", struct.pack(">HH4sB", number, 0, kind, 0))
        for number, (kind, _, _) in enumerate(items, 1)
    ]
    links = [
        struct.pack(f">HB{len(ps)}B", number, len(ps), *(properties.index(p) + 1 for p in ps))
        for number, (_, _, ps) in enumerate(items, 1)
    ]

    def meta(start: int) -> bytes:
        places, at = [], start
        for number, (_, data, _) in enumerate(items, 1):
            places.append(struct.pack(">HHHII", number, 0, 1, at, len(data)))
            at += len(data)
        return full(
            b"meta",
            full(b"hdlr", bytes(4), b"pict", bytes(13)),
            full(b"pitm", struct.pack(">H", len(items))),
            full(b"iloc", struct.pack(">BBH", 0x44, 0, len(items)), *places),
            full(b"iinf", struct.pack(">H", len(items)), *infos),
            box(b"iprp", box(b"ipco", *properties), full(b"ipma", struct.pack(">I", len(items)), *links)),
            full(b"iref", *references),
        )

    head = box(b"ftyp", b"mif1", bytes(4), b"mif1heic")
    start = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(start) + box(b"mdat", *(data for _, data, _ in items)))
    return path


def extent(width: int, height: int) -> bytes:
    return full(b"ispe", struct.pack(">II", width, height))


def jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()  # type: ignore[no-any-return]


def tiled(path: Path, picture: np.ndarray, *properties: bytes, tile: int = 32) -> Path:
    """A grid of tiles, coded as JPEG; the outermost are filled up."""
    height, width = picture.shape[:2]
    rows, columns = -(-height // tile), -(-width // tile)
    large = np.pad(picture, ((0, rows * tile - height), (0, columns * tile - width), (0, 0)), "edge")
    items = [
        (b"jpeg", jpeg(large[y * tile : (y + 1) * tile, x * tile : (x + 1) * tile]), [extent(tile, tile)])
        for y in range(rows)
        for x in range(columns)
    ]
    count = len(items)
    shape = struct.pack(">4BHH", 0, 0, rows - 1, columns - 1, width, height)
    items.append((b"grid", shape, [extent(width, height), *properties]))
    refers = box(b"dimg", struct.pack(f">HH{count}H", count + 1, count, *range(1, count + 1)))
    return heif(path, items, [refers])


def test_a_grid_is_the_whole_picture(tmp_path: Path) -> None:
    path = tiled(tmp_path / "phone.heic", scene(90, 130))
    got = read(path)
    assert got.shape == (90, 130, 3)
    assert np.abs(got - scene(90, 130)).mean() < 4
    assert is_image(path)
    assert (probe(path).width, probe(path).height) == (130, 90)


def test_phones_write_grids_of_hevc(real_data: Path) -> None:
    folder = real_data / "awkward"
    if not folder.is_dir():
        pytest.skip("the awkward inputs are not there")
    got = read(folder / "phone_grid.heic")
    assert got.shape == (1020, 1020, 3)
    wanted = np.asarray(Image.open(folder / "face.png").convert("RGB").resize((1020, 1020))).astype(int)
    assert np.abs(got - wanted).mean() < 4


TURN = {1: [], 8: [box(b"irot", b"\1")], 3: [box(b"irot", b"\2")], 6: [box(b"irot", b"\3")]}
MIRROR = {2: box(b"imir", b"\1"), 4: box(b"imir", b"\0")}


@pytest.mark.parametrize(
    ("orientation", "properties"),
    [
        *TURN.items(),
        *((o, [p]) for o, p in MIRROR.items()),
        (5, [box(b"irot", b"\1"), MIRROR[4]]),
        (7, [box(b"irot", b"\1"), MIRROR[2]]),
    ],
)
def test_a_grid_is_turned_and_mirrored_in_the_order_of_its_properties(
    tmp_path: Path, orientation: int, properties: list[bytes]
) -> None:
    """``irot`` turns counter-clockwise; ``imir`` 0 exchanges top and bottom, 1 left and right."""
    path = tiled(tmp_path / "phone.heic", stored(scene(64, 96), orientation), *properties)
    assert np.abs(read(path) - scene(64, 96)).mean() < 4


def test_a_clean_aperture_is_cut_out_before_the_turn(tmp_path: Path) -> None:
    whole = np.zeros((64, 96, 3), np.uint8)
    whole[10:42, 30:78] = scene()  # its middle lies 6 to the right of the whole's and 6 above it
    clap = box(b"clap", struct.pack(">IIIIiIiI", 48, 1, 32, 1, 12, 2, -6, 1))
    got = read(tiled(tmp_path / "a.heic", whole, clap, box(b"irot", b"\1")))
    assert got.shape == (48, 32, 3)
    assert np.abs(got - np.rot90(scene())).mean() < 6


def test_the_primary_item_counts_and_not_the_first(tmp_path: Path) -> None:
    small = (b"jpeg", jpeg(np.zeros((8, 8, 3), np.uint8)), [extent(8, 8)])
    path = heif(tmp_path / "a.heic", [small, (b"jpeg", jpeg(scene()), [extent(48, 32)])], [])
    assert np.abs(read(path) - scene()).mean() < 4


def test_opacity_is_another_item(tmp_path: Path) -> None:
    alpha = np.full((32, 48, 3), 255, np.uint8)
    alpha[:, :24] = 0
    kind = full(b"auxC", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
    items = [(b"jpeg", jpeg(alpha), [extent(48, 32), kind]), (b"jpeg", jpeg(scene()), [extent(48, 32)])]
    path = heif(tmp_path / "a.heic", items, [box(b"auxl", struct.pack(">3H", 1, 1, 2))])
    got = read(path)
    assert got[:, :20].min() > 240
    assert np.abs(got[:, 28:] - scene()[:, 28:]).mean() < 4


@needs_avif
def test_a_grid_of_avif_is_what_pillow_reads(tmp_path: Path) -> None:
    from multiemo.data.heif_boxes import find_items, read_items

    items = []
    for side in range(2):
        tile = tmp_path / "tile.avif"
        Image.fromarray(scene(64, 128)[:, 64 * side : 64 * side + 64]).save(tile, quality=95)
        with tile.open("rb") as stream:
            found = read_items(find_items(stream)[0] or b"")
        coded = found.items[found.primary]
        ((at, length),) = coded.extents
        properties = [box(kind, content) for kind, content in coded.properties]
        items.append((b"av01", tile.read_bytes()[at : at + length], properties))
    shared = [p for p in items[0][2] if p[4:8] in (b"pixi", b"colr")]
    items.append((b"grid", struct.pack(">4BHH", 0, 0, 0, 1, 120, 64), [extent(120, 64), *shared]))
    path = heif(tmp_path / "grid.avif", items, [box(b"dimg", struct.pack(">4H", 3, 2, 1, 2))])
    path.write_bytes(path.read_bytes().replace(b"mif1\0\0\0\0mif1heic", b"avif\0\0\0\0mif1avif"))
    assert np.abs(read(path) - np.asarray(Image.open(path)).astype(int)).mean() < 4


def test_a_grid_of_itself_ends(tmp_path: Path) -> None:
    shape = struct.pack(">4BHH", 0, 0, 255, 255, 256, 256)
    itself = box(b"dimg", struct.pack(">HH65535H", 1, 65535, *[1] * 65535))
    with pytest.raises(MediaError, match="not there"):
        read(heif(tmp_path / "a.heic", [(b"grid", shape, [extent(256, 256)])], [itself]))
    shape = struct.pack(">4BHH", 0, 0, 99, 99, 256, 256)
    itself = box(b"dimg", struct.pack(">HH10000H", 1, 10000, *[1] * 10000))
    with pytest.raises(MediaError, match="without end"):
        read(heif(tmp_path / "b.heic", [(b"grid", shape, [extent(256, 256)])], [itself]))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data[:-40], "cut off"),
        (lambda data: data.replace(b"infe\2\0\0\0\0\1\0\0jpeg", b"infe\2\0\0\0\0\1\0\0unci"), "'unci'"),
        (lambda data: data.replace(b"dimg", b"none"), "parts are not there"),
        (lambda data: data.replace(struct.pack(">HH", 48, 32) + b"", struct.pack(">HH", 65000, 65000)), "million"),
        (lambda data: data.replace(b"pitm", b"none"), "cannot be decoded"),
        (lambda data: data.replace(b"iloc\0\0\0\0\x44", b"iloc\0\0\0\0\x40"), "cannot be decoded"),
    ],
)
def test_damaged_items_are_refused_in_one_line(tmp_path: Path, change: Callable[[bytes], bytes], reason: str) -> None:
    path = tiled(tmp_path / "a.heic", scene())
    data = path.read_bytes()
    assert change(data) != data
    path.write_bytes(change(data))
    with pytest.raises(MediaError, match=rf"^clip 7: .*a\.heic: .*{reason}") as caught:
        read_media(path, fps=1, where="clip 7")
    assert "\n" not in str(caught.value)
    with pytest.raises(MediaError, match=reason):
        probe(path)


# --------------------------------------------------------------------------------------------------------------------
# Moving pictures

#: Milliseconds for which each picture is shown.
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
    """A decoder of PNG hands over the profile's name, which PyAV frees a second time when it is asked for side data."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pictures = [Image.fromarray(scene()) for _ in range(4)]
    pictures[1].putpixel((0, 0), (0, 0, 0))
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:], icc_profile=profile, duration=100)
    code = (
        "import gc, sys; from multiemo.data.media import Playback, read_media\n"
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
    assert media.problems == ["its pictures have no times; 25 a second were assumed"]
    assert list(probe(path).problems) == media.problems


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


# --------------------------------------------------------------------------------------------------------------------
# What is cut off, and what cannot be decoded


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


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.mjpeg"])
def test_moving_pictures_that_are_cut_off_are_read_with_a_note(tmp_path: Path, name: str) -> None:
    path = moving(tmp_path / name)
    data = path.read_bytes()
    path.write_bytes(data[: int(0.9 * len(data))])
    note = "the file is cut off: its last pictures are not there"
    media = read_media(path, fps=100)
    assert media.frames is not None
    assert note in media.problems
    assert note in probe(path).problems
    playback = Playback(path, rate=None, fps=100)
    assert 1 <= sum(isinstance(piece, PlayedFrame) for piece in playback.pieces()) <= 4
    assert note in playback.problems


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


# --------------------------------------------------------------------------------------------------------------------
# Films whose pictures change


def resized(path: Path, pictures: list[np.ndarray], fps: int = 10) -> Path:
    """Motion JPEG in Matroska, each picture of its own size, as recordings of calls have them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=fps)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuvj420p"
        for number, picture in enumerate(pictures):
            packet = av.Packet(jpeg(picture))
            packet.pts = packet.dts = number * 1000 // fps
            packet.time_base, packet.stream = Fraction(1, 1000), stream
            packet.is_keyframe = True
            container.mux(packet)
    return path


def test_pictures_that_change_their_size_are_fitted_into_the_first(tmp_path: Path) -> None:
    wide = np.full((24, 96, 3), 200, np.uint8)
    path = resized(tmp_path / "call.mkv", [scene(), scene(64, 96), wide])
    frames = read_media(path, fps=10).frames
    assert frames is not None
    assert frames.shape == (3, 32, 48, 3)
    assert np.abs(frames[1].astype(int) - scene()).mean() < 6
    assert frames[2, 10:22].mean() > 180  # 48 x 12 of it, in the middle
    assert frames[2, :8].max() < 20
    sizes = [
        (p.frame.width, p.frame.height)
        for p in Playback(path, rate=None, fps=10).pieces()
        if isinstance(p, PlayedFrame)
    ]
    assert sizes == [(48, 32), (96, 64), (96, 24)]
