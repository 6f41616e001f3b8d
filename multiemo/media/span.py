"""Decode one span of a file in one pass: collect its audio and pictures."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Floats, Pixels
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
from multiemo.media.limits import too_long, too_much
from multiemo.media.picture_track import Picture, VideoTrack, fit_picture, pixel_aspect, to_rgb
from multiemo.media.pictures.animated import animation_problems
from multiemo.media.pictures.stills import is_still, read_still
from multiemo.media.sound_track import AudioTrack, SoundPiece
from multiemo.media.tracks import ChosenTrack, choose_track, not_decoded_error


@dataclass(slots=True)
class Media:
    """The decoded contents of a span of a file.

    Args:
        audio: ``[N]`` mono float32 from the span's start; ``None`` if not requested or missing.
        rate: sample rate of ``audio``, Hz.
        frames: ``[F, H, W, 3]`` uint8 RGB, upright; ``None`` if not requested or missing.
        times: ``[F]`` presentation times of the frames, seconds from the span's start.
        duration: seconds of the span that the file covers; 0 for a still picture.
        offset: the span's start in the file, seconds.
        absent: {``"audio"`` or ``"video"``: reason} for a requested track that is missing.
        problems: errors that did not stop the reading, one line each.
    """

    audio: Floats | None = None
    rate: int | None = None
    frames: Pixels | None = None
    times: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    duration: float = 0.0
    offset: float = 0.0
    absent: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class SpanReader:
    """Collects the pieces of one pass over a file.

    Times of its methods count from the span's start.

    Args:
        path: any audio, video or image file.
        start: start of the span, seconds from the file's beginning; ``None`` is 0.
        end: end of the span, seconds from the file's beginning; ``None`` is the end of the file.
        rate: sample rate of the output, Hz; ``None`` omits the audio.
        fps: frames per second of the output; ``None`` omits the pictures.
        max_frames: maximum number of frames, spread evenly over the span.
        max_side: maximum length of the longer side of a frame, pixels.
        channel: audio channel, from 0; ``None`` mixes all channels.
        track: number of the audio track, from 1; ``None`` selects one with speech.
        where: name of the clip, for messages.

    Raises:
        MediaError: the file cannot be opened, or the span, channel or track does not exist in it.
    """

    def __init__(
        self,
        path: str | Path,
        start: float | None,
        end: float | None,
        rate: int | None,
        fps: float | None,
        max_frames: int | None,
        max_side: int | None,
        channel: int | None,
        track: int | None,
        where: str,
    ) -> None:
        self.file = check_path(path, where)
        self.rate, self.fps, self.max_frames, self.max_side, self.where = rate, fps, max_frames, max_side, where
        self.channel, self.track = channel, track
        self.start, self.end = _check_span(self.file, start, end, where)
        _check_positive(self.file, where, rate=rate, fps=fps, max_frames=max_frames, max_side=max_side)
        self.absent: dict[str, str] = {}
        self.problems: list[str] = []
        self.sounds: list[SoundPiece] = []
        self.sound_end = -math.inf
        self.frames: list[tuple[float, Pixels]] = []
        self.previous_picture: Picture | None = None
        self._size = 0
        self.still = is_still(self.file)
        if not self.still:
            self._open()

    def _open(self) -> None:
        container = open_container(self.file, self.where)
        origin = origin_of(container)
        length = length_of(self.file, container, origin)
        if self.start > 0 and length.recordings is None:
            length = length_of(self.file, container, origin, whole=True)
        self.exact = length.exact
        self.problems += length.notes
        self.header = math.inf if length.seconds is None else length.seconds
        self.span = min(self.end, self.header) - self.start
        reason = too_long(self.span) if self.exact and math.isfinite(self.span) else None
        if reason is not None:
            container.close()
            raise media_error(self.where, self.file, reason)
        if self.span <= 0 and self.exact:
            container.close()
            reason = f"the span starts at {self.start:.2f} s but the file lasts {self.header:.2f} s; correct the span"
            raise media_error(self.where, self.file, reason)
        chosen = ChosenTrack() if self.rate is None else choose_track(self.file, container, self.track, self.where)
        sound = self._requested("audio", self.rate, chosen.of(container), chosen.absent)
        video = self._requested("video", self.fps, video_stream(container), "the file has no video track")
        self.problems += [n for n in chosen.notes if self.channel is None or n not in chosen.mix.channel_notes]
        if sound is not None and self.channel is not None and not 0 <= self.channel < sound.codec_context.channels:
            reason = f"has {sound.codec_context.channels} audio channels, so there is no channel {self.channel}"
            raise media_error(self.where, self.file, f"{reason}; they count from 0")
        self.aspect = 1.0 if video is None else pixel_aspect(video)
        self.grid = _FrameGrid(self.span, self.fps or 1.0, self.max_frames)
        self.run = Pass(
            container,
            origin,
            AudioTrack(sound, self.rate, origin, self.start, self.channel, chosen.mix) if sound and self.rate else None,
            VideoTrack(video, origin, self.grid.step) if video else None,
            self.start,
            self.end,
            length.recordings,
        )
        self.audio, self.video = self.run.audio, self.run.video

    def _requested(self, key: str, requested: float | None, stream: Any, absent: str) -> Any:
        if requested is None:
            return None
        if stream is None:
            self.absent[key] = absent
        return stream

    def read_still(self) -> Media:
        """Return a still picture as a single frame at time 0."""
        if self.rate is not None:
            self.absent["audio"] = "a still picture has no sound"
        if self.fps is None:
            return Media(absent=self.absent)
        picture, notes = read_still(self.file, self.max_side, self.where)
        return Media(frames=picture[None], times=np.zeros(1), absent=self.absent, problems=notes)

    def take(self, piece: SoundPiece | Picture) -> None:
        """Keep a piece that belongs to the span, and stop a track that has reached the span's end."""
        if isinstance(piece, SoundPiece):
            length = len(piece.samples)
            self.sound_end = (piece.position + length) / (self.rate or 1)
            if piece.position + length > 0 and piece.position < (self.end - self.start) * (self.rate or 1):
                self.sounds.append(piece)
                self._kept(piece.samples.nbytes)
            if self.sound_end >= self.end - self.start:
                self.run.audio = None
            return
        time = piece.time - self.start
        if time < -TIME_TOLERANCE:
            self.previous_picture = piece
        elif piece.time >= self.end:
            self.run.video = None
        elif self.grid.due(time):
            picture = to_rgb(piece.frame, piece.orientation, self.aspect, self.max_side)
            self.frames.append((max(time, 0.0), picture))
            self._kept(picture.nbytes)
            if self.max_frames and not self.grid.times and len(self.frames) >= 2 * self.max_frames:
                self._size -= sum(dropped.nbytes for _, dropped in self.frames[1::2])
                self.frames = self.frames[::2]
                self.grid.step *= 2
            if self.grid.done:
                self.run.video = None

    def _kept(self, size: int) -> None:
        """Count what is in memory.

        Raises:
            MediaError: it exceeds the limit.
        """
        self._size += size
        if reason := too_much(self._size, "its sound and pictures"):
            raise media_error(self.where, self.file, reason)

    def passed(self, time: float) -> bool:
        """Whether both tracks are past a time, so that no earlier piece can follow."""
        reached = []
        if self.audio is not None:
            reached.append(math.inf if self.run.audio is None else self.sound_end)
        if self.video is not None:
            reached.append(math.inf if self.run.video is None else self.video.time - self.start)
        finite = [r for r in reached if math.isfinite(r)]
        return bool(finite) and (min(reached) >= time or max(finite) >= time + TRACK_LAG)

    def drop(self, time: float) -> None:
        """Drop the pieces that end before a time, seconds from the span's start."""
        edge = time * (self.rate or 1)
        self.sounds = [s for s in self.sounds if s.position + len(s.samples) > edge]
        self.frames = [f for f in self.frames if f[0] >= time - TIME_TOLERANCE]
        self._size = sum(s.samples.nbytes for s in self.sounds) + sum(picture.nbytes for _, picture in self.frames)

    def cut(self, low: float, high: float, max_frames: int | None) -> Media:
        """Return the part between two times, as a span of its own.

        Args:
            low: start, seconds from the span's start.
            high: end, seconds from the span's start.
            max_frames: maximum number of frames, spread evenly; ``None`` keeps all.
        """
        media = Media(rate=self.rate, duration=high - low, offset=self.start + low, absent=dict(self.absent))
        span = f"from {self.start + low:.2f} to {self.start + high:.2f} s"
        if self.audio is not None and self.rate:
            media.audio = _join(self.sounds, round(low * self.rate), round(high * self.rate))
            if not len(media.audio):
                media.audio = None
                media.absent["audio"] = f"the audio track has nothing {span}"
        if self.video is not None:
            inside = [f for f in self.frames if low - TIME_TOLERANCE <= f[0] < high - TIME_TOLERANCE]
            if max_frames and len(inside) > max_frames:
                inside = [inside[i] for i in _evenly(len(inside), max_frames)]
            media.times = np.array([max(t - low, 0.0) for t, _ in inside])
            if inside:
                height, width = inside[0][1].shape[:2]  # the picture size may change within a video
                media.frames = np.stack([fit_picture(picture, height, width) for _, picture in inside])
            else:
                media.absent["video"] = f"the video track has no frame {span}"
        return media

    def conclude(self) -> float:
        """Collect the problems after the pass, and return the number of seconds covered.

        Raises:
            MediaError: there is a track, but nothing of it was decoded.
        """
        if not self.frames and self.previous_picture is not None and self.video is not None:
            # The picture on screen when the span starts.
            shown = self.previous_picture
            self.frames.append((0.0, to_rgb(shown.frame, shown.orientation, self.aspect, self.max_side)))
        self.problems += [*self.run.problems, *animation_problems(self.file)]
        reached = max(self.run.reached - self.start, self.sound_end, self.frames[-1][0] if self.frames else 0.0)
        covered = reached if self.run.exhausted or math.isinf(self.span) else max(reached, self.span)
        covered = max(0.0, min(covered, self.end - self.start))
        if (self.audio or self.video) and not (self.frames or self.sounds) and math.isinf(self.sound_end):
            what = f"nothing could be decoded from {self.start:.2f} s on"
            raise not_decoded_error(self.file, what, self.run.problems, self.where)
        if not (self.audio or self.video):
            return max(0.0, self.span) if math.isfinite(self.span) else 0.0
        if self.exact and self.run.exhausted and self.span - covered > END_TOLERANCE:
            header = self.start + self.span
            self.problems.append(f"the file is cut off: {self.start + covered:.2f} of {header:.2f} s are there")
        elif math.isfinite(self.end) and self.end - self.start - covered > END_TOLERANCE:
            self.problems.append(f"the span ends at {self.end:.2f} s but the file ends at {self.start + covered:.2f} s")
        return covered

    def finish(self) -> Media:
        """Return the whole span, after the pass."""
        total = self.conclude()
        media = self.cut(0.0, total + 1.0, self.max_frames)
        media.duration, media.problems = total, self.problems
        if media.audio is not None and self.rate and math.isfinite(self.end):
            media.audio = media.audio[: round((self.end - self.start) * self.rate)]
        return media


class _FrameGrid:
    """The times of the requested frames: a regular grid, or a fixed number spread over the span.

    Args:
        span: length of the span, seconds; may be infinite.
        fps: frames per second of the grid.
        count: maximum number of frames, if the span is finite; ``None`` for no limit.
    """

    def __init__(self, span: float, fps: float, count: int | None) -> None:
        self.step = 1.0 / fps
        self.times: list[float] = []
        self.next = 0.0
        if count and math.isfinite(span) and math.ceil(span * fps - 1e-9) > count:
            self.step = span / count
            self.times = [(i + 0.5) * self.step for i in range(count)]
            self.next = self.times[0]

    @property
    def done(self) -> bool:
        """Whether all requested frames have been found."""
        return math.isinf(self.next)

    def due(self, time: float) -> bool:
        """Whether a frame at this time is requested. If so, move on to the next requested time."""
        if time < self.next - TIME_TOLERANCE:
            return False
        if self.times:
            index = bisect_right(self.times, time + TIME_TOLERANCE)
            self.next = self.times[index] if index < len(self.times) else math.inf
        else:
            self.next = (math.floor((time + TIME_TOLERANCE) / self.step) + 1) * self.step
        return True


def _evenly(count: int, kept: int) -> list[int]:
    """Return the indices of ``kept`` of ``count`` items, each from the middle of its share."""
    return [int((i + 0.5) * count / kept) for i in range(kept)]


def _join(sounds: list[SoundPiece], low: int, high: int) -> Floats:
    """Join samples ``low`` to ``high``, up to the last available one, with silence in the gaps."""
    inside = [s for s in sounds if s.position < high and s.position + len(s.samples) > low]
    stop = max((min(high, s.position + len(s.samples)) for s in inside), default=low)
    samples = np.zeros(stop - low, dtype=np.float32)
    for sound in inside:
        first, last = max(sound.position, low), min(sound.position + len(sound.samples), stop)
        samples[first - low : last - low] = sound.samples[first - sound.position : last - sound.position]
    return samples


def _check_span(file: Path, start: float | None, end: float | None, where: str) -> tuple[float, float]:
    low = 0.0 if start is None else start
    high = math.inf if end is None else end
    if not (0 <= low < high) or math.isinf(low):
        raise media_error(where, file, f"the span {start} to {end} is invalid; start must be 0 or more and below end")
    return low, high


def _check_positive(file: Path, where: str, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not (0 < value < math.inf):
            raise media_error(where, file, f"{name} must be a positive number, got {value}")
