"""Still pictures: what is one, and its pixels. Used only by ``media.py``."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from cv2.utils import logging

from multiemo.data.container import FAILURES, MAX_PIXELS, Pixels, av_open, fail
from multiemo.data.picture_track import on_white, pixel_aspect, to_rgb

#: Most bytes that a picture's file may have; two letters at its beginning make any large file look like one.
MAX_BYTES = 1_000_000_000
_STARTS = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF8",
    b"BM",
    b"II*\x00",
    b"MM\x00*",
    b"P5",
    b"P6",
    b"\xff\x0a",
    b"\x00\x00\x00\x0cJXL ",
    b"\x00\x00\x00\x0cjP  ",
)
_BRANDS = (b"avif", b"heic", b"heix", b"mif1")


def is_still(file: Path) -> bool:
    """Whether a file begins like a still picture, whatever its name says; a pipe or a device is none."""
    if not os.path.isfile(file):  # also false for a name that is too long
        return False
    try:
        with file.open("rb") as stream:
            head = stream.read(32)
    except OSError:
        return False
    if head[4:8] == b"ftyp":
        return head[8:12] in _BRANDS
    return head.startswith(_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def still_size(file: Path, where: str) -> tuple[int, int]:
    """Width and height that the header gives, without decoding the pixels.

    Raises:
        MediaError: no readable header, more pixels than :data:`~multiemo.data.container.MAX_PIXELS`, or more bytes than
            :data:`MAX_BYTES`.
    """
    limit = MAX_PIXELS // 1_000_000
    if (size := file.stat().st_size) > MAX_BYTES:
        reason = f"begins like a picture and has {size} bytes; a picture may have {MAX_BYTES}, so make it smaller"
        raise fail(where, file, reason)
    try:
        options = {"max_pixels": str(MAX_PIXELS)}
        with av_open(BytesIO(file.read_bytes()), options=options) as container:
            context = container.streams.video[0].codec_context
            width, height = int(context.width), int(context.height)
    except FAILURES as error:
        raise fail(where, file, f"is not a readable picture ({error}); open it to check, then save it again") from None
    if not width * height:  # where FFmpeg refuses to decode it
        reason = f"is a picture that is damaged or has over {limit} million pixels; open it to check, save it smaller"
        raise fail(where, file, reason)
    if width * height > MAX_PIXELS:
        raise fail(where, file, f"is {width}x{height} pixels; at most {limit} million are read, so make it smaller")
    return width, height


def read_still(file: Path, max_side: int | None, where: str) -> Pixels:
    """The picture upright (EXIF), as ``[H, W, 3]`` uint8 RGB, transparent parts white.

    Args:
        file: of any format that OpenCV or FFmpeg reads; of an animation, the first frame.
        max_side: longest side, pixels; larger pictures are shrunk.
        where: the clip, for messages.

    Raises:
        MediaError: not readable, cut off, or too large.
    """
    longest = max(still_size(file, where))
    data = np.fromfile(file, dtype=np.uint8)
    loud = logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # what it would write to standard error is said below
    try:
        # libpng, which OpenCV asks, writes what it thinks of a damaged file to standard error; FFmpeg gives the same.
        picture = None if data[:4].tobytes() == b"\x89PNG" else _by_opencv(data, longest, max_side)
    except cv2.error:
        picture = None
    finally:
        logging.setLogLevel(loud)
    if picture is None:
        picture = _by_ffmpeg(file, where)
    height, width = picture.shape[:2]
    if max_side and max(height, width) > max_side:
        shrink = max_side / max(height, width)
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(picture, dtype=np.uint8)


def _by_opencv(data: Pixels, longest: int, max_side: int | None) -> Pixels | None:
    if data[:2].tobytes() != b"\xff\xd8":
        picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if picture is not None and picture.ndim == 3 and picture.shape[2] == 4:
            if picture.dtype != np.uint8:
                picture = cv2.convertScaleAbs(picture, alpha=255 / np.iinfo(picture.dtype).max)
            return on_white(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA, dst=picture))
        return None if picture is None else cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    flag = cv2.IMREAD_COLOR_RGB
    for factor, reduced in ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4)):
        # JPEG decodes at a fraction of its size for a fraction of the work.
        if max_side and longest // factor >= max_side:
            picture = cv2.imdecode(data, reduced)
            return None if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return cv2.imdecode(data, flag)


def _by_ffmpeg(file: Path, where: str) -> Pixels:
    try:
        with av_open(str(file.absolute())) as container:
            for frame in container.decode(video=0):
                return to_rgb(frame, pixel_aspect(container.streams.video[0]), None)
    except FAILURES as error:
        raise fail(where, file, f"cannot be decoded ({error}); open it to check, then save it again") from None
    raise fail(where, file, "cannot be decoded; open it to check, then save it again")
