"""Decode media: a file and a span in, mono audio and timed RGB frames out.

PyAV does the work (its wheels include FFmpeg). One pass over the file serves audio and pictures, and only requested
tracks are decoded. An unusable file raises :class:`~multiemo.errors.MediaError`. A partly usable one adds a line to
``problems``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from multiemo.media.container import media_error
from multiemo.media.pictures.stills import is_still
from multiemo.media.playback import Playback, PlayedFrame, PlayedSound
from multiemo.media.probe import Info, probe
from multiemo.media.span import Media, SpanReader
from multiemo.media.tracks import SoundTrack, sound_tracks

__all__ = [
    "Info",
    "Media",
    "Playback",
    "PlayedFrame",
    "PlayedSound",
    "SoundTrack",
    "is_image",
    "iter_media",
    "probe",
    "read_media",
    "sound_tracks",
]


def is_image(path: str | Path) -> bool:
    """Whether the file is a still picture, by its first bytes. False if it cannot be opened."""
    return is_still(Path(path))


def read_media(
    path: str | Path,
    *,
    start: float | None = None,
    end: float | None = None,
    rate: int | None = None,
    fps: float | None = None,
    max_frames: int | None = None,
    max_side: int | None = None,
    channel: int | None = None,
    track: int | None = None,
    where: str = "",
) -> Media:
    """Decode one span of a file.

    For each requested time the first frame at or after it is taken, by its timestamp, so variable frame rates are
    handled correctly. If the file has fewer frames than requested, each is returned once.

    Args:
        path: any audio, video or image file.
        start: start of the span, seconds from the file's beginning; 0 by default.
        end: end of the span, seconds from the file's beginning; the end of the file by default.
        rate: sample rate of the output, Hz; ``None`` omits the audio.
        fps: frames per second of the output; ``None`` omits the pictures.
        max_frames: maximum number of frames, spread evenly over the span if ``fps`` would give more.
        max_side: maximum length of the longer side of a frame, pixels. Larger frames are shrunk.
        channel: audio channel, from 0; ``None`` mixes all channels.
        track: number of the audio track, from 1; ``None`` selects one with speech.
        where: name of the clip, for messages.

    Raises:
        MediaError: nothing could be decoded: a missing file, not media, a span outside the file, ...
    """
    reader = SpanReader(path, start, end, rate, fps, max_frames, max_side, channel, track, where)
    if reader.still:
        return reader.read_still()
    with reader.run:
        for piece in reader.run:
            reader.take(piece)
    return reader.finish()


def iter_media(
    path: str | Path,
    *,
    window: float,
    hop: float | None = None,
    start: float | None = None,
    end: float | None = None,
    rate: int | None = None,
    fps: float | None = None,
    max_frames: int | None = None,
    max_side: int | None = None,
    channel: int | None = None,
    track: int | None = None,
    where: str = "",
) -> Iterator[Media]:
    """Decode a file of any length as consecutive windows, in one pass and bounded memory.

    Args:
        path: as in :func:`read_media`, like ``start``, ``end``, ``rate``, ``fps``, ``max_side``, ``channel``,
            ``track`` and ``where``.
        window: length of a window, seconds. The last may be shorter.
        hop: seconds from the start of one window to the start of the next; ``window`` by default.
        max_frames: maximum number of frames per window, spread evenly.

    Returns:
        An iterator over windows. ``offset`` is the start of each. Problems of the whole file are in ``problems`` of the
        last window.

    Raises:
        MediaError: as in :func:`read_media`. A file that cannot be opened raises at the call.
    """
    hop = window if hop is None else hop
    if not (window > 0 and hop > 0 and math.isfinite(window) and math.isfinite(hop)):
        raise media_error(where, path, f"window ({window}) and hop ({hop}) must be positive seconds")
    reader = SpanReader(path, start, end, rate, fps, None, max_side, channel, track, where)
    return _windows(reader, window, hop, max_frames)


def _windows(reader: SpanReader, window: float, hop: float, max_frames: int | None) -> Iterator[Media]:
    if reader.still:
        yield reader.read_still()
        return
    number = 0
    with reader.run:
        for piece in reader.run:
            reader.take(piece)
            while reader.passed(number * hop + window):
                yield reader.cut(number * hop, number * hop + window, max_frames)
                number += 1
                reader.drop(number * hop)
    total = reader.conclude()
    while number == 0 or (number * hop < total and (number - 1) * hop + window < total - 1e-6):
        low, number = number * hop, number + 1
        media = reader.cut(low, min(low + window, total), max_frames)
        last = number * hop >= total or low + window >= total - 1e-6
        media.problems = list(reader.problems) if last else []
        yield media
