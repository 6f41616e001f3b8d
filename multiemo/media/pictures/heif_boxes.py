"""Parse the boxes of a HEIF or AVIF file: its items, their locations, properties and references.

See ISO/IEC 14496-12 (8.11: meta, iloc, iinf, iprp, iref) and 23008-12. :mod:`~multiemo.media.pictures.heif` decodes the
pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

#: Maximum size of a file's table of items, bytes.
_MAX_META_BYTES = 64_000_000
#: Maximum number of top-level boxes that are read.
_MAX_TOP_BOXES = 1000


@dataclass(slots=True)
class HeifItem:
    """One picture, or part of one.

    Args:
        kind: item type of four letters, such as ``hvc1`` or ``grid``.
        properties: (kind, content) in the order in which they apply.
        extents: location of its data: (offset, length), bytes.
        inside: whether the extents are in ``Items.data`` instead of the file.
    """

    kind: bytes = b""
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    extents: list[tuple[int, int]] = field(default_factory=list)
    inside: bool = False

    def get(self, kind: bytes) -> bytes | None:
        """Return the content of its first property of a kind, or ``None``."""
        return next((content for name, content in self.properties if name == kind), None)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height before rotation and cropping, pixels; ``None`` if unknown."""
        extent = self.get(b"ispe")
        return None if extent is None else (_number(extent, 4, 4), _number(extent, 8, 4))


@dataclass(slots=True)
class Items:
    """All items of a file.

    Args:
        primary: number of the item to show.
        items: {number: item}.
        references: (kind, source, targets).
        data: data of small items (the ``idat`` box).
    """

    primary: int = 0
    items: dict[int, HeifItem] = field(default_factory=dict)
    references: list[tuple[bytes, int, list[int]]] = field(default_factory=list)
    data: bytes = b""

    def referred(self, kind: bytes, number: int) -> list[int]:
        """Return the numbers of the items that an item refers to by a kind of reference."""
        return next((to for name, source, to in self.references if (name, source) == (kind, number)), [])

    def referring(self, kind: bytes, number: int) -> list[int]:
        """Return the numbers of the items that refer to an item by a kind of reference."""
        return [source for name, source, to in self.references if name == kind and number in to]


def find_items(stream: BinaryIO) -> tuple[bytes | None, bool]:
    """Find the table of pictures of a file, and whether it contains a video.

    Args:
        stream: the open file, at its beginning.

    Returns:
        The content of its ``meta`` box, or ``None`` if it holds no pictures; and whether one of its tracks has several
        samples.
    """
    meta, is_moving = None, False
    for _ in range(_MAX_TOP_BOXES):
        header = stream.read(8)
        if len(header) < 8:
            break
        size, kind = struct.unpack(">I4s", header)
        begun = 8
        if size == 1:
            size, begun = int.from_bytes(stream.read(8), "big"), 16
        content = size - begun if size else _MAX_META_BYTES
        if kind in (b"meta", b"moov") and content <= _MAX_META_BYTES:
            data = stream.read(content)
            if kind == b"moov":
                is_moving = is_moving or _has_moving_track(data)
            elif _holds_pictures(data):
                meta = data
        elif size == 0 or content < 0:
            break
        else:
            stream.seek(content, 1)
    return meta, is_moving


def read_items(meta: bytes) -> Items:
    """Parse the items of a ``meta`` box.

    Raises:
        ValueError, LookupError, struct.error: the box is damaged.
    """
    items = Items()
    found = dict(_boxes(meta[4:]))
    items.data = found.get(b"idat", b"")
    version, primary = found[b"pitm"][0], found[b"pitm"][4:]
    items.primary = _number(primary, 0, 4 if version else 2)
    _parse_kinds(found[b"iinf"], items)
    _parse_locations(found[b"iloc"], items)
    _parse_properties(dict(_boxes(found[b"iprp"])), [b for b in _boxes(found[b"iprp"]) if b[0] == b"ipma"], items)
    if b"iref" in found:
        _parse_references(found[b"iref"], items)
    return items


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, content) of each box in a sequence of boxes."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        begun = 8
        if size == 1:
            size, begun = _number(data, at + 8, 8), 16
        elif size == 0:
            size = len(data) - at
        if size < begun:
            return
        yield kind, data[at + begun : at + size]
        at += size


def _number(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise ValueError("a box is too short")
    return int.from_bytes(data[at : at + size], "big")


def _holds_pictures(meta: bytes) -> bool:
    return any(kind == b"hdlr" and content[8:12] == b"pict" for kind, content in _boxes(meta[4:]))


def _has_moving_track(moov: bytes) -> bool:
    """Whether any track has several samples."""
    for track in (content for kind, content in _boxes(moov) if kind == b"trak"):
        inside = track
        for name in (b"mdia", b"minf", b"stbl", b"stsz"):
            inside = next((content for kind, content in _boxes(inside) if kind == name), b"")
        if len(inside) >= 12 and _number(inside, 8, 4) > 1:
            return True
    return False


def _parse_kinds(iinf: bytes, items: Items) -> None:
    for kind, entry in _boxes(iinf[4 + (4 if iinf[0] else 2) :]):
        if kind == b"infe" and entry[0] >= 2:
            wide = 4 if entry[0] == 3 else 2
            items.items[_number(entry, 4, wide)] = HeifItem(kind=entry[6 + wide : 10 + wide])


def _parse_locations(iloc: bytes, items: Items) -> None:
    version = iloc[0]
    offset, length, base, index = iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4, iloc[5] & 15 if version else 0
    wide = 4 if version == 2 else 2
    count, at = _number(iloc, 6, wide), 6 + wide
    for _ in range(count):
        item = items.items.get(_number(iloc, at, wide), HeifItem())
        at += wide
        if version:
            method = _number(iloc, at, 2) & 15
            if method > 1:
                item.kind = b""  # data in other items, which no known software writes
            item.inside = method == 1
            at += 2
        start = _number(iloc, at + 2, base)
        at += 2 + base
        extents, at = _number(iloc, at, 2), at + 2
        for _ in range(extents):
            at += index
            item.extents.append((start + _number(iloc, at, offset), _number(iloc, at + offset, length)))
            at += offset + length


def _parse_properties(boxes: dict[bytes, bytes], tables: list[tuple[bytes, bytes]], items: Items) -> None:
    known = list(_boxes(boxes[b"ipco"]))
    for _, ipma in tables:
        wide, far = 4 if ipma[0] else 2, bool(ipma[3] & 1)
        at = 8
        for _ in range(_number(ipma, 4, 4)):
            item = items.items.get(_number(ipma, at, wide), HeifItem())
            count, at = _number(ipma, at + wide, 1), at + wide + 1
            for _ in range(count):
                number = _number(ipma, at, 2) & 0x7FFF if far else _number(ipma, at, 1) & 0x7F
                at += 2 if far else 1
                if number:
                    item.properties.append(known[number - 1])


def _parse_references(iref: bytes, items: Items) -> None:
    wide = 4 if iref[0] else 2
    for kind, content in _boxes(iref[4:]):
        count = _number(content, wide, 2)
        to = [_number(content, wide + 2 + i * wide, wide) for i in range(count)]
        items.references.append((kind, _number(content, 0, wide), to))
