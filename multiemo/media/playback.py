"""A file played once from its beginning to its end, as contiguous sound and timed pictures; reached through ``media``.

Unlike a span (``read_media``), nothing is kept and nothing is converted before someone asks for it.
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
    MAX_PIXELS,
    ON_TIME,
    SHORT,
    TRACK_LAG,
    check_path,
    open_container,
    origin_of,
    video_stream,
)
from multiemo.media.demux import Pass
from multiemo.media.picture_track import VideoTrack, converted, has_alpha, pixel_aspect, to_rgb
from multiemo.media.pictures.animated import remarks
from multiemo.media.pictures.downscaling import averaged
from multiemo.media.pictures.orientation import Orientation
from multiemo.media.sound_track import AudioTrack, SoundPiece
from multiemo.media.tracks import Chosen, choose, nothing_decoded, nothing_to_read

#: A jump in the timestamps of sound or pictures longer than this (seconds) is a broken timestamp.
JUMP = 600.0
#: Bytes a second that a file has at least, after its first :data:`JUMP` seconds: speech codecs need 90, black pictures
#: once a second 40. Less is a broken timestamp at every packet, or silence packed to be unpacked for days.
LEAST = 20
#: Sound that waits for more is put out when the pictures are this far (seconds) ahead of it.
_AHEAD = 1.0
#: Seconds of silence put out at once where the audio has a gap, and of sound that are put out together.
_FILL, _PIECE = 5.0, 0.25
#: Frames that no other needs are missed where the rest lie this close (seconds), or nearly.
_CLOSE = 0.125
#: Pixel formats whose first plane is an 8-bit luma picture.
_LUMA = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "nv21", "gray")


@dataclass(frozen=True, slots=True)
class PlayedSound:
    """The sound that follows what was heard before.

    Args:
        samples: ``[N]`` float32 at the wanted rate.
    """

    samples: Floats


@dataclass(frozen=True, slots=True)
class PlayedFrame:
    """A picture and when it is shown, seconds from the file's beginning."""

    time: float
    frame: Any


class DecodedFrame:
    """A decoded picture that is converted only as far as asked; a :class:`multiemo.preprocess.faces.frames.Frame`.

    Args:
        frame: of PyAV.
        aspect: width of its stored pixels over their height. Not read from the stream later, which goes with the file.
    """

    def __init__(self, frame: Any, aspect: float) -> None:
        self._frame, self._aspect = frame, aspect
        self._orientation = Orientation.of_frame(frame)
        #: Upright, pixels.
        self.width, self.height = self._orientation.size(max(1, round(frame.width * aspect)), int(frame.height))

    def grey(self, side: int) -> Pixels:
        """``[h, w]`` uint8, upright, the longer side at most ``side`` pixels."""
        shrink = min(1.0, side / max(self.width, self.height))
        width, height = max(1, round(self.width * shrink)), max(1, round(self.height * shrink))
        width, height = self._orientation.size(width, height)
        if has_alpha(self._frame):
            return np.asarray(cv2.cvtColor(self.rgb(side), cv2.COLOR_RGB2GRAY), np.uint8)
        plane = self._frame.planes[0]
        if self._frame.format.name in _LUMA and plane.line_size >= self._frame.width:  # below 0: stored upside down
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            picture = averaged(rows[: self._frame.height, : self._frame.width], width, height)
        else:
            picture = converted(self._frame, width, height, "gray")
        return self._orientation.upright(np.asarray(picture, np.uint8))

    def rgb(self, side: int | None = None) -> Pixels:
        """``[h, w, 3]`` uint8 RGB, upright, the longer side at most ``side`` pixels if given."""
        return self._full if side is None else to_rgb(self._frame, self._aspect, side)

    @cached_property
    def _full(self) -> Pixels:
        return to_rgb(self._frame, self._aspect, None)


class Playback:
    """A file from its beginning to its end, in one pass and bounded memory.

    Args:
        path: audio or video file.
        rate: wanted sample rate, Hz; ``None`` leaves the audio out.
        fps: most pictures a second, on a regular grid; ``None`` leaves them out.
        track: of several with sound, from 1; ``None``: the one on which somebody speaks.

    Attributes:
        duration: seconds by the header, or by what is there where the header cannot know; ``None`` when neither says.
            After the pass, what was covered.
        pixels: of a picture, by the header; 0 without pictures.
        absent: {``"audio"`` or ``"video"``: reason} for what was asked for and is not there.
        problems: what went wrong without stopping the reading, one line each; complete after the pass.

    Raises:
        MediaError: at once where the file cannot be opened or has no track; after the pass where nothing could be
            decoded.
    """

    def __init__(self, path: str | Path, *, rate: int | None, fps: float | None, track: int | None = None) -> None:
        self.file = check_path(path, "")
        self._rate, self._step = rate, None if fps is None else 1.0 / fps
        self.absent: dict[str, str] = {}
        self.problems: list[str] = []
        self._longest = JUMP + self.file.stat().st_size / LEAST
        container = open_container(self.file, "")
        origin = origin_of(container)
        length = length_of(self.file, container, origin)
        self.duration, self._exact = length.seconds, length.exact
        self.problems += length.notes
        try:
            sight = video_stream(container)
            chosen = Chosen() if rate is None and sight is not None else choose(self.file, container, track)
            if sight is None and not chosen.number:
                raise nothing_to_read(self.file, chosen.absent, "")
        except MediaError:
            container.close()
            raise
        sound = self._find("audio", rate, chosen.of(container), chosen.absent)
        sight = self._small(self._find("video", fps, sight, "the file has no video track"))
        self.problems += chosen.notes if sound is not None else ()
        self._aspect = 1.0 if sight is None else pixel_aspect(sight)
        self.pixels: int = 0 if sight is None else sight.codec_context.width * sight.codec_context.height
        self._pass = Pass(
            container,
            origin,
            AudioTrack(sound, rate, origin, 0.0, mix=chosen.mix) if sound is not None and rate else None,
            VideoTrack(sight, origin, max(self._step, _CLOSE)) if sight is not None and self._step else None,
            recordings=length.recordings,
        )
        self.has_audio, self.has_video = self._pass.audio is not None, self._pass.video is not None

    def pieces(self) -> Generator[PlayedSound | PlayedFrame, None, None]:
        """The file's sound and pictures, in its order; once.

        Raises:
            MediaError: after the pass, where nothing could be decoded.
        """
        due, last, late = 0.0, -math.inf, 0
        step = self._step or 1.0
        sound = _Contiguous(self._rate or 1)
        began = False
        with self._pass as pieces:
            for piece in pieces:
                began = True
                if max(sound.seconds, last) > self._longest:
                    self.problems.append(_endless(max(sound.seconds, last), self.file))
                    break
                if isinstance(piece, SoundPiece):
                    yield from sound.take(piece)
                elif piece.time < last or _absurd(piece.time, max(sound.seconds, last)):
                    late += 1
                else:
                    last = piece.time
                    if last > sound.seconds + _AHEAD:
                        yield from sound.rest()
                    if piece.time >= due - ON_TIME:
                        due = (math.floor((piece.time + ON_TIME) / step) + 1) * step
                        yield PlayedFrame(max(piece.time, 0.0), DecodedFrame(piece.frame, self._aspect))
        yield from sound.rest()
        self._settle(began, max(sound.seconds, last, 0.0), late, sound.jumped)

    def close(self) -> None:
        """Close a file that is not going to be played; playing closes it itself."""
        self._pass.container.close()

    def _find(self, key: str, asked: float | None, stream: Any, absent: str) -> Any:
        if asked is None:
            return None
        if stream is None:
            self.absent[key] = absent
        return stream

    def _small(self, sight: Any) -> Any:
        """The video track, if its pictures can be decoded."""
        if sight is None or sight.codec_context.width * sight.codec_context.height <= MAX_PIXELS:
            return sight
        size = f"{sight.codec_context.width}x{sight.codec_context.height}"
        limit = MAX_PIXELS // 1_000_000
        self.absent["video"] = f"its pictures are {size} pixels; at most {limit} million are read, so make it smaller"
        return None

    def _settle(self, began: bool, reached: float, late: int, jumped: int) -> None:
        self.problems += [*self._pass.problems, *remarks(self.file)]
        if late:
            self.problems.append(f"{late} pictures have broken timestamps and were left out")
        if jumped:
            self.problems.append(f"{jumped} pieces of sound have broken timestamps and were left out")
        if not (self.has_audio or self.has_video):
            return
        if not began:
            raise nothing_decoded(self.file, "nothing could be decoded", self._pass.problems, "")
        covered = max(reached, self._pass.reached) if self._pass.reached <= reached + JUMP else reached
        broken = late or jumped or reached > self._longest
        if self._exact and self.duration is not None and self.duration - covered > SHORT and not broken:
            self.problems.append(f"the file is cut off: {covered:.2f} of {self.duration:.2f} s are there")
        self.duration = covered


def _absurd(time: float, reached: float) -> bool:
    """Whether a picture's time lies where the file cannot be yet."""
    return time < -TRACK_LAG or time > max(reached, 0.0) + JUMP


def _endless(seconds: float, file: Path) -> str:
    size = file.stat().st_size
    why = "its times are broken, or nearly all of it is silence"
    return f"reading stopped after {seconds:.0f} s: a file of {size} bytes cannot last so long; {why}"


class _Contiguous:
    """Sound without gaps or overlaps: silence where it is missing, each moment once.

    Args:
        rate: Hz.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        #: Pieces whose place cannot be.
        self.jumped = 0
        self._count = 0
        self._waiting: list[Floats] = []
        self._size = 0

    @property
    def seconds(self) -> float:
        """How much there was so far."""
        return self._count / self.rate

    def take(self, piece: SoundPiece) -> Generator[PlayedSound, None, None]:
        """What can be put out with this piece."""
        gap = piece.position - self._count
        if gap > JUMP * self.rate:
            self.jumped += 1
            return
        while gap > 0:
            silence = np.zeros(min(gap, round(_FILL * self.rate)), np.float32)
            gap -= len(silence)
            yield from self._add(silence)
        yield from self._add(piece.samples[-gap:] if gap < 0 else piece.samples)

    def rest(self) -> Generator[PlayedSound, None, None]:
        """What still waits."""
        if self._size:
            yield PlayedSound(np.concatenate(self._waiting))
            self._waiting, self._size = [], 0

    def _add(self, samples: Floats) -> Generator[PlayedSound, None, None]:
        self._waiting.append(samples)
        self._size += len(samples)
        self._count += len(samples)
        if self._size >= _PIECE * self.rate:
            yield from self.rest()
