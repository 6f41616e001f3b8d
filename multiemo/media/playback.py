"""Play a file once from beginning to end, as contiguous audio and timed pictures.

Unlike :func:`multiemo.media.reading.read_media`, playback keeps nothing and converts pictures only on request.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from multiemo.arrays import Floats, Pixels
from multiemo.errors import MediaError
from multiemo.media.clock import length_of
from multiemo.media.container import (
    END_TOLERANCE,
    TIME_TOLERANCE,
    TRACK_LAG,
    check_path,
    media_error,
    open_container,
    origin_of,
    video_stream,
)
from multiemo.media.demux import Pass
from multiemo.media.limits import VARIABLE, current_limits, too_large, too_long
from multiemo.media.picture_track import VideoTrack, convert_frame, has_alpha, pixel_aspect, to_rgb
from multiemo.media.pictures.animated import animation_problems
from multiemo.media.pictures.downscaling import averaged
from multiemo.media.pictures.orientation import Orientation
from multiemo.media.sound_track import AudioTrack, SoundPiece
from multiemo.media.tracks import ChosenTrack, choose_track, no_track_error, not_decoded_error

#: A jump in the timestamps of audio or pictures longer than this (seconds) is a broken timestamp.
MAX_JUMP = 600.0
#: Minimum bytes per second of a file, after the first :data:`MAX_JUMP` seconds. Speech codecs need 90, black pictures
#: once per second 40. A file with less has broken timestamps, or expands to days of silence.
MIN_BYTES_PER_SECOND = 20
#: Buffered audio is released once the pictures are this many seconds ahead of it.
_MAX_SOUND_WAIT = 1.0
#: Maximum length of one piece of silence in a gap, and minimum length of a piece of audio, seconds.
_MAX_SILENCE, _MIN_PIECE = 5.0, 0.25
#: Non-reference frames may be skipped where the frame interval is below about this many seconds.
_DENSE_INTERVAL = 0.125
#: Pixel formats whose first plane is an 8-bit luma picture.
_LUMA = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "nv21", "gray")


@dataclass(frozen=True, slots=True)
class PlayedSound:
    """The audio that follows the previous piece, without a gap.

    Args:
        samples: ``[N]`` float32 mono at the requested rate.
    """

    samples: Floats


@dataclass(frozen=True, slots=True)
class PlayedFrame:
    """A picture and its presentation time.

    Args:
        time: seconds from the file's beginning.
        frame: a :class:`DecodedFrame`.
    """

    time: float
    frame: Any


class DecodedFrame:
    """A decoded picture, converted on request; implements :class:`multiemo.preprocess.faces.frames.Frame`.

    Args:
        frame: PyAV frame.
        orientation: how the stored picture becomes upright.
        aspect: width of a stored pixel over its height. It is passed in because the stream is gone once the file is
            closed.

    Attributes:
        width: of the upright picture, pixels.
        height: of the upright picture, pixels.
    """

    def __init__(self, frame: Any, orientation: Orientation, aspect: float) -> None:
        self._frame, self._orientation, self._aspect = frame, orientation, aspect
        self.width, self.height = self._orientation.size(max(1, round(frame.width * aspect)), int(frame.height))

    def grey(self, side: int) -> Pixels:
        """Return the picture in grey, ``[h, w]`` uint8, upright, its longer side at most ``side`` pixels."""
        shrink = min(1.0, side / max(self.width, self.height))
        width, height = max(1, round(self.width * shrink)), max(1, round(self.height * shrink))
        width, height = self._orientation.size(width, height)
        if has_alpha(self._frame):
            return np.asarray(cv2.cvtColor(self.rgb(side), cv2.COLOR_RGB2GRAY), np.uint8)
        plane = self._frame.planes[0]
        if (
            self._frame.format.name in _LUMA and plane.line_size >= self._frame.width
        ):  # a negative line size: stored upside down
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            picture = averaged(rows[: self._frame.height, : self._frame.width], width, height)
        else:
            picture = convert_frame(self._frame, width, height, "gray")
        return self._orientation.upright(np.asarray(picture, np.uint8))

    def rgb(self, side: int | None = None) -> Pixels:
        """Return the picture as ``[h, w, 3]`` uint8 RGB, upright, its longer side at most ``side`` pixels if given."""
        return self._full if side is None else to_rgb(self._frame, self._orientation, self._aspect, side)

    @cached_property
    def _full(self) -> Pixels:
        return to_rgb(self._frame, self._orientation, self._aspect, None)


class Playback:
    """Plays a file from beginning to end, in one pass and bounded memory.

    Args:
        path: audio or video file.
        rate: sample rate of the output, Hz; ``None`` omits the audio.
        fps: maximum number of pictures per second, on a regular grid; ``None`` omits the pictures.
        track: number of the audio track, from 1; ``None`` selects one with speech.

    Attributes:
        duration: seconds, from the header or, if that is unreliable, from the packets; ``None`` if unknown. After the
            pass, the number of seconds played.
        pixels: number of pixels of a picture, from the header; 0 without pictures.
        absent: {``"audio"`` or ``"video"``: reason} for a requested track that is missing.
        problems: errors that did not stop the reading, one line each; complete after the pass.

    Raises:
        MediaError: the file cannot be opened or has no track; after the pass: nothing could be decoded.
    """

    def __init__(self, path: str | Path, *, rate: int | None, fps: float | None, track: int | None = None) -> None:
        self.file = check_path(path, "")
        self._rate, self._step = rate, None if fps is None else 1.0 / fps
        self.absent: dict[str, str] = {}
        self.problems: list[str] = []
        self._plausible = MAX_JUMP + self.file.stat().st_size / MIN_BYTES_PER_SECOND
        self._longest = min(self._plausible, current_limits().hours * 3600)
        container = open_container(self.file, "")
        origin = origin_of(container)
        length = length_of(self.file, container, origin)
        self.duration, self._exact = length.seconds, length.exact
        self.problems += length.notes
        try:
            if (reason := too_long(self.duration or 0.0)) and self._exact:
                raise media_error("", self.file, reason)
            video = video_stream(container)
            chosen = ChosenTrack() if rate is None and video is not None else choose_track(self.file, container, track)
            if video is None and not chosen.number:
                raise no_track_error(self.file, chosen.absent, "")
        except MediaError:
            container.close()
            raise
        sound = self._track("audio", rate, chosen.of(container), chosen.absent)
        video = self._decodable(self._track("video", fps, video, "the file has no video track"))
        self.problems += chosen.notes if sound is not None else ()
        self._aspect = 1.0 if video is None else pixel_aspect(video)
        self.pixels: int = 0 if video is None else video.codec_context.width * video.codec_context.height
        self._pass = Pass(
            container,
            origin,
            AudioTrack(sound, rate, origin, 0.0, mix=chosen.mix) if sound is not None and rate else None,
            VideoTrack(video, origin, max(self._step, _DENSE_INTERVAL)) if video is not None and self._step else None,
            recordings=length.recordings,
        )
        self.has_audio, self.has_video = self._pass.audio is not None, self._pass.video is not None

    def pieces(self) -> Generator[PlayedSound | PlayedFrame, None, None]:
        """Yield the file's audio and pictures in file order. May be called once.

        Raises:
            MediaError: after the pass, if nothing could be decoded.
        """
        due, last, late = 0.0, -math.inf, 0
        step = self._step or 1.0
        sound = _Contiguous(self._rate or 1)
        began = False
        with self._pass as pieces:
            for piece in pieces:
                began = True
                if max(sound.seconds, last) > self._longest:
                    self.problems.append(self._why_stopped(max(sound.seconds, last)))
                    break
                if isinstance(piece, SoundPiece):
                    yield from sound.take(piece)
                elif piece.time < last or _is_broken_time(piece.time, max(sound.seconds, last)):
                    late += 1
                else:
                    last = piece.time
                    if last > sound.seconds + _MAX_SOUND_WAIT:
                        yield from sound.rest()
                    if piece.time >= due - TIME_TOLERANCE:
                        due = (math.floor((piece.time + TIME_TOLERANCE) / step) + 1) * step
                        frame = DecodedFrame(piece.frame, piece.orientation, self._aspect)
                        yield PlayedFrame(max(piece.time, 0.0), frame)
        yield from sound.rest()
        self._conclude(began, max(sound.seconds, last, 0.0), late, sound.jumped)

    def close(self) -> None:
        """Close the file without playing it. Playing closes it at the end."""
        self._pass.container.close()

    def _track(self, key: str, requested: float | None, stream: Any, absent: str) -> Any:
        if requested is None:
            return None
        if stream is None:
            self.absent[key] = absent
        return stream

    def _decodable(self, video: Any) -> Any:
        """Return the video track, or ``None`` if its pictures are too large to decode."""
        reason = None if video is None else too_large(video.codec_context.width, video.codec_context.height)
        if reason is None:
            return video
        self.absent["video"] = f"its pictures are {reason}"
        return None

    def _why_stopped(self, seconds: float) -> str:
        if seconds <= self._plausible:
            return f"reading stopped after {seconds:.0f} s, the limit of hours ({VARIABLE})"
        size = self.file.stat().st_size
        why = "its timestamps are broken, or nearly all of it is silence"
        return f"reading stopped after {seconds:.0f} s: a file of {size} bytes cannot last so long; {why}"

    def _conclude(self, began: bool, reached: float, late: int, jumped: int) -> None:
        self.problems += [*self._pass.problems, *animation_problems(self.file)]
        if late:
            self.problems.append(f"{late} pictures have broken timestamps and were left out")
        if jumped:
            self.problems.append(f"{jumped} pieces of sound have broken timestamps and were left out")
        if not (self.has_audio or self.has_video):
            return
        if not began:
            raise not_decoded_error(self.file, "nothing could be decoded", self._pass.problems, "")
        covered = max(reached, self._pass.reached) if self._pass.reached <= reached + MAX_JUMP else reached
        broken = late or jumped or reached > self._longest
        if self._exact and self.duration is not None and self.duration - covered > END_TOLERANCE and not broken:
            self.problems.append(f"the file is cut off: {covered:.2f} of {self.duration:.2f} s are there")
        self.duration = covered


def _is_broken_time(time: float, reached: float) -> bool:
    """Whether the time of a picture is implausibly far from what has been read so far."""
    return time < -TRACK_LAG or time > max(reached, 0.0) + MAX_JUMP


class _Contiguous:
    """Makes audio contiguous: fills gaps with silence and drops overlaps.

    Args:
        rate: Hz.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        #: Number of pieces with an implausible position.
        self.jumped = 0
        self._count = 0
        self._waiting: list[Floats] = []
        self._size = 0

    @property
    def seconds(self) -> float:
        """Length of the audio so far."""
        return self._count / self.rate

    def take(self, piece: SoundPiece) -> Generator[PlayedSound, None, None]:
        """Add a piece and yield the audio that is ready."""
        gap = piece.position - self._count
        if gap > MAX_JUMP * self.rate:
            self.jumped += 1
            return
        while gap > 0:
            silence = np.zeros(min(gap, round(_MAX_SILENCE * self.rate)), np.float32)
            gap -= len(silence)
            yield from self._add(silence)
        yield from self._add(piece.samples[-gap:] if gap < 0 else piece.samples)

    def rest(self) -> Generator[PlayedSound, None, None]:
        """Yield the buffered audio."""
        if self._size:
            yield PlayedSound(np.concatenate(self._waiting))
            self._waiting, self._size = [], 0

    def _add(self, samples: Floats) -> Generator[PlayedSound, None, None]:
        self._waiting.append(samples)
        self._size += len(samples)
        self._count += len(samples)
        if self._size >= _MIN_PIECE * self.rate:
            yield from self.rest()
