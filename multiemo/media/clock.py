"""The clock of a media file: recordings that were joined start it again, and each begins where the one before ended."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from multiemo.media.container import FAILURES, TRACK_LAG, exact_header, header_end, open_container, origin_of
from multiemo.media.trailing_data import behind

#: Containers that FFmpeg reads as one recording only, and whose header tells its end.
_WHOLE = {"mov", "mp4", "wav", "w64", "aiff", "flv", "caf"}
#: Containers whose clock may be set anew at any moment, to any time (``AVFMT_TS_DISCONT`` of FFmpeg).
_RESETTABLE = {"ogg", "mpegts", "mpeg"}
#: Seconds that times may run backwards within one recording.
_BACK = 0.3
#: A time this far (seconds) from that of the beginning is a clock that starts again.
_ANEW = 1.0
#: Packets of the recording before may come so late (seconds) that the next one has begun.
_STRAY = 0.5
#: A longer jump (seconds) of a clock that cannot be set anew is a broken time.
_BROKEN = 600.0
#: Seconds up to which a file is measured whatever its header says: longer ones are cut the same way anyway.
_ENOUGH = 100.0


class Clock:
    """Tells by how much the times of each packet are to be shifted.

    Args:
        origin: the file's clock at its beginning, seconds.
        resettable: whether the clock may be set to any time; otherwise it can only start again.
        recordings: in the file, where they have been counted.
    """

    def __init__(self, origin: float, *, resettable: bool, recordings: int | None = None) -> None:
        self._resettable = resettable
        self._most = math.inf if recordings is None else recordings
        self._origin = self._reached = origin
        self._shifts = [0.0]  # of each recording
        self._part: dict[int, int] = {}  # the recording that each track has come to
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self._before: dict[int, float] = {}  # where each track was when the last recording began

    @property
    def restarts(self) -> int:
        """How often the clock started again."""
        return len(self._shifts) - 1

    @property
    def reached(self) -> float:
        """Seconds from the file's beginning that packets have come to."""
        return self._reached - self._origin

    def reach(self, seconds: float) -> None:
        """What was decoded ends so many seconds from the beginning, whether or not its packets had times."""
        if seconds <= self.reached + _BROKEN:
            self._reached = max(self._reached, seconds + self._origin)

    def place(self, packet: Any) -> float:
        """The seconds by which the times of this packet, which follows those before, have to be shifted."""
        track, tick = packet.stream_index, float(packet.time_base or 0)
        part = self._part.get(track, self.restarts)
        stamp = packet.dts
        if stamp is None and packet.stream.type != "video":  # whose times of showing go to and fro
            stamp = packet.pts
        if stamp is None or not tick:
            return self._shifts[part]
        time, last = stamp * tick, self._last.get(track)
        if last is not None and self._starts_again(track, time, last, part):
            part, last = self._next(track, part, time), None
        elif part < self.restarts and self._nearer(time, part):
            part, last = self.restarts, None
        elif part < self.restarts and time > self._before.get(track, math.inf) + _STRAY:
            self._revoke()
            part = self._part[track]
        elif last is None and self.restarts and not self._resettable:  # the tracks lie one behind the other
            while self.restarts:
                self._revoke()
            part = 0
        shown = time if packet.pts is None else packet.pts * tick
        end = shown + (packet.duration or 0) * tick + self._shifts[part]
        self._part[track] = part
        self._first.setdefault(track, time)
        if last is None or time - last <= _BROKEN:
            self._last[track] = time
            self._reached = max(self._reached, end)
        return self._shifts[part]

    def _starts_again(self, track: int, time: float, last: float, part: int) -> bool:
        if part + 1 >= self._most:
            return False
        if self._resettable and part == self.restarts and time + self._shifts[part] > self._reached + TRACK_LAG:
            return True
        return time < last - _BACK and (self._resettable or abs(time - self._first[track]) < _ANEW)

    def _next(self, track: int, part: int, time: float) -> int:
        """The recording after this one; the first track that comes to it sets its place."""
        if part == self.restarts:
            lead = max(0.0, self._first[track] - self._origin)  # after the other tracks
            self._shifts.append(self._reached + lead - time)
            self._before = dict(self._last)
        return part + 1

    def _revoke(self) -> None:
        """Another track goes on as before, so it was not the file's clock that started again."""
        del self._shifts[-1]
        self._part = {track: min(part, self.restarts) for track, part in self._part.items()}
        self._before = {}

    def _nearer(self, time: float, part: int) -> bool:
        """Whether a track that has not started again has come to the last recording, as others have."""
        now = self._reached
        return abs(time + self._shifts[-1] - now) < abs(time + self._shifts[part] - now)


def clock_of(container: Any, origin: float, recordings: int | None = None) -> Clock:
    """For one pass over a container."""
    return Clock(origin, resettable=bool(_RESETTABLE & _names(container)), recordings=recordings)


@dataclass(frozen=True, slots=True)
class Length:
    """How long a file is.

    Args:
        seconds: from its beginning; ``None`` when nothing tells.
        exact: whether that can be relied on.
        recordings: that were joined; ``None`` where they have not been counted.
        notes: what the user may want to know of what lies behind the end.
    """

    seconds: float | None
    exact: bool
    recordings: int | None = 1
    notes: tuple[str, ...] = ()


def length_of(file: Path, container: Any, origin: float, *, whole: bool = False) -> Length:
    """What the header says, unless the file is short or says nothing: then its packets are asked.

    The header of a file of several recordings tells of one of them, that of a recorded stream of none.

    Args:
        file, container, origin: an open file, which is left as it is.
        whole: ask the packets of a long file, too.
    """
    header, exact = header_end(container, origin), exact_header(container)
    if _WHOLE & _names(container):
        more = behind(file)
        return Length(header, exact, notes=() if more is None else (more,))
    if not (whole or header is None or header < _ENOUGH):
        return Length(header, exact, None)
    facts = file.stat()
    enough = math.inf if whole else _ENOUGH
    seconds, recordings = _measured(str(file.absolute()), facts.st_size, facts.st_mtime_ns, enough)
    if seconds is None:
        return Length(None if header is None or recordings > 1 else header, False, None)
    if header is not None and exact and recordings == 1:
        return Length(max(header, seconds), True)
    return Length(seconds if seconds > 0 else header, seconds > 0, recordings)


@lru_cache(maxsize=4096)
def _measured(path: str, size: int, modified: int, enough: float) -> tuple[float | None, int]:
    """Where the last packet ends, ``None`` if beyond ``enough`` seconds, and how many recordings there are."""
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
            pass  # as far as it goes
        return clock.reached, clock.restarts + 1


def _untimed(packet: Any) -> float:
    """Seconds of sound in a packet without times, as FFmpeg makes of what lies between two joined recordings."""
    if packet.pts is not None or packet.dts is not None or packet.stream.type != "audio" or not packet.size:
        return 0.0
    try:
        return float(sum(frame.samples / frame.sample_rate for frame in packet.decode() if frame.sample_rate > 0))
    except FAILURES:
        return 0.0


def joined(recordings: int) -> str:
    """What the user may want to know of a file of several recordings."""
    return f"{recordings} recordings were joined in this file; each was put behind the one before it"


def _names(container: Any) -> set[str]:
    return set(container.format.name.split(","))
