"""One pass over a media file: packets in, timed pieces of sound and pictures out. Used only by ``media.py``.

Times count from the beginning of the file, whatever its own clock says (MPEG-TS starts anywhere).
"""

from __future__ import annotations

import gc
import math
import os
import re
import stat
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import av
import av.logging
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from multiemo.errors import MediaError

# A decoder or filter of FFmpeg waits for its threads when it is freed, and a fork has none of them: what a parent has
# not collected yet must stay out of its child's garbage collection, from the first moment.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=gc.freeze, after_in_parent=gc.unfreeze)

Floats: TypeAlias = NDArray[np.float32]
Pixels: TypeAlias = NDArray[np.uint8]

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
LAG = 10.0
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
_TRANSCRIPTS = {".srt", ".vtt", ".ass", ".ssa", ".sbv", ".lrc"}
#: Lets PyAV before 19 open a file whose tags are not UTF-8; from 19 on it always does, and knows no such argument.
_ANY_TAGS = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
#: FFmpeg's scalers, one a thread.
_scalers = threading.local()


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
    if _is_text(file):
        other = "give it beside the file that it belongs to" if file.suffix.lower() in _TRANSCRIPTS else "name another"
        raise fail(where, file, f"is not a media file but text or a playlist; {other}")
    options = {"protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
    try:
        container = av_open(str(file.absolute()), options=options, timeout=STALL)
    except FAILURES as error:
        detail = getattr(error, "strerror", None) or error
        reason = f"is not a media file, or its header is cut off ({detail}); convert it or copy it again"
        raise fail(where, file, reason) from None
    if not container.streams:
        container.close()
        raise fail(where, file, "is not a media file: it has no tracks; name an audio, video or image file")
    return container


def _is_text(file: Path) -> bool:
    """Whether a file is text. FFmpeg would draw it, or open what a playlist names."""
    try:
        with file.open("rb") as stream:
            head = stream.read(1024)
    except OSError:
        return False
    return all(byte >= 32 or byte in _TEXT for byte in head) and not head.startswith(b"YUV4MPEG2")


def audio_stream(container: Any) -> Any | None:
    """The main audio stream, or ``None``."""
    streams = [s for s in container.streams.audio if s.codec_context is not None]
    best = container.streams.best("audio") if streams else None
    return best if best in streams else (streams[0] if streams else None)


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


# --------------------------------------------------------------------------------------------------------------------
# Sound


@dataclass(slots=True)
class Sound:
    """A piece of mono audio.

    Args:
        position: of its first sample, in samples at the wanted rate, from the span's start (negative before it).
        samples: ``[N]`` float32.
    """

    position: int
    samples: Floats


class AudioTrack:
    """Decodes one audio stream to mono at a wanted rate, each sample where its timestamp puts it.

    Runs of contiguous frames go through one resampler, so positions cannot drift; after a gap, an overlap or a change
    of format a new run starts at the position its timestamp says.

    Args:
        stream: of PyAV.
        rate: wanted, Hz.
        origin: the file's clock at its beginning, seconds.
        start: of the span, seconds from the file's beginning.
        channel: the one that is kept, from 0; ``None`` mixes them. A stretch with fewer channels is silent.
    """

    def __init__(self, stream: Any, rate: int, origin: float, start: float, channel: int | None = None) -> None:
        self.stream, self.rate, self.origin, self.start, self.channel = stream, rate, origin, start, channel
        self.time = -math.inf
        self.errors = 0
        self._tick = float(stream.time_base or 0)
        self._resampler: Any = None
        self._format: tuple[Any, ...] | None = None
        self._position = 0
        self._expected: float | None = None

    def decode(self, packet: Any) -> Iterator[Sound]:
        """What a packet gives; ``None`` flushes at the end of the file."""
        try:
            frames = self.stream.codec_context.decode(packet)
        except FAILURES:
            self.errors += 1
            frames = []
        for frame in frames:
            yield from self._place(frame)
        if packet is None:
            yield from self._finish()

    def _place(self, frame: Any) -> Iterator[Sound]:
        if frame.samples == 0:
            return
        if not RATES[0] <= frame.sample_rate <= RATES[1]:
            self.errors += 1
            return
        expected = self._expected
        stamp = time_of(frame, self._tick, self.origin)
        time = (expected or 0.0) if stamp is None else stamp
        self.time = time + frame.samples / frame.sample_rate
        layout = (frame.format.name, frame.layout.name, frame.sample_rate)
        if expected is None or layout != self._format or abs(time - expected) > GAP:
            yield from self._finish()
            expected, self._format = time, layout
            self._position = round((time - self.start) * self.rate)
            kept = "mono" if self.channel is None else frame.layout
            self._resampler = av.AudioResampler(format="fltp", layout=kept, rate=self.rate)
        self._expected = expected + frame.samples / frame.sample_rate
        yield from self._emit(frame)

    def _emit(self, frame: Any) -> Iterator[Sound]:
        try:
            pieces = self._resampler.resample(frame)
        except FAILURES:
            self.errors += 1
            self._resampler = self._expected = None
            return
        for piece in pieces:
            samples = self._kept(piece.to_ndarray())
            if not np.isfinite(samples).all():
                np.nan_to_num(samples, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
            yield Sound(self._position, samples)
            self._position += len(samples)

    def _kept(self, channels: Floats) -> Floats:
        """``[C, N]`` to a copy of ``[N]``: the wanted channel, or the mix, which is the only one."""
        wanted = self.channel or 0
        return np.array(channels[wanted] if wanted < len(channels) else np.zeros(channels.shape[1]), dtype=np.float32)

    def _finish(self) -> Iterator[Sound]:
        if self._resampler is not None:
            yield from self._emit(None)
        self._resampler = None


# --------------------------------------------------------------------------------------------------------------------
# Pictures


@dataclass(slots=True)
class Picture:
    """A decoded frame, not yet converted.

    Args:
        time: seconds from the file's beginning.
        frame: of PyAV.
    """

    time: float
    frame: Any


class VideoTrack:
    """Decodes one video stream to frames with the times that the file gives them.

    Args:
        stream: of PyAV.
        origin: the file's clock at its beginning, seconds.
        step: seconds between wanted frames; where it is long, the decoder leaves out frames that no other needs. More
            would spoil the rest: P frames are also predicted from B frames before them.
    """

    def __init__(self, stream: Any, origin: float, step: float) -> None:
        self.stream, self.origin = stream, origin
        self.time = -math.inf
        self.errors = 0
        self.period = 1.0 / (frame_rate(stream) or 25.0)
        self.step = step
        self._tick = float(stream.time_base or 0)
        self._stamps: deque[int] = deque(maxlen=8)
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}

    def decode(self, packet: Any) -> Iterator[Picture]:
        """What a packet gives; ``None`` flushes at the end of the file."""
        if packet is not None:
            self._skip(packet)
        try:
            frames = self.stream.codec_context.decode(packet)
        except FAILURES:
            self.errors += 1
            return
        for frame in frames:
            time = time_of(frame, self._tick, self.origin)
            if time is not None:
                self.time = time
            else:
                self.time = 0.0 if math.isinf(self.time) else self.time + self.period
            yield Picture(self.time, frame)

    def _skip(self, packet: Any) -> None:
        """Leave frames that no other needs undecoded, while those that remain lie closer together than is wanted.

        The packets seen last are the frames around this one; a variable frame rate shows as a wide gap among them.
        """
        if packet.pts is None:
            return
        self._stamps.append(packet.pts)
        stamps = sorted(self._stamps)
        gap = max((b - a for a, b in pairwise(stamps)), default=math.inf)
        fast = len(stamps) > 2 and gap * self._tick <= 0.75 * self.step
        self.stream.codec_context.skip_frame = "NONREF" if fast else "DEFAULT"


def pixel_aspect(stream: Any) -> float:
    """Width of a stored pixel over its height; 1 where the file does not say or what it says cannot be."""
    aspect = float(getattr(stream, "sample_aspect_ratio", None) or Fraction(1))
    return aspect if 0.1 < aspect < 10 else 1.0


def converted(frame: Any, width: int, height: int, pixels: str) -> Pixels:
    """A frame at another size, as ``[height, width]`` or ``[height, width, C]`` of a pixel format of FFmpeg.

    The scaler works in the thread that asks: threads of its own would be missing in a forked process, which would wait
    for them for ever.

    Args:
        frame: of PyAV. Its own ``reformat`` is not used: what that shares with other frames does not survive a fork.
        width, height: pixels.
        pixels: such as ``rgb24``.
    """
    scaler = getattr(_scalers, "one", None)
    if scaler is None:
        scaler = _scalers.one = VideoReformatter()
    made = scaler.reformat(frame, width=width, height=height, format=pixels, threads=1)
    return np.asarray(made.to_ndarray(), dtype=np.uint8)


def to_rgb(frame: Any, aspect: float, max_side: int | None) -> Pixels:
    """Convert a frame: square pixels, upright, at most ``max_side`` long, transparent parts white.

    Args:
        frame: of PyAV; may outlive its container.
        aspect: of the stored pixels, :func:`pixel_aspect`.
        max_side: pixels.

    Returns:
        ``[H, W, 3]`` uint8 RGB.
    """
    width, height = frame.width * aspect, float(frame.height)
    shrink = min(1.0, max_side / max(width, height)) if max_side else 1.0
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    if any(c.is_alpha for c in frame.format.components):
        picture = on_white(converted(frame, *size, "rgba"))
    else:
        picture = converted(frame, *size, "rgb24")
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def on_white(rgba: Pixels) -> Pixels:
    """Put a picture with transparency, ``[H, W, 4]``, on a white ground: ``[H, W, 3]``.

    Example:
        >>> on_white(np.array([[[0, 0, 0, 0], [9, 9, 9, 255]]], dtype=np.uint8)).tolist()
        [[[255, 255, 255], [9, 9, 9]]]
    """
    picture = np.ascontiguousarray(rgba[..., :3])
    if rgba[..., 3].min(initial=255) < 255:
        for row in range(0, len(rgba), 64):  # little memory, however large the picture
            alpha = rgba[row : row + 64, :, 3:].astype(np.uint16)
            picture[row : row + 64] = (picture[row : row + 64] * alpha + 255 * (255 - alpha) + 127) // 255
    return picture


# --------------------------------------------------------------------------------------------------------------------
# Both, in one pass


@dataclass(slots=True)
class Pass:
    """One pass over an open container, from ``start`` on.

    Iterating yields :class:`Sound` and :class:`Picture` in the file's order. The caller sets ``audio`` or ``video`` to
    ``None`` when it has enough of a track; the pass ends when both are.

    Args:
        container: of PyAV.
        audio, video: the tracks to decode.
        start: seconds from the file's beginning.
        end: seconds; packets later than this plus :data:`LAG` end the pass.
    """

    container: Any
    origin: float
    audio: AudioTrack | None
    video: VideoTrack | None
    start: float = 0.0
    end: float = math.inf
    reached: float = -math.inf
    exhausted: bool = False
    problems: list[str] = field(default_factory=list)
    _ticks: dict[int, float] = field(default_factory=dict)

    def __enter__(self) -> Pass:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def __iter__(self) -> Iterator[Sound | Picture]:
        tracks = (self.audio, self.video)
        self._seek()
        try:
            for packet in self.container.demux():
                if self._past_the_end(packet):
                    break
                if self.audio is None and self.video is None:
                    break
                if packet.dts is None and packet.pts is None and packet.size == 0:
                    continue  # PyAV's own flush packets; flushed below, when the file has really ended.
                for track in (self.audio, self.video):
                    if track is not None and packet.stream_index == track.stream.index:
                        yield from track.decode(packet)
            else:
                self.exhausted = True
        except FAILURES as error:
            self.exhausted = True
            self.problems.append(f"reading stopped after {max(self.reached, 0):.2f} s ({error})")
        for track in (self.audio, self.video):
            if track is not None:
                yield from track.decode(None)
        broken = sum(track.errors for track in tracks if track is not None)
        if broken:
            self.problems.append(f"{broken} packets could not be decoded and were left out")

    def _seek(self) -> None:
        if self.start > 2 * PREROLL:
            try:
                self.container.seek(int((self.start - PREROLL + self.origin) * av.time_base), backward=True)
            except FAILURES:
                self.container.seek(0, any_frame=True)

    def _past_the_end(self, packet: Any) -> bool:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.stream_index not in self._ticks:
            self._ticks[packet.stream_index] = float(packet.time_base or 0)
        tick = self._ticks[packet.stream_index]
        if stamp is None or not tick:
            return False
        time = stamp * tick - self.origin
        self.reached = max(self.reached, time + (packet.duration or 0) * tick)
        return bool(time > self.end + LAG)
