"""Open media files as FFmpeg containers, and read their tracks and headers.

Times count from the beginning of the file, whatever its own clock says (MPEG-TS may start at any time).
"""

from __future__ import annotations

import gc
import os
import re
import stat
from pathlib import Path
from typing import Any

import av
import av.logging

from multiemo.errors import MediaError
from multiemo.media.endings import CAPTIONS
from multiemo.media.limits import current_limits, too_big
from multiemo.media.pictures.animated import ffmpeg_source

# FFmpeg's decoders and filters join their threads when they are freed, but a forked child has none of these threads.
# Objects that the parent has not collected yet must therefore never be collected in the child.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=gc.freeze, after_in_parent=gc.unfreeze)


#: Lowest and highest plausible sample rate, Hz. Below, a short file would become hours of audio; above, the resampling
#: filter would need gigabytes.
SAMPLE_RATES = (1000, 1_000_000)
#: Timeout for opening a file or reading one packet, seconds. In a damaged file FFmpeg may search for the next packet up
#: to the end of the file; a slow disk does not take this long.
READ_TIMEOUT = 60.0
#: Audio timestamps may differ from the sample count by this many seconds before they are taken for a gap.
GAP_TOLERANCE = 0.05
#: One track may lag this many seconds behind the other in the file. A longer lag means that it has ended.
TRACK_LAG = 10.0
#: A file that ends more than this many seconds before the end in its header is reported as cut off.
END_TOLERANCE = 0.5
#: Seeking lands this many seconds early, so that codecs with memory (Opus, MP3) have settled at the start.
PREROLL = 0.5
#: A frame up to this many seconds before a requested time counts as on time: containers round to milliseconds.
TIME_TOLERANCE = 0.002
#: Exceptions that PyAV is known to raise for media that it cannot read.
FAILURES = (av.FFmpegError, ValueError, RuntimeError, OSError, LookupError)
#: Control characters that may occur in text.
_TEXT = frozenset(b"\t\n\f\r\x1b")
#: Types of the tracks that a file lasts as long as.
PLAYED_TRACKS = ("audio", "video")
#: Types of the tracks that may end long after the sound and the pictures.
_TEXT_TRACKS = ("subtitle", "data")
#: Containers whose header has the true duration. For others (raw MP3, AAC, ...) it is an estimate.
_EXACT = {"mov", "mp4", "matroska", "webm", "avi", "wav", "flac"}
#: Containers whose header has the end on the file's clock (FFmpeg's muxer) or the length (mkvmerge).
_MATROSKA = {"matroska", "webm"}
#: A duration in a Matroska tag: hours, minutes and seconds.
_TAGGED_DURATION = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
#: A URL, also after :class:`~pathlib.Path` has merged its slashes.
_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/+")
#: Lets PyAV before 19 open a file whose tags are not UTF-8. Later versions always do and lack this argument.
_ANY_TAGS = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def media_error(where: str, path: object, reason: str) -> MediaError:
    """Create a one-line :class:`MediaError`.

    Args:
        where: name of the clip; empty if there is none.
        path: the file.
        reason: what is wrong and what to do.
    """
    line = f"{where}: {path}: {reason}" if where else f"{path}: {reason}"
    return MediaError("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line))


def check_path(path: str | Path, where: str) -> Path:
    """Return the path if it is a readable file that is not empty.

    Args:
        path: any path.
        where: name of the clip, for messages.

    Raises:
        MediaError: a URL, a folder, a device or pipe, a missing or empty file, one without read permission, or one that
            is larger than the limit.
    """
    file = Path(path)
    try:
        found = file.stat()
    except (OSError, ValueError) as error:
        if _URL.match(str(path)):
            url = _URL.sub(r"\1://", str(path))
            raise media_error(
                where, url, "is a URL; only files on this machine are read, so download it first"
            ) from None
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be opened ({error})"
        raise media_error(where, path, f"{reason}; check the path") from None
    if stat.S_ISDIR(found.st_mode):
        raise media_error(where, path, "is a folder; name a media file")
    if not stat.S_ISREG(found.st_mode):
        raise media_error(where, path, "is a device or a pipe, which may never end; record it to a file first")
    if found.st_size == 0:
        raise media_error(where, path, "is empty (0 bytes); copy or record it again")
    if size := too_big(found.st_size):
        raise media_error(where, path, size)
    if not os.access(file, os.R_OK):
        raise media_error(where, path, "you have no permission to read it; change its permissions")
    return file


def av_open(source: Any, **how: Any) -> Any:
    """Open a source with ``av.open`` for reading, in any version of PyAV and with tags in any encoding.

    PyAV's logging is switched off, as it is by default, because some packages switch it on (torchvision 0.24 does).
    FFmpeg's threads need the interpreter lock to log, and a thread that frees a decoder holds this lock while it waits
    for them, which is a deadlock.

    Args:
        source: path or binary file.
        **how: further arguments of ``av.open``.
    """
    av.logging.set_level(None)
    return av.open(source, **_ANY_TAGS, **how)


def tag_of(stream: Any, name: str) -> str:
    """Return a stream's tag, or an empty string. Bytes that are not UTF-8 become U+FFFD."""
    return str(stream.metadata.get(name, "")).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def open_container(file: Path, where: str) -> Any:
    """Open a file as a PyAV container that cannot read any other file or address.

    Args:
        file: path of a media file.
        where: name of the clip, for messages.

    Raises:
        MediaError: not a media file, or its header is missing.
    """
    if _begins_as_text(file):
        other = "put it beside the media file that it belongs to" if file.suffix.lower() in CAPTIONS else "name another"
        raise media_error(where, file, f"is not a media file but text or a playlist; {other}")
    options = {"protocol_whitelist": "file", "max_pixels": str(current_limits().pixels)}
    try:
        source, form = ffmpeg_source(file)
        container = av_open(source, format=form, options=options, timeout=READ_TIMEOUT)
    except FAILURES as error:
        if isinstance(error, av.PatchWelcomeError):
            raise media_error(
                where, file, f"cannot be read: {describe_error(error)}; convert it to another format"
            ) from None
        reason = f"is not a media file, or its header is cut off ({describe_error(error)}); convert it or copy it again"
        raise media_error(where, file, reason) from None
    if not container.streams:
        container.close()
        raise media_error(where, file, "is not a media file: it has no tracks; name an audio, video or image file")
    return container


def describe_error(error: BaseException) -> str:
    """Return the meaning of an error of PyAV or FFmpeg in the user's terms."""
    if isinstance(error, av.PatchWelcomeError):
        return "it uses a variant of its format that FFmpeg does not know"
    if isinstance(error, av.ExitError):
        return f"a packet took more than {READ_TIMEOUT:.0f} s"
    if isinstance(error, LookupError) and not isinstance(error, av.FFmpegError):
        return "its tracks are not as its header says"
    return str(getattr(error, "strerror", None) or error)


def _begins_as_text(file: Path) -> bool:
    """Whether a file is text, which FFmpeg would render as video or, as a playlist, follow to other files."""
    try:
        with file.open("rb") as stream:
            head = stream.read(1024)
    except OSError:
        return False
    return is_text(head) and not head.startswith(b"YUV4MPEG2")


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a text."""
    return all(byte >= 32 or byte in _TEXT for byte in head)


def video_stream(container: Any) -> Any | None:
    """Return the main video stream, or ``None``. Cover art is not video."""
    streams = [s for s in container.streams.video if s.codec_context is not None and not _is_cover(s)]
    best = container.streams.best("video") if streams else None
    return best if best in streams else (streams[0] if streams else None)


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def origin_of(container: Any) -> float:
    """Return the value of the file's clock at its beginning, seconds. Priming delays (-0.1 to 0) count as 0."""
    start = (container.start_time or 0) / av.time_base
    return 0.0 if -0.1 < start < 0 else float(start)


def header_end(container: Any, origin: float) -> float | None:
    """Return the end of the file according to its header, seconds from its beginning; ``None`` if it has none.

    In a file with subtitles or data it is the end of the sound and the pictures, if the header has that of each track.

    Args:
        container: open PyAV container.
        origin: value of the file's clock at its beginning, seconds.
    """
    ends = _played_ends(container)
    if container.duration and container.duration > 0 and (None in ends or not _has_text(container)):
        length = float(container.duration / av.time_base)
        if _names(container) & _MATROSKA and length > origin:
            length -= origin  # less than the length in a file by mkvmerge, so that neither seems to be cut off
        return length
    return max((end - origin for end in ends if end is not None), default=None)


def exact_header(container: Any) -> bool:
    """Whether :func:`header_end` is reliable: by the container format, and not the end of a caption."""
    return bool(_names(container) & _EXACT) and not (_has_text(container) and None in _played_ends(container))


def _has_text(container: Any) -> bool:
    return any(stream.type in _TEXT_TRACKS for stream in container.streams)


def _played_ends(container: Any) -> list[float | None]:
    """Return the end of each audio and video track on the file's clock, seconds; ``None`` if the header lacks it."""
    return [_track_end(s) for s in container.streams if s.type in PLAYED_TRACKS and not _is_cover(s)] or [None]


def _track_end(stream: Any) -> float | None:
    if stream.duration and stream.duration > 0 and stream.time_base:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    tags = (tag_of(stream, name) for name in stream.metadata if name.partition("-")[0] == "DURATION")
    found = next((match for tag in tags if (match := _TAGGED_DURATION.match(tag))), None)
    return None if found is None else 3600 * float(found[1]) + 60 * float(found[2]) + float(found[3])


def _names(container: Any) -> set[str]:
    return set(container.format.name.split(","))


def time_of(frame: Any, tick: float, origin: float) -> float | None:
    """Return the presentation time of a frame, seconds from the file's beginning; ``None`` without a timestamp.

    Args:
        frame: PyAV frame.
        tick: time base of its stream, seconds.
        origin: value of the file's clock at its beginning, seconds.
    """
    return None if frame.pts is None else frame.pts * tick - origin


def frame_rate(stream: Any) -> float | None:
    """Return the average frames per second of a video stream, or ``None`` if unknown."""
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate and 0 < rate < 1000 else None
