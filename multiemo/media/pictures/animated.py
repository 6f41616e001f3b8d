"""Recognise picture formats, and animated pictures, which are read as video with their own frame times.

Only animated WebP is decoded here: FFmpeg cannot play it, so it is converted without loss to a format that it can.
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

from multiemo.media.limits import too_large, too_much
from multiemo.media.pictures.heif_boxes import find_items

#: Maximum size of a picture file, bytes. The short signatures also match other large files by chance.
MAX_BYTES = 1_000_000_000
#: Signatures of picture formats, regular expressions.
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
#: Formats that may be animated, as Pillow detects, and FFmpeg's formats for them. In other formats further pictures are
#: pages, sizes or views.
_ANIMATIONS = {"GIF": "gif", "PNG": "apng", "WEBP": "matroska"}
#: Major brands of HEIF files that are primarily still pictures, even if they contain a video as well.
_STILL_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif", b"avci", b"jpeg"}
#: JPEG markers: start of scan, and start of frame, which has the size (ITU-T T.81, B.1.1).
_SCAN_MARKER, _SIZE_MARKERS = 0xDA, {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}

#: Number of bytes of a first JPEG that are searched for the beginning of a second one.
_SEARCHED_BYTES = 1 << 26

# Pillow warns about damage on standard error. Such a file is either read, or refused with the reason.
warnings.filterwarnings("ignore", module=r"PIL\.")


def picture_format(file: Path) -> str | None:
    """Return the picture format by the first bytes of a file: ``JPEG``, ``PNG``, ..., ``HEIF``; ``None`` if none."""
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


def is_animated(file: Path, kind: str) -> bool:
    """Whether a picture file holds several pictures to be shown one after the other.

    Args:
        file: path of a picture file.
        kind: its format, from :func:`picture_format`.
    """
    try:
        if kind == "HEIF":
            with file.open("rb") as stream:
                brand = stream.read(12)[8:]
                stream.seek(0)
                return brand not in _STILL_BRANDS and find_items(stream)[1]
        if kind == "JPEG":
            return _is_jpeg_sequence(file)
        if kind in _ANIMATIONS and (kind != "WEBP" or file.stat().st_size <= MAX_BYTES):  # Pillow loads all of it
            with Image.open(file, formats=[kind]) as picture:
                return bool(getattr(picture, "is_animated", False))
    except Exception:  # Pillow raises anything; damage is reported when the file is read
        pass
    return False


def ffmpeg_source(file: Path) -> tuple[Any, str | None]:
    """Return the path or file object that FFmpeg opens for a file, and the format if FFmpeg would guess it wrongly.

    Raises:
        ValueError: the file is a damaged animated WebP.
    """
    kind = picture_format(file)
    if kind is None or not is_animated(file, kind):
        return str(file.absolute()), None
    if kind == "WEBP":
        try:
            return _as_matroska(file), _ANIMATIONS[kind]
        except Exception as error:  # of Pillow's many kinds
            raise ValueError(f"its pictures cannot be decoded: {error}") from None
    return str(file.absolute()), {**_ANIMATIONS, "JPEG": "mjpeg"}.get(kind)


def animation_problems(file: Path) -> list[str]:
    """Return the problems of an animated picture that FFmpeg does not report: a missing end or missing times."""
    kind = picture_format(file)
    if kind not in _IS_COMPLETE or not is_animated(file, kind):
        return []
    problems = ["its pictures have no times; 25 per second were assumed"] if kind == "JPEG" else []
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        complete = _IS_COMPLETE[kind](data)
    return problems if complete else [*problems, "the file is cut off: its last pictures are missing"]


def _is_jpeg_sequence(file: Path) -> bool:
    """Whether a second JPEG of the same size follows the first: motion JPEG without a container.

    A second view, a gain map or a preview is either announced in the first picture (CIPA DC-007) or of another size.
    """
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        size, scan, views = _jpeg_head(data, 0)
        if views or not size:
            return False
        second = data.find(b"\xff\xd9\xff\xd8\xff", scan, scan + _SEARCHED_BYTES) + 2
        return second > 2 and _jpeg_head(data, second)[0] == size


def _jpeg_head(data: Any, start: int) -> tuple[bytes, int, bool]:
    """Return height and width as stored bytes, the offset of the scan, and whether more views are announced."""
    size, views, at = b"", False, start + 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _SIZE_MARKERS:
            size = data[at + 5 : at + 9]
        views = views or (marker == 0xE2 and data[at + 4 : at + 8] == b"MPF\0")
        if marker == _SCAN_MARKER:
            break
        at += 2 + length if marker != 0xFF else 1
    return size, at, views


def _gif_is_complete(data: Any) -> bool:
    """Whether the blocks of a GIF (GIF89a specification, appendix B) continue to its trailer."""
    try:
        at = 13 + _colour_table_bytes(data[10])
        while data[at] != 0x3B:
            if data[at] == 0x2C:
                at += 11 + _colour_table_bytes(data[at + 9])
            elif data[at] == 0x21:
                at += 2
            else:
                return True  # an unknown block: all pictures come before it
            while data[at]:
                at += 1 + data[at]
            at += 1
    except IndexError:
        return False
    return True


def _colour_table_bytes(flags: int) -> int:
    """Return the size of a GIF colour table, bytes."""
    return 3 << (1 + (flags & 7)) if flags & 0x80 else 0


def _png_is_complete(data: Any) -> bool:
    at = 8
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IEND":
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return at + 8 <= len(data)


def _jpegs_are_complete(data: Any) -> bool:
    return bytes(data[-1024:]).rstrip(b"\0\r\n").endswith(b"\xff\xd9")


#: Check that the last picture of an animation is complete, by format.
_IS_COMPLETE = {"GIF": _gif_is_complete, "PNG": _png_is_complete, "JPEG": _jpegs_are_complete}


def _as_matroska(file: Path) -> BinaryIO:
    """Convert an animated WebP to lossless video on white, in a temporary file that is deleted when it is closed."""
    film: Any = tempfile.TemporaryFile()  # noqa: SIM115
    with Image.open(file, formats=["WEBP"]) as picture, av.open(film, "w", format="matroska") as container:
        size = picture.n_frames * picture.width * picture.height * 3
        if reason := too_large(*picture.size) or too_much(size, f"its {picture.n_frames} pictures"):
            raise ValueError(reason)
        stream: Any = container.add_stream("ffv1", rate=1000)
        stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "bgr0"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.thread_type = "SLICE"  # one packet per picture, without delay
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
