"""One pass over a media file: packets in, timed pieces of audio and pictures out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import av

from multiemo.media.clock import clock_of, joined_note
from multiemo.media.container import FAILURES, PLAYED_TRACKS, PREROLL, TRACK_LAG, describe_error
from multiemo.media.picture_track import Picture, VideoTrack
from multiemo.media.sound_track import AudioTrack, SoundPiece


@dataclass(slots=True)
class Pass:
    """One pass over an open container, from ``start`` on.

    Iterating yields :class:`SoundPiece` and :class:`Picture` in the file's order. The caller sets ``audio`` or
    ``video`` to ``None`` when it has enough of a track. The pass ends when both are ``None``.

    Args:
        container: open PyAV container.
        origin: value of the file's clock at its beginning, seconds. FFmpeg cannot seek to times below 0, so a file that
            begins there is read from its beginning.
        audio: audio track to decode, or ``None``.
        video: video track to decode, or ``None``.
        start: seconds from the file's beginning.
        end: seconds from the file's beginning. A packet later than this plus :data:`TRACK_LAG` ends the pass.
        recordings: number of joined recordings in the file; ``None`` if they have not been counted. FFmpeg can seek
            only within the first, so a file with others is read from its beginning.
        reached: end of the last packet of sound or pictures so far, seconds from the file's beginning.
        exhausted: whether the end of the file, or an error, was reached.
        problems: what could not be read, one line each.
    """

    container: Any
    origin: float
    audio: AudioTrack | None
    video: VideoTrack | None
    start: float = 0.0
    end: float = math.inf
    recordings: int | None = 1
    reached: float = -math.inf
    exhausted: bool = False
    problems: list[str] = field(default_factory=list)
    _ticks: dict[int, float] = field(default_factory=dict)

    def __enter__(self) -> Pass:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def __iter__(self) -> Iterator[SoundPiece | Picture]:
        tracks = (self.audio, self.video)
        clock = clock_of(self.container, self.origin, self.recordings)
        try:
            self._seek()
            for packet in packets(self.container):
                self._shift(packet, clock.place(packet))
                if self._past_the_end(packet):
                    break
                if self.audio is None and self.video is None:
                    break
                if packet.dts is None and packet.pts is None and packet.size == 0:
                    continue  # PyAV's flush packets: the tracks are flushed below, at the real end of the file
                for track in (self.audio, self.video):
                    if track is not None and packet.stream_index == track.stream.index:
                        yield from track.decode(packet)
                if self.audio is not None and math.isfinite(self.audio.time):
                    clock.reach(self.audio.time)
            else:
                self.exhausted = True
        except FAILURES as error:
            self.exhausted = True
            self.problems.append(f"reading stopped after {max(self.reached, 0):.2f} s ({self._cause(error)})")
        for track in (self.audio, self.video):
            if track is not None:
                try:
                    yield from track.decode(None)
                except ValueError as error:  # the limit of pictures
                    self.problems.append(f"reading stopped after {max(track.time, 0):.2f} s ({error})")
        for name, track in zip(("sound", "pictures"), tracks, strict=True):
            if track is not None and track.errors and not math.isfinite(track.time):
                self.problems.append(f"none of its {name} could be decoded")
        broken = sum(track.errors for track in tracks if track is not None)
        if broken:
            self.problems.append(f"{broken} packets could not be decoded and were left out")
        if self.exhausted and clock.restarts:
            self.problems.append(joined_note(clock.restarts + 1))

    def _cause(self, error: BaseException) -> str:
        if isinstance(error, av.PatchWelcomeError) and self.container.format.name == "ogg":
            return "the next joined recording has another sample rate or channel count; split the file there"
        return describe_error(error)

    def _shift(self, packet: Any, seconds: float) -> None:
        """Shift a packet's timestamps by some seconds."""
        if not seconds:
            return
        ticks = round(seconds / float(packet.time_base))
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks

    def _seek(self) -> None:
        if self.start > 2 * PREROLL and self.origin >= 0 and (self.recordings or 1) == 1:
            try:
                self.container.seek(int((self.start - PREROLL + self.origin) * av.time_base), backward=True)
            except FAILURES:
                self.container.seek(0, any_frame=True)

    def _past_the_end(self, packet: Any) -> bool:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.stream_index not in self._ticks:
            played = packet.stream.type in PLAYED_TRACKS
            self._ticks[packet.stream_index] = float(packet.time_base or 0) if played else 0.0
        tick = self._ticks[packet.stream_index]
        if stamp is None or not tick:
            return False
        time = stamp * tick - self.origin
        self.reached = max(self.reached, time + (packet.duration or 0) * tick)
        return bool(time > self.end + TRACK_LAG)


def packets(container: Any) -> Iterator[Any]:
    """Yield all packets of a container, including a file in which further tracks begin later."""
    while True:
        try:
            yield from container.demux()
            return
        except IndexError:
            continue  # PyAV's error for a packet of a track that was not there when the file was opened
