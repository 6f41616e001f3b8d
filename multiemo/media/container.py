"""Media files as FFmpeg's containers: which may be opened, what tracks they have, what their headers say.

Times count from the beginning of the file, whatever its own clock says (MPEG-TS starts anywhere).
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
from multiemo.media.pictures.animated import playable

# A decoder or filter of FFmpeg waits for its threads when it is freed, and a fork has none of them: what a parent has
# not collected yet must stay out of its child's garbage collection, from the first moment.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=gc.freeze, after_in_parent=gc.unfreeze)


#: Most pixels a picture may have; a larger one is refused before it is decoded.
MAX_PIXELS = 200_000_000
#: Lowest and highest sample rate that is believed, Hz: below, a short file would become hours of sound, and above, the
#: filter of the resampler would need gigabytes.
RATES = (1000, 1_000_000)
#: Seconds that opening a file, or reading a packet of it, may take: damage can make FFmpeg look for the next packet to
#: the end of any file, a slow disk cannot.
STALL = 60.0
#: Audio timestamps may wander this far (seconds) from the count of samples before a gap is believed.
GAP = 0.05
#: One track may lag this far (seconds) behind the other in the file; a longer lag means that it has ended.
TRACK_LAG = 10.0
#: A file that ends this much earlier (seconds) than its header says is called truncated.
SHORT = 0.5
#: Seeking lands this much (seconds) early, so that codecs with memory (Opus, MP3) have settled at the start.
PREROLL = 0.5
#: Frames this little (seconds) before a wanted time count as on time: containers round to milliseconds.
ON_TIME = 0.002
#: Everything PyAV is known to raise for media that it cannot read.
FAILURES = (av.FFmpegError, ValueError, RuntimeError, OSError, LookupError)
#: Bytes that text may hold below the space.
_TEXT = frozenset(b"\t\n\f\r\x1b")
#: Containers whose header tells the true duration; for others (raw MP3, AAC, ...) it is an estimate.
_EXACT = {"mov", "mp4", "matroska", "webm", "avi", "wav", "flac"}
#: Also what :class:`~pathlib.Path` makes of one.
_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/+")
#: Lets PyAV before 19 open a file whose tags are not UTF-8; from 19 on it always does, and knows no such argument.
_ANY_TAGS = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def fail(where: str, path: object, reason: str) -> MediaError:
    """A :class:`MediaError` of one line naming the clip (if any), the file, what is wrong and what to do."""
    line = f"{where}: {path}: {reason}" if where else f"{path}: {reason}"
    return MediaError("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line))


def check_path(path: str | Path, where: str) -> Path:
    """The path, if a non-empty file lies there that may be read.

    Raises:
        MediaError: a URL, a folder, a device or a pipe, nothing there, a file of 0 bytes or without permission.
    """
    file = Path(path)
    try:
        found = file.stat()
    except (OSError, ValueError) as error:
        if _URL.match(str(path)):
            url = _URL.sub(r"\1://", str(path))
            raise fail(where, url, "is a URL; only files on this machine are read, so download it first") from None
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be opened ({error})"
        raise fail(where, path, f"{reason}; check the path") from None
    if stat.S_ISDIR(found.st_mode):
        raise fail(where, path, "is a folder; name a media file")
    if not stat.S_ISREG(found.st_mode):
        raise fail(where, path, "is a device or a pipe, which may never end; record it to a file first")
    if found.st_size == 0:
        raise fail(where, path, "is empty (0 bytes); copy or record it again")
    if not os.access(file, os.R_OK):
        raise fail(where, path, "may not be read by you; change its permissions")
    return file


def av_open(source: Any, **how: Any) -> Any:
    """``av.open`` to read, with arguments that every PyAV knows, whatever the encoding of the file's tags.

    PyAV's log is off, as by default, and off again where others turned it on (torchvision 0.24 does): FFmpeg's threads
    log with the interpreter's lock, and whoever frees a decoder holds that and waits for them.
    """
    av.logging.set_level(None)
    return av.open(source, **_ANY_TAGS, **how)


def tag_of(stream: Any, name: str) -> str:
    """A stream's tag, or nothing; bytes of it that are not UTF-8, which no output could hold, become U+FFFD."""
    return str(stream.metadata.get(name, "")).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def open_container(file: Path, where: str) -> Any:
    """An open PyAV container that reads this file and no other.

    Raises:
        MediaError: not a media file, or its header is missing.
    """
    if _begins_as_text(file):
        other = "give it beside the file that it belongs to" if file.suffix.lower() in CAPTIONS else "name another"
        raise fail(where, file, f"is not a media file but text or a playlist; {other}")
    options = {"protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
    try:
        source, form = playable(file)
        container = av_open(source, format=form, options=options, timeout=STALL)
    except FAILURES as error:
        if isinstance(error, av.PatchWelcomeError):
            raise fail(where, file, f"cannot be read: {cause(error)}; convert it to another format") from None
        reason = f"is not a media file, or its header is cut off ({cause(error)}); convert it or copy it again"
        raise fail(where, file, reason) from None
    if not container.streams:
        container.close()
        raise fail(where, file, "is not a media file: it has no tracks; name an audio, video or image file")
    return container


def cause(error: BaseException) -> str:
    """What an error of PyAV or FFmpeg means, without the words of their own developers."""
    if isinstance(error, av.PatchWelcomeError):
        return "it uses a variant of its format that FFmpeg does not know"
    if isinstance(error, av.ExitError):
        return f"a packet took more than {STALL:.0f} s"
    if isinstance(error, LookupError) and not isinstance(error, av.FFmpegError):
        return "its tracks are not as its header says"
    return str(getattr(error, "strerror", None) or error)


def _begins_as_text(file: Path) -> bool:
    """Whether a file is text. FFmpeg would draw it, or open what a playlist names."""
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
    """The main video stream, or ``None``; the cover art of a song is not video."""
    streams = [s for s in container.streams.video if s.codec_context is not None and not _is_cover(s)]
    best = container.streams.best("video") if streams else None
    return best if best in streams else (streams[0] if streams else None)


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def origin_of(container: Any) -> float:
    """The file's own clock at its beginning, seconds; a codec's priming delay (just below 0) does not count."""
    start = (container.start_time or 0) / av.time_base
    return 0.0 if -0.1 < start < 0 else float(start)


def header_end(container: Any, origin: float) -> float | None:
    """Where the file ends according to its header, seconds from its beginning; ``None`` when it does not say."""
    if container.duration and container.duration > 0:
        return float(container.duration / av.time_base)
    ends = [
        float(((s.start_time or 0) + s.duration) * s.time_base) - origin
        for s in container.streams
        if s.duration and s.duration > 0 and s.time_base
    ]
    return max(ends, default=None)


def exact_header(container: Any) -> bool:
    """Whether :func:`header_end` can be relied on for this kind of file."""
    return bool(_EXACT & set(container.format.name.split(",")))


def time_of(frame: Any, tick: float, origin: float) -> float | None:
    """When a frame is shown or heard, seconds from the file's beginning; ``None`` when it has no timestamp.

    Args:
        frame: of PyAV.
        tick: of its stream, seconds.
        origin: the file's clock at its beginning, seconds.
    """
    return None if frame.pts is None else frame.pts * tick - origin


def frame_rate(stream: Any) -> float | None:
    """Frames a second of a video stream, or ``None`` when it does not say."""
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate and 0 < rate < 1000 else None
