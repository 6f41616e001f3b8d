"""The clock of a media file that may hold several joined recordings.

Each joined recording restarts the clock. Its timestamps are shifted so that it begins where the one before it ended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from multiemo.media.container import (
    FAILURES,
    PLAYED_TRACKS,
    TRACK_LAG,
    exact_header,
    header_end,
    open_container,
    origin_of,
)
from multiemo.media.trailing_data import trailing_recording

#: Containers that FFmpeg reads as a single recording and whose header gives its end.
_SINGLE_RECORDING = {"mov", "mp4", "wav", "w64", "aiff", "flv", "caf"}
#: Containers whose clock may jump to any time at any point (FFmpeg's ``AVFMT_TS_DISCONT``).
_RESETTABLE = {"ogg", "mpegts", "mpeg"}
#: Seconds by which timestamps may run backwards within one recording.
_BACKWARD_TOLERANCE = 0.3
#: A timestamp within this many seconds of the track's first one may be a clock that restarted.
_RESTART_TOLERANCE = 1.0
#: Packets of the previous recording may arrive up to this many seconds after the next one has begun.
_LATE_PACKET_TOLERANCE = 0.5
#: A jump longer than this (seconds) in a clock that cannot be reset is a broken timestamp.
_MAX_JUMP = 600.0
#: Files up to this many seconds are measured packet by packet, whatever their header says. Longer files are segmented
#: the same way in any case.
_MEASURED_SECONDS = 100.0


class Clock:
    """Computes the shift of each packet's timestamps.

    Args:
        origin: value of the file's clock at its beginning, seconds.
        resettable: whether the clock may jump to any time. If not, it can only restart.
        recordings: number of recordings in the file, if they have been counted.
    """

    def __init__(self, origin: float, *, resettable: bool, recordings: int | None = None) -> None:
        self._resettable = resettable
        self._max_recordings = math.inf if recordings is None else recordings
        self._origin = self._reached = origin
        self._shifts = [0.0]  # one per recording, seconds
        self._part: dict[int, int] = {}  # {track: index of its current recording}
        self._first: dict[int, float] = {}  # {track: its first timestamp}
        self._last: dict[int, float] = {}  # {track: its latest timestamp}
        self._before: dict[int, float] = {}  # {track: its latest timestamp when the last recording began}

    @property
    def restarts(self) -> int:
        """Number of times the clock has restarted."""
        return len(self._shifts) - 1

    @property
    def reached(self) -> float:
        """End of the packets so far, seconds from the file's beginning."""
        return self._reached - self._origin

    def reach(self, seconds: float) -> None:
        """Advance to the end of what was decoded, whether or not its packets had timestamps.

        Args:
            seconds: from the file's beginning.
        """
        if seconds <= self.reached + _MAX_JUMP:
            self._reached = max(self._reached, seconds + self._origin)

    def place(self, packet: Any) -> float:
        """Return the shift of a packet's timestamps, seconds. Packets must be passed in file order.

        Only packets of sound and pictures advance the clock, since a caption may outlast them.
        """
        track, tick = packet.stream_index, float(packet.time_base or 0)
        part = self._part.get(track, self.restarts)
        if packet.stream.type not in PLAYED_TRACKS:
            return self._shifts[part]
        stamp = packet.dts
        if stamp is None and packet.stream.type != "video":  # presentation times of video are not in order
            stamp = packet.pts
        if stamp is None or not tick:
            return self._shifts[part]
        time, last = stamp * tick, self._last.get(track)
        if last is not None and self._starts_again(track, time, last, part):
            part, last = self._next(track, part, time), None
        elif part < self.restarts and self._nearer(time, part):
            part, last = self.restarts, None
        elif part < self.restarts and time > self._before.get(track, math.inf) + _LATE_PACKET_TOLERANCE:
            self._revoke()
            part = self._part[track]
        elif last is None and self.restarts and not self._resettable:  # the tracks are stored one after the other
            while self.restarts:
                self._revoke()
            part = 0
        shown = time if packet.pts is None else packet.pts * tick
        end = shown + (packet.duration or 0) * tick + self._shifts[part]
        self._part[track] = part
        self._first.setdefault(track, time)
        if last is None or time - last <= _MAX_JUMP:
            self._last[track] = time
            self._reached = max(self._reached, end)
        return self._shifts[part]

    def _starts_again(self, track: int, time: float, last: float, part: int) -> bool:
        if part + 1 >= self._max_recordings:
            return False
        if self._resettable and part == self.restarts and time + self._shifts[part] > self._reached + TRACK_LAG:
            return True
        return time < last - _BACKWARD_TOLERANCE and (
            self._resettable or abs(time - self._first[track]) < _RESTART_TOLERANCE
        )

    def _next(self, track: int, part: int, time: float) -> int:
        """Return the index of the next recording. The first track to reach it determines its shift."""
        if part == self.restarts:
            lead = max(0.0, self._first[track] - self._origin)  # this track's delay after the other tracks
            self._shifts.append(self._reached + lead - time)
            self._before = dict(self._last)
        return part + 1

    def _revoke(self) -> None:
        """Undo the last restart: another track continues on the old clock, so the file's clock did not restart."""
        del self._shifts[-1]
        self._part = {track: min(part, self.restarts) for track, part in self._part.items()}
        self._before = {}

    def _nearer(self, time: float, part: int) -> bool:
        """Whether the timestamp of a track that did not restart fits the last recording better than its own."""
        now = self._reached
        return abs(time + self._shifts[-1] - now) < abs(time + self._shifts[part] - now)


def clock_of(container: Any, origin: float, recordings: int | None = None) -> Clock:
    """Create the clock for one pass over a container.

    Args:
        container: open PyAV container.
        origin: value of the file's clock at its beginning, seconds.
        recordings: number of recordings in the file, if they have been counted.
    """
    return Clock(origin, resettable=bool(_RESETTABLE & _names(container)), recordings=recordings)


@dataclass(frozen=True, slots=True)
class Length:
    """The length of a file.

    Args:
        seconds: length from the file's beginning; ``None`` if unknown.
        exact: whether ``seconds`` is reliable.
        recordings: number of joined recordings; ``None`` if they have not been counted.
        notes: remarks for the user about data after the end.
    """

    seconds: float | None
    exact: bool
    recordings: int | None = 1
    notes: tuple[str, ...] = ()


def length_of(file: Path, container: Any, origin: float, *, whole: bool = False) -> Length:
    """Return the length of a file, from its header or from its packets.

    Packets are read if the file is short or its header has no length. The header of a file with several joined
    recordings describes only one of them, and the header of a recorded stream describes none.

    Args:
        file: path of the file.
        container: the open file. Its position does not change.
        origin: value of the file's clock at its beginning, seconds.
        whole: read the packets of a long file, too.
    """
    header, exact = header_end(container, origin), exact_header(container)
    if _SINGLE_RECORDING & _names(container):
        more = trailing_recording(file)
        return Length(header, exact, notes=() if more is None else (more,))
    if not (whole or header is None or header < _MEASURED_SECONDS):
        return Length(header, exact, None)
    facts = file.stat()
    enough = math.inf if whole else _MEASURED_SECONDS
    seconds, recordings = _measured(str(file.absolute()), facts.st_size, facts.st_mtime_ns, enough)
    if seconds is None:
        return Length(None if header is None or recordings > 1 else header, False, None)
    if header is not None and exact and recordings == 1:
        return Length(max(header, seconds), True)
    return Length(seconds if seconds > 0 else header, seconds > 0, recordings)


@lru_cache(maxsize=4096)
def _measured(path: str, size: int, modified: int, enough: float) -> tuple[float | None, int]:
    """Return the end of the last packet (``None`` if beyond ``enough`` seconds) and the number of recordings."""
    with open_container(Path(path), "") as container:
        origin = origin_of(container)
        clock = clock_of(container, origin)
        try:
            for packet in container.demux():
                clock.place(packet)
                clock.reach(clock.reached + _untimed(packet))
                if clock.reached > enough:
                    return None, clock.restarts + 1
        except FAILURES:
            pass  # the readable part counts
        return clock.reached, clock.restarts + 1


def _untimed(packet: Any) -> float:
    """Seconds of audio in a packet without timestamps, which FFmpeg produces between two joined recordings."""
    if packet.pts is not None or packet.dts is not None or packet.stream.type != "audio" or not packet.size:
        return 0.0
    try:
        return float(sum(frame.samples / frame.sample_rate for frame in packet.decode() if frame.sample_rate > 0))
    except FAILURES:
        return 0.0


def joined_note(recordings: int) -> str:
    """Return the note for a file of several joined recordings."""
    return f"{recordings} recordings were joined in this file; they were read one after the other"


def _names(container: Any) -> set[str]:
    return set(container.format.name.split(","))
