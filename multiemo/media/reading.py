"""The only place that decodes: a file and a span in, mono audio and timed RGB frames out.

PyAV does the work (its wheels carry FFmpeg). One pass over the file serves sound and pictures; only what is asked for
is decoded. Whatever is wrong with a file becomes a :class:`~multiemo.errors.MediaError`, or a line in ``problems``
when part of it could be used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from multiemo.media.container import fail
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
    """Whether the file is a still picture, by its first bytes; false if it cannot be opened."""
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

    Frames are the first at or after each wanted time, by their own timestamps, so variable frame rates come out
    right; where the file has fewer frames than wanted, each is given once.

    Args:
        path: any audio, video or image file.
        start, end: the span, seconds from the file's beginning; the whole file by default.
        rate: wanted sample rate, Hz; ``None`` leaves the audio out.
        fps: wanted frames a second; ``None`` leaves the pictures out.
        max_frames: where ``fps`` would give more, this many are spread evenly over the span.
        max_side: longer side of the frames, pixels; larger ones are shrunk.
        channel: of the audio, from 0; ``None`` is their mean.
        track: of several with sound, from 1; ``None``: the one on which somebody speaks.
        where: the clip's name, for messages.

    Raises:
        MediaError: nothing could be decoded: no such file, not media, a span outside the file, ...
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
        window: length of a window, seconds; the last may be shorter.
        hop: seconds from one window's start to the next; ``window`` by default.
        max_frames: most frames a window, thinned evenly.
        path, start, end, rate, fps, max_side, channel, track, where: as in :func:`read_media`.

    Returns:
        An iterator over windows; ``offset`` says where each starts. What is wrong with the file as a whole stands in
        the ``problems`` of the last one.

    Raises:
        MediaError: as in :func:`read_media`; at the call for what can be seen at once.
    """
    hop = window if hop is None else hop
    if not (window > 0 and hop > 0 and math.isfinite(window) and math.isfinite(hop)):
        raise fail(where, path, f"window ({window}) and hop ({hop}) must be positive seconds")
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
    total = reader.settle()
    while number == 0 or (number * hop < total and (number - 1) * hop + window < total - 1e-6):
        low, number = number * hop, number + 1
        media = reader.cut(low, min(low + window, total), max_frames)
        last = number * hop >= total or low + window >= total - 1e-6
        media.problems = list(reader.problems) if last else []
        yield media
