"""Read HEIF and AVIF stills: decode coded items and compose pictures from them (ISO/IEC 23008-12 and 23000-22).

Phones write a grid of tiles, with the orientation as a property of the file. FFmpeg returns the single tiles, and PyAV
does not expose how they are composed. The boxes are therefore parsed here, and FFmpeg decodes their contents.
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
from multiemo.media.limits import current_limits, too_large
from multiemo.media.picture_track import convert_frame, on_white
from multiemo.media.pictures.heif_boxes import HeifItem, Items, find_items, read_items
from multiemo.media.pictures.orientation import Orientation

#: FFmpeg's decoders of each type of coded item, best first, and the property with the decoder configuration.
_CODECS = {
    b"hvc1": (("hevc",), b"hvcC"),
    b"hev1": (("hevc",), b"hvcC"),
    b"av01": (("libdav1d", "libaom-av1", "av1"), b"av1C"),
    b"avc1": (("h264",), b"avcC"),
    b"jpeg": (("mjpeg",), b"jpgC"),
}
#: Types of auxiliary items that are the alpha channel of another item.
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1", b"urn:mpeg:avc:2015:auxid:1")
#: Maximum nesting depth of derived items, and maximum number of rendered items per file.
_MAX_DEPTH, _MAX_ITEMS = 4, 20_000


def read_heif(file: Path) -> Pixels:
    """Read the primary picture of a file.

    Returns:
        ``[H, W, 3]`` uint8 RGB, upright, on a white background.

    Raises:
        ValueError: the file is damaged, cut off, too large, or of a type that cannot be decoded here.
        LookupError, struct.error, OSError, RuntimeError: the file is damaged.
    """
    with file.open("rb") as stream:
        meta, _ = find_items(stream)
        if meta is None:
            raise ValueError("it has no table of pictures")
        items = read_items(meta)
        renderer = _Renderer(items, stream)
        picture = renderer.render(items.primary)
        opaque = renderer.opacity(items.primary, picture)
        return picture if opaque is None else on_white(np.dstack([picture, opaque]))


def _is_alpha(item: HeifItem) -> bool:
    return (item.get(b"auxC") or b"")[4:].rstrip(b"\0").startswith(_ALPHA)


class _Renderer:
    """Renders items to pixels.

    Args:
        items: the items of the file.
        stream: the open file.
    """

    def __init__(self, items: Items, stream: BinaryIO) -> None:
        self.items, self.stream = items, stream
        self.remaining = _MAX_ITEMS

    def opacity(self, number: int, picture: Pixels) -> Pixels | None:
        """Return the alpha channel of an item, or ``None`` if it is opaque.

        Args:
            number: of the item.
            picture: the rendered item, ``[H, W, 3]``.

        Returns:
            ``[H, W]`` uint8, 255 for opaque.
        """
        alphas = (n for n in self.items.referring(b"auxl", number) if n in self.items.items)
        alpha = next((n for n in alphas if _is_alpha(self.items.items[n])), None)
        if alpha is None:
            return None
        opaque = self.render(alpha)[..., 0]
        return np.asarray(cv2.resize(opaque, picture.shape[1::-1]), np.uint8)

    def render(self, number: int, depth: int = 0, colour: bytes | None = None) -> Pixels:
        """Render an item as it is to be shown, ``[H, W, 3]`` uint8 RGB.

        Args:
            number: of the item.
            depth: nesting depth: the number of items that it is a part of.
            colour: colour property of the item that it is a part of.
        """
        item = self.items.items.get(number)
        if item is None:
            raise ValueError("parts of it are missing")
        self.remaining -= 1
        if depth > _MAX_DEPTH or self.remaining < 0:
            raise ValueError("its parts are nested without end")
        _check_size(item)
        colour = item.get(b"colr") or colour
        if item.kind in _CODECS:
            picture = self._decoded(item, colour)
        elif item.kind in (b"grid", b"iovl", b"iden"):
            parts = self.items.referred(b"dimg", number)
            picture = self._composed(item, parts, lambda part: self.render(part, depth + 1, colour))
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
            raise ValueError(f"there is no decoder for {names[0]} here")
        context = av.CodecContext.create(name, "r")
        context.thread_count = 1
        context.options = {"max_pixels": str(current_limits().pixels)}
        extradata = item.get(setup)
        if extradata:
            context.extradata = extradata
        frames = [*context.decode(av.Packet(self._data(item))), *context.decode(None)]
        if not frames:
            raise ValueError("none of it can be decoded")
        frame = frames[-1]  # the layer with the highest resolution
        _set_colour_coding(frame, colour)
        picture = convert_frame(frame, frame.width, frame.height, "rgb24")
        size = item.size
        return picture if size is None else picture[: size[1], : size[0]]

    def _composed(self, item: HeifItem, parts: Sequence[int], render: Callable[[int], Pixels]) -> Pixels:
        """Compose a derived item: an identity, a grid of tiles, or an overlay."""
        if not parts:
            raise ValueError("parts of it are missing")
        if item.kind == b"iden":
            return render(parts[0])
        data = self._data(item)
        wide = "I" if data[1] & 1 else "H"
        grid = item.kind == b"grid"
        width, height = struct.unpack_from(f">2{wide}", data, 4 if grid else 10)
        if not width * height:
            raise ValueError("it has no pixels")
        _check_pixels(width, height)
        columns = data[3] + 1 if grid else 0
        if grid and len(parts) != (data[2] + 1) * columns:
            raise ValueError("tiles of it are missing")
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
    if item.size is not None:
        _check_pixels(*item.size)


def _check_pixels(width: int, height: int) -> None:
    if reason := too_large(width, height):
        raise ValueError(f"it is {reason}")


def _set_colour_coding(frame: Any, colour: bytes | None) -> None:
    """Set the colour coding of a PyAV frame from the file (ITU-T H.273), which takes precedence over the codec's."""
    if colour is None or colour[:4] != b"nclx":
        return
    _, _, matrix, full = struct.unpack_from(">3HB", colour, 4)
    if matrix not in (0, 2):  # 0: already RGB, 2: unspecified
        frame.colorspace = matrix
    frame.color_range = 2 if full & 0x80 else 1


def _transformed(picture: Pixels, kind: bytes, content: bytes) -> Pixels:
    """Apply a property to a picture, if it is a transformation."""
    if kind == b"irot":
        return Orientation.of_quarters(content[0] & 3).upright(picture)
    if kind == b"imir":
        return Orientation(left_right=bool(content[0] & 1), up_down=not content[0] & 1).upright(picture)
    if kind == b"clap":
        return _cropped(picture, *struct.unpack_from(">IIIIiIiI", content))
    return picture


def _cropped(picture: Pixels, *clap: int) -> Pixels:
    """Crop to the clean aperture: width, height, and the offset of its centre, each as a fraction."""
    width, height, right, down = (clap[i] / clap[i + 1] for i in range(0, 8, 2))
    x = round((picture.shape[1] - width) / 2 + right)
    y = round((picture.shape[0] - height) / 2 + down)
    part = picture[max(y, 0) : max(y, 0) + round(height), max(x, 0) : max(x, 0) + round(width)]
    return picture if part.size == 0 else np.ascontiguousarray(part)
