"""HEIF and AVIF stills: coded items, and pictures put together from them (ISO/IEC 23008-12 and 23000-22).

What phones write is a grid of tiles with its orientation in properties of the file. FFmpeg hands out the tiles one by
one, and PyAV not what is to become of them, so the boxes are read here; FFmpeg decodes what they hold.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import av
import cv2
import numpy as np

from multiemo.arrays import Pixels
from multiemo.media.container import MAX_PIXELS
from multiemo.media.picture_track import converted, on_white
from multiemo.media.pictures.heif_boxes import HeifItem, Items, find_items, read_items
from multiemo.media.pictures.orientation import Orientation

#: FFmpeg's decoders of each kind of coded item, the best first, and the property that holds its set-up.
_CODECS = {
    b"hvc1": (("hevc",), b"hvcC"),
    b"hev1": (("hevc",), b"hvcC"),
    b"av01": (("libdav1d", "libaom-av1", "av1"), b"av1C"),
    b"avc1": (("h264",), b"avcC"),
    b"jpeg": (("mjpeg",), b"jpgC"),
}
#: How an item says that it is the opacity of another.
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1", b"urn:mpeg:avc:2015:auxid:1")
#: Items may be made of items that are made of items, so often; and as many of them in all.
_DEEP, _MOST = 4, 20_000


def read_heif(file: Path) -> Pixels:
    """The picture to show, ``[H, W, 3]`` uint8 RGB, upright, transparent parts white.

    Raises:
        ValueError: damaged, cut off, too large, or of a kind that cannot be decoded here.
        LookupError, struct.error, OSError, RuntimeError: damaged.
    """
    with file.open("rb") as stream:
        meta, _ = find_items(stream)
        if meta is None:
            raise ValueError("it holds no table of pictures")
        items = read_items(meta)
        renderer = _Renderer(items, stream)
        picture = renderer.render(items.primary)
        opaque = renderer.opacity(items.primary, picture)
        return picture if opaque is None else on_white(np.dstack([picture, opaque]))


def _is_alpha(item: HeifItem) -> bool:
    return (item.get(b"auxC") or b"")[4:].rstrip(b"\0").startswith(_ALPHA)


class _Renderer:
    """Items -> pixels.

    Args:
        items: of the file.
        stream: of the file.
    """

    def __init__(self, items: Items, stream: BinaryIO) -> None:
        self.items, self.stream = items, stream
        self.left = _MOST

    def opacity(self, number: int, picture: Pixels) -> Pixels | None:
        """Of an item and its picture, ``[H, W]``, 0..255; ``None`` where there is nothing to be seen through it."""
        alphas = (n for n in self.items.referring(b"auxl", number) if n in self.items.items)
        alpha = next((n for n in alphas if _is_alpha(self.items.items[n])), None)
        if alpha is None:
            return None
        opaque = self.render(alpha)[..., 0]
        return np.asarray(cv2.resize(opaque, picture.shape[1::-1]), np.uint8)

    def render(self, number: int, deep: int = 0, colour: bytes | None = None) -> Pixels:
        """An item as it is to be shown.

        Args:
            number: of the item.
            deep: how many items it is a part of.
            colour: property of what it is a part of.
        """
        item = self.items.items.get(number)
        if item is None:
            raise ValueError("its parts are not there")
        self.left -= 1
        if deep > _DEEP or self.left < 0:
            raise ValueError("it is made of parts without end")
        _check_size(item)
        colour = item.get(b"colr") or colour
        if item.kind in _CODECS:
            picture = self._decoded(item, colour)
        elif item.kind in (b"grid", b"iovl", b"iden"):
            parts = self.items.referred(b"dimg", number)
            picture = self._composed(item, parts, lambda part: self.render(part, deep + 1, colour))
        else:
            name = item.kind.decode("ascii", "replace").strip() or "unknown"
            raise ValueError(f"it is coded as {name!r}, which cannot be decoded here")
        for kind, content in item.properties:
            picture = _transformed(picture, kind, content)
        return picture

    def _data(self, item: HeifItem) -> bytes:
        if item.inside:
            return b"".join(self.items.data[start : start + length] for start, length in item.extents)
        parts = []
        for start, length in item.extents:
            self.stream.seek(start)
            parts.append(self.stream.read(length or -1))
            if len(parts[-1]) < length:
                raise ValueError("it is cut off")
        return b"".join(parts)

    def _decoded(self, item: HeifItem, colour: bytes | None) -> Pixels:
        names, setup = _CODECS[item.kind]
        name = next((n for n in names if n in av.codecs_available), None)
        if name is None:
            raise ValueError(f"there is no decoder of {names[0]} here")
        context = av.CodecContext.create(name, "r")
        context.thread_count = 1
        context.options = {"max_pixels": str(MAX_PIXELS)}
        extradata = item.get(setup)
        if extradata:
            context.extradata = extradata
        frames = [*context.decode(av.Packet(self._data(item))), *context.decode(None)]
        if not frames:
            raise ValueError("nothing of it can be decoded")
        frame = frames[-1]  # of several layers the finest
        _paint(frame, colour)
        picture = converted(frame, frame.width, frame.height, "rgb24")
        size = item.size
        return picture if size is None else picture[: size[1], : size[0]]

    def _composed(self, item: HeifItem, parts: Sequence[int], render: Callable[[int], Pixels]) -> Pixels:
        """A derived item: one as it is, a grid of tiles, or some laid over each other."""
        if not parts:
            raise ValueError("its parts are not there")
        if item.kind == b"iden":
            return render(parts[0])
        data = self._data(item)
        wide = "I" if data[1] & 1 else "H"
        grid = item.kind == b"grid"
        width, height = struct.unpack_from(f">2{wide}", data, 4 if grid else 10)
        if not 0 < width * height <= MAX_PIXELS:
            raise ValueError(_too_large(width, height))
        columns = data[3] + 1 if grid else 0
        if grid and len(parts) != (data[2] + 1) * columns:
            raise ValueError("tiles of it are not there")
        places = () if grid else struct.unpack_from(f">{2 * len(parts)}{wide.lower()}", data, 18 if wide == "I" else 14)
        canvas = np.zeros((height, width, 3), np.uint8)
        for index, part in enumerate(parts):
            tile = render(part)
            if grid:
                x, y = index % columns * tile.shape[1], index // columns * tile.shape[0]
            else:
                x, y = places[2 * index : 2 * index + 2]
            under = canvas[max(y, 0) : max(y + tile.shape[0], 0), max(x, 0) : max(x + tile.shape[1], 0)]
            over = np.s_[max(-y, 0) :, max(-x, 0) :]
            there = np.s_[: under.shape[0], : under.shape[1]]
            opaque = None if grid else self.opacity(part, tile)
            if opaque is None:
                under[...] = tile[over][there]
            else:
                share = opaque[over][there][..., None] / 255
                under[...] = np.rint(share * tile[over][there] + (1 - share) * under)
        return canvas


def _check_size(item: HeifItem) -> None:
    if item.size is not None and item.size[0] * item.size[1] > MAX_PIXELS:
        raise ValueError(_too_large(*item.size))


def _too_large(width: int, height: int) -> str:
    return f"it is {width}x{height} pixels, and at most {MAX_PIXELS // 1_000_000} million are read"


def _paint(frame: Any, colour: bytes | None) -> None:
    """Tell a frame of PyAV how its colours are coded, if the file says so (ITU-T H.273): that goes before the codec."""
    if colour is None or colour[:4] != b"nclx":
        return
    _, _, matrix, full = struct.unpack_from(">3HB", colour, 4)
    if matrix not in (0, 2):  # what is RGB already, and what nobody has specified
        frame.colorspace = matrix
    frame.color_range = 2 if full & 0x80 else 1


def _transformed(picture: Pixels, kind: bytes, content: bytes) -> Pixels:
    """A picture with one of its properties put to work, if it is one that does something to it."""
    if kind == b"irot":
        return Orientation.of_quarters(content[0] & 3).upright(picture)
    if kind == b"imir":
        return Orientation(left_right=bool(content[0] & 1), up_down=not content[0] & 1).upright(picture)
    if kind == b"clap":
        return _cropped(picture, *struct.unpack_from(">IIIIiIiI", content))
    return picture


def _cropped(picture: Pixels, *clap: int) -> Pixels:
    """The clean aperture: width, height, and how far its middle lies from the picture's, as fractions."""
    width, height, right, down = (clap[i] / clap[i + 1] for i in range(0, 8, 2))
    x = round((picture.shape[1] - width) / 2 + right)
    y = round((picture.shape[0] - height) / 2 + down)
    part = picture[max(y, 0) : max(y, 0) + round(height), max(x, 0) : max(x, 0) + round(width)]
    return picture if part.size == 0 else np.ascontiguousarray(part)
