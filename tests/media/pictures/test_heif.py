"""HEIF and AVIF stills, written box by box."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multiemo.errors import MediaError
from multiemo.media.reading import is_image, probe, read_media
from tests.support.pictures import jpeg, needs_avif, read, scene, stored


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, *parts: bytes) -> bytes:
    return box(kind, bytes(4), *parts)


def heif(path: Path, items: list[tuple[bytes, bytes, list[bytes]]], references: list[bytes]) -> Path:
    """Write a file of items (kind, data, properties), numbered from 1. The last is the primary one."""
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


def tiled(path: Path, picture: np.ndarray, *properties: bytes, tile: int = 32) -> Path:
    """Split a picture into a grid of JPEG tiles. The outermost are padded."""
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
    """``irot`` rotates counter-clockwise. ``imir`` 0 swaps top and bottom, 1 left and right."""
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
    from multiemo.media.pictures.heif_boxes import find_items, read_items

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
    with pytest.raises(MediaError, match="missing"):
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
        (lambda data: data.replace(b"dimg", b"none"), "parts of it are missing"),
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
