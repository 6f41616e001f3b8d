"""Decode one video track: packets in, timed frames out; and convert a frame to upright RGB."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from multiemo.arrays import Pixels
from multiemo.media.container import FAILURES, frame_rate, time_of
from multiemo.media.limits import VARIABLE, current_limits
from multiemo.media.pictures.orientation import Orientation

#: FFmpeg's scalers, one per thread.
_scalers = threading.local()


@dataclass(slots=True)
class Picture:
    """A decoded frame that is not converted yet.

    Args:
        time: presentation time, seconds from the file's beginning.
        frame: PyAV frame.
        orientation: how the stored picture becomes upright.
    """

    time: float
    frame: Any
    orientation: Orientation


class VideoTrack:
    """Decodes one video stream to frames with the file's presentation times.

    Args:
        stream: PyAV video stream.
        origin: value of the file's clock at its beginning, seconds.
        step: seconds between requested frames. If it is long, the decoder skips frames that are no reference for
            others. It skips no further frames, since P frames may be predicted from earlier B frames.
    """

    def __init__(self, stream: Any, origin: float, step: float) -> None:
        self.stream, self.origin = stream, origin
        self.time = -math.inf
        self.errors = 0
        self.period = 1.0 / (frame_rate(stream) or 25.0)
        self.step = step
        self._tick = float(stream.time_base or 0)
        self._stamps: deque[int] = deque(maxlen=8)
        self._rotation: float | None = None
        self._orientation = Orientation()
        stream.thread_type = "AUTO"
        limits = current_limits()
        self._remaining, self._limit = limits.frames, limits.frames
        stream.codec_context.options = {"max_pixels": str(limits.pixels)}

    def decode(self, packet: Any) -> Iterator[Picture]:
        """Decode a packet to frames. ``None`` flushes the decoder at the end of the file.

        Raises:
            ValueError: the limit of pictures is exceeded.
        """
        if self._remaining < 0:
            return
        if packet is not None:
            self._skip(packet)
        try:
            frames = self.stream.codec_context.decode(packet)
        except FAILURES:
            self.errors += 1
            return
        self._remaining -= len(frames)
        if self._remaining < 0:
            raise ValueError(f"it has more than {self._limit:.0f} pictures; raise the limit frames ({VARIABLE})")
        for frame in frames:
            time = time_of(frame, self._tick, self.origin)
            if time is not None:
                self.time = time
            else:
                self.time = 0.0 if math.isinf(self.time) else self.time + self.period
            yield Picture(self.time, frame, self._oriented(frame))

    def _oriented(self, frame: Any) -> Orientation:
        """The orientation of a frame: that of the frame before it, unless the rotation changes.

        Only the side data say whether a picture is mirrored. A PyAV frame whose side data are read is part of a
        reference cycle, which keeps its pixels until Python's next full garbage collection; with every frame of a film
        that would be gigabytes.
        """
        if frame.rotation != self._rotation:
            self._rotation, self._orientation = frame.rotation, Orientation.of_frame(frame)
        return self._orientation

    def _skip(self, packet: Any) -> None:
        """Skip non-reference frames while the frames of the stream are denser than requested.

        The density is that of the latest packets, in which a variable frame rate shows as a wide gap.
        """
        if packet.pts is None:
            return
        self._stamps.append(packet.pts)
        stamps = sorted(self._stamps)
        gap = max((b - a for a, b in pairwise(stamps)), default=math.inf)
        fast = len(stamps) > 2 and gap * self._tick <= 0.75 * self.step
        self.stream.codec_context.skip_frame = "NONREF" if fast else "DEFAULT"


def pixel_aspect(stream: Any) -> float:
    """Return the width of a stored pixel over its height; 1 if the file has no plausible value."""
    aspect = float(getattr(stream, "sample_aspect_ratio", None) or Fraction(1))
    return aspect if 0.1 < aspect < 10 else 1.0


def convert_frame(frame: Any, width: int, height: int, pixels: str) -> Pixels:
    """Scale a frame and convert it to a pixel format.

    The scaler runs in the calling thread. Threads of its own would not exist in a forked process, which would wait for
    them for ever.

    Args:
        frame: PyAV frame. Its ``reformat`` method is not used, because the state that it shares with other frames does
            not survive a fork.
        width: of the result, pixels.
        height: of the result, pixels.
        pixels: FFmpeg pixel format, such as ``rgb24``.

    Returns:
        ``[height, width]`` or ``[height, width, C]`` uint8.
    """
    scaler = getattr(_scalers, "one", None)
    if scaler is None:
        scaler = _scalers.one = VideoReformatter()
    made = scaler.reformat(frame, width=width, height=height, format=pixels, threads=1)
    return np.asarray(made.to_ndarray(), dtype=np.uint8)


def to_rgb(frame: Any, orientation: Orientation, aspect: float, max_side: int | None) -> Pixels:
    """Convert a frame to upright RGB with square pixels, on a white background.

    Args:
        frame: PyAV frame; may outlive its container.
        orientation: how the stored picture becomes upright.
        aspect: aspect ratio of the stored pixels, from :func:`pixel_aspect`.
        max_side: maximum length of the longer side, pixels; ``None`` keeps the size.

    Returns:
        ``[H, W, 3]`` uint8 RGB.
    """
    width, height = frame.width * aspect, float(frame.height)
    shrink = min(1.0, max_side / max(width, height)) if max_side else 1.0
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    picture = (
        on_white(convert_frame(frame, *size, "rgba")) if has_alpha(frame) else convert_frame(frame, *size, "rgb24")
    )
    return orientation.upright(picture)


def fit_picture(picture: Pixels, height: int, width: int) -> Pixels:
    """Scale a picture to fit a size, centred and with black borders.

    Args:
        picture: ``[H, W, 3]`` uint8.
        height: of the result, pixels.
        width: of the result, pixels.

    Returns:
        ``[height, width, 3]`` uint8.
    """
    if picture.shape[:2] == (height, width):
        return picture
    scale = min(height / picture.shape[0], width / picture.shape[1])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=method)
    return canvas


def has_alpha(frame: Any) -> bool:
    """Whether a frame has an alpha channel."""
    return any(c.is_alpha for c in frame.format.components)


def on_white(rgba: Pixels) -> Pixels:
    """Composite an RGBA picture, ``[H, W, 4]``, on white: ``[H, W, 3]``.

    Example:
        >>> on_white(np.array([[[0, 0, 0, 0], [9, 9, 9, 255]]], dtype=np.uint8)).tolist()
        [[[255, 255, 255], [9, 9, 9]]]
    """
    picture = np.ascontiguousarray(rgba[..., :3])
    if rgba[..., 3].min(initial=255) < 255:
        for row in range(0, len(rgba), 64):  # in strips, to bound the memory
            alpha = rgba[row : row + 64, :, 3:].astype(np.uint16)
            picture[row : row + 64] = (picture[row : row + 64] * alpha + 255 * (255 - alpha) + 127) // 255
    return picture
