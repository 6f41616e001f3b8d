"""Recognise and read still pictures."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from multiemo.arrays import Pixels
from multiemo.errors import MediaError
from multiemo.media.container import av_open, media_error
from multiemo.media.limits import current_limits, too_large
from multiemo.media.picture_track import on_white, pixel_aspect, to_rgb
from multiemo.media.pictures.animated import MAX_BYTES, is_animated, picture_format
from multiemo.media.pictures.heif import read_heif
from multiemo.media.pictures.orientation import Orientation

#: Formats that are read with Pillow. The others are read with FFmpeg.
_PILLOW = {
    "JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "ICO", "ICNS", "PSD", "QOI", "SGI", "SUN", "DDS",
    "PCX",
}  # fmt: skip
#: EXIF tag of the orientation.
_ORIENTATION = 0x0112


def is_still(file: Path) -> bool:
    """Whether a file is a still picture by its content, whatever its name. False for a pipe or a device.

    An animated GIF, PNG, WebP or AVIF and a sequence of JPEGs are videos. A file of one picture or of pages is a still.
    """
    kind = picture_format(file)
    return kind is not None and not is_animated(file, kind)


def read_still(file: Path, max_side: int | None, where: str) -> tuple[Pixels, list[str]]:
    """Read a still picture.

    Args:
        file: a picture in HEIF, AVIF or any format that Pillow or FFmpeg reads. Of several pages the first is read.
        max_side: maximum length of the longer side, pixels; larger pictures are shrunk. ``None`` keeps the size.
        where: name of the clip, for messages.

    Returns:
        The picture, ``[H, W, 3]`` uint8 RGB, upright, on a white background; and notes for the user.

    Raises:
        MediaError: the picture cannot be read, is cut off, or is too large.
    """
    kind = picture_format(file) or "unknown"
    if (size := file.stat().st_size) > MAX_BYTES:
        reason = f"begins like a picture and has {size} bytes; a picture may have {MAX_BYTES}, so make it smaller"
        raise media_error(where, file, reason)
    try:
        if kind == "HEIF":
            picture, pages = read_heif(file), 1
        elif kind in _PILLOW:
            picture, pages = _by_pillow(file, kind, max_side, where)
        else:
            picture, pages = _by_ffmpeg(file, kind, where), 1
    except MediaError:
        raise
    except Exception as error:  # damage makes Pillow raise nearly anything
        detail = " ".join(str(error).split()) or type(error).__name__
        reason = f"is a picture ({kind}) that is cut off or damaged, or that cannot be decoded here ({detail})"
        raise media_error(where, file, f"{reason}; copy it again, or save it as PNG or JPEG") from None
    height, width = picture.shape[:2]
    if max_side and max(height, width) > max_side:
        shrink = max_side / max(height, width)
        smaller = max(1, round(width * shrink)), max(1, round(height * shrink))
        picture = np.asarray(cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA), np.uint8)
    return picture, [f"it has {pages} pages; the first was read"] if pages > 1 else []


def _by_pillow(file: Path, kind: str, max_side: int | None, where: str) -> tuple[Pixels, int]:
    """Return the picture, at least ``max_side`` long, and the number of pages of the file."""
    try:
        picture = Image.open(file, formats=[kind])
    except Exception:  # a variant that Pillow does not know, or more pixels than its own limit
        if kind == "WEBP":  # FFmpeg would read it incompletely
            raise
        return _by_ffmpeg(file, kind, where), 1
    with picture:
        _check_size(*picture.size, file, where)
        pages = getattr(picture, "n_frames", 1) if kind == "TIFF" else 1
        if max_side:
            # A JPEG decodes at a fraction of its size for a fraction of the work.
            shrink = max(1.0, max(picture.size) / max_side)
            picture.draft("RGB", (int(picture.width / shrink), int(picture.height / shrink)))
        picture.load()
        orientation = Orientation.of_exif(picture.getexif().get(_ORIENTATION))
        return orientation.upright(_rgb(picture)), pages


def _rgb(picture: Image.Image) -> Pixels:
    if picture.mode[0] in "IF":  # Pillow would clip these
        values = np.asarray(picture)
        if picture.mode == "F" or not 0 <= values.min() <= values.max() < 1 << 16:
            raise ValueError("its pixels are measured values, not grey levels or colours")
        return np.repeat((values // 256).astype(np.uint8)[..., None], 3, axis=2)
    if picture.has_transparency_data:
        return on_white(_pixels(picture, "RGBA"))
    return _pixels(picture, "RGB")


def _pixels(picture: Image.Image, mode: str) -> Pixels:
    """Convert in strips, which is four times as fast in Pillow as converting a large picture at once."""
    converted = picture if picture.mode == mode else picture.convert(mode)
    pixels = np.empty((picture.height, picture.width, len(mode)), np.uint8)
    for row in range(0, picture.height, 64):
        strip = converted.crop((0, row, picture.width, min(picture.height, row + 64)))
        pixels[row : row + 64] = np.asarray(strip)
    return pixels


def _by_ffmpeg(file: Path, kind: str, where: str) -> Pixels:
    options = {"max_pixels": str(current_limits().pixels)}
    with av_open(BytesIO(file.read_bytes()), options=options) as container:
        stream = container.streams.video[0]
        if stream.codec_context is None:
            reason = f"is a picture of a format that cannot be decoded here ({kind}); save it as PNG or JPEG"
            raise media_error(where, file, reason)
        _check_size(stream.codec_context.width, stream.codec_context.height, file, where)
        for frame in container.decode(video=0):
            if frame.is_corrupt:
                raise ValueError("part of it cannot be decoded")
            return to_rgb(frame, Orientation.of_frame(frame), pixel_aspect(stream), None)
    raise ValueError("it has no picture")


def _check_size(width: int, height: int, file: Path, where: str) -> None:
    if reason := too_large(width, height):
        raise media_error(where, file, f"is {reason}")
    if not width * height:  # FFmpeg refuses to decode it
        limit = current_limits().megapixels
        reason = f"is a picture that is damaged or has over {limit:g} million pixels; open it to check, save it smaller"
        raise media_error(where, file, reason)
