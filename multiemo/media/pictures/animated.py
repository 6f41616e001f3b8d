"""Formats of pictures, and which of their files move: those are films, with the times that they give.

Nothing is decoded here but animated WebP, which FFmpeg cannot play: it is written again, without loss, as it can.
"""

from __future__ import annotations

import mmap
import os
import re
import tempfile
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from PIL import Image

from multiemo.media.pictures.heif_boxes import find_items

#: Most bytes that a picture's file may have; a few letters at its beginning make any large file look like one.
MAX_BYTES = 1_000_000_000
#: How pictures begin.
_MAGIC = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "WEBP": rb"RIFF.{4}WEBP",
    "BMP": rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00",
    "TIFF": rb"II[*+]\x00|MM\x00[*+]",
    "PPM": rb"P[1-7f]\s+[\d#W]",
    "JPEG2000": rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51",
    "JXL": rb"\xff\x0a|\x00\x00\x00\x0cJXL ",
    "ICO": rb"\x00\x00\x01\x00[^\x00]\x00",
    "ICNS": rb"icns",
    "PSD": rb"8BPS\x00\x01",
    "QOI": rb"qoif",
    "SGI": rb"\x01\xda[\x00\x01][\x01\x02]",
    "SUN": rb"\x59\xa6\x6a\x95",
    "DDS": rb"DDS \x7c\x00\x00\x00",
    "PCX": rb"\x0a[\x00-\x05]\x01[\x01\x02\x04\x08]",
    "EXR": rb"\x76\x2f\x31\x01",
    "HDR": rb"\#\?(RADIANCE|RGBE)",
    "DPX": rb"SDPX|XPDS",
}
_STARTS = {name: re.compile(pattern, re.DOTALL) for name, pattern in _MAGIC.items()}
#: Formats of which Pillow tells whether they move; further pictures in others are pages, sizes or views.
_ANIMATIONS = {"GIF": "gif", "PNG": "apng", "WEBP": "matroska"}
#: What a HEIF file calls itself that is a picture first, whatever film it also holds.
_STILLS = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif", b"avci", b"jpeg"}
#: Where the picture of a JPEG begins, and what gives its size (ITU-T T.81, B.1.1).
_SCAN, _SIZES = 0xDA, {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}

#: Bytes of a first JPEG in which the beginning of a second one is looked for.
_FIRST = 1 << 26

# Pillow warns of damage on standard error; such a file is read, or refused with the reason.
warnings.filterwarnings("ignore", module=r"PIL\.")


def picture_format(file: Path) -> str | None:
    """The format of a file that begins like a picture, whatever its name says: ``JPEG``, ``PNG``, ..., ``HEIF``."""
    if not os.path.isfile(file):  # also false for a name that is too long
        return None
    try:
        with file.open("rb") as stream:
            head = stream.read(32)
            if head[4:8] == b"ftyp":
                stream.seek(0)
                return "HEIF" if find_items(stream)[0] is not None else None
    except (OSError, ValueError):
        return None
    return next((name for name, start in _STARTS.items() if start.match(head)), None)


def moves(file: Path, kind: str) -> bool:
    """Whether a file of a format of pictures has several, to be shown one after the other.

    Args:
        file: that begins like a picture.
        kind: its :func:`picture_format`.
    """
    try:
        if kind == "HEIF":
            with file.open("rb") as stream:
                brand = stream.read(12)[8:]
                stream.seek(0)
                return brand not in _STILLS and find_items(stream)[1]
        if kind == "JPEG":
            return _is_row_of_jpegs(file)
        if kind in _ANIMATIONS and (kind != "WEBP" or file.stat().st_size <= MAX_BYTES):  # which is read at once
            with Image.open(file, formats=[kind]) as picture:
                return bool(getattr(picture, "is_animated", False))
    except Exception:  # Pillow raises anything; what is damaged is said where it is read
        pass
    return False


def playable(file: Path) -> tuple[Any, str | None]:
    """What FFmpeg opens in place of a file, and the name of its format where FFmpeg would take it for another.

    Raises:
        ValueError: an animated WebP that is damaged.
    """
    kind = picture_format(file)
    if kind is None or not moves(file, kind):
        return str(file.absolute()), None
    if kind == "WEBP":
        try:
            return _as_matroska(file), _ANIMATIONS[kind]
        except Exception as error:  # of Pillow's many kinds
            raise ValueError(f"its pictures cannot be decoded: {error}") from None
    return str(file.absolute()), {**_ANIMATIONS, "JPEG": "mjpeg"}.get(kind)


def remarks(file: Path) -> list[str]:
    """What FFmpeg says nothing of when it plays pictures that move: an end that is not there, times that are not."""
    kind = picture_format(file)
    if kind not in _ENDS or not moves(file, kind):
        return []
    said = ["its pictures have no times; 25 a second were assumed"] if kind == "JPEG" else []
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        whole = _ENDS[kind](data)
    return said if whole else [*said, "the file is cut off: its last pictures are not there"]


def _is_row_of_jpegs(file: Path) -> bool:
    """Whether a second JPEG of the same size follows the first: motion JPEG without a container.

    A second view, a gain map or a preview behind the first is announced in it (CIPA DC-007), or of another size.
    """
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        size, scan, views = _jpeg_head(data, 0)
        if views or not size:
            return False
        second = data.find(b"\xff\xd9\xff\xd8\xff", scan, scan + _FIRST) + 2
        return second > 2 and _jpeg_head(data, second)[0] == size


def _jpeg_head(data: Any, start: int) -> tuple[bytes, int, bool]:
    """Height and width as stored, where the picture begins, and whether more views are announced."""
    size, views, at = b"", False, start + 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _SIZES:
            size = data[at + 5 : at + 9]
        views = views or (marker == 0xE2 and data[at + 4 : at + 8] == b"MPF\0")
        if marker == _SCAN:
            break
        at += 2 + length if marker != 0xFF else 1
    return size, at, views


def _gif_ends(data: Any) -> bool:
    """Whether the blocks of a GIF (GIF89a specification, appendix B) go on to its trailer."""
    try:
        at = 13 + _colours(data[10])
        while data[at] != 0x3B:
            if data[at] == 0x2C:
                at += 11 + _colours(data[at + 9])
            elif data[at] == 0x21:
                at += 2
            else:
                return True  # all that was to be shown has been
            while data[at]:
                at += 1 + data[at]
            at += 1
    except IndexError:
        return False
    return True


def _colours(flags: int) -> int:
    """Bytes of a table of colours."""
    return 3 << (1 + (flags & 7)) if flags & 0x80 else 0


def _png_ends(data: Any) -> bool:
    at = 8
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IEND":
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return at + 8 <= len(data)


def _jpegs_end(data: Any) -> bool:
    return bytes(data[-1024:]).rstrip(b"\0\r\n").endswith(b"\xff\xd9")


#: Whether the last of several pictures is whole, by format.
_ENDS = {"GIF": _gif_ends, "PNG": _png_ends, "JPEG": _jpegs_end}


def _as_matroska(file: Path) -> BinaryIO:
    """An animated WebP as a film without loss, on white, in a temporary file that goes with its last reader."""
    film: Any = tempfile.TemporaryFile()  # noqa: SIM115
    with Image.open(file, formats=["WEBP"]) as picture, av.open(film, "w", format="matroska") as container:
        stream: Any = container.add_stream("ffv1", rate=1000)
        stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "bgr0"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.thread_type = "SLICE"  # a packet for a picture, at once
        last = -1
        for number in range(picture.n_frames):
            picture.seek(number)
            white = Image.new("RGBA", picture.size, "white")
            white.alpha_composite(picture.convert("RGBA"))
            frame = av.VideoFrame.from_ndarray(np.asarray(white.convert("RGB")), "rgb24")
            last = max(last + 1, int(picture.info["timestamp"]))
            frame.pts, frame.time_base = last, Fraction(1, 1000)
            for packet in stream.encode(frame):
                packet.duration = int(picture.info["duration"])
                container.mux(packet)
        container.mux(stream.encode(None))
    film.seek(0)
    return film  # type: ignore[no-any-return]
