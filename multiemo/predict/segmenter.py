"""Sound in, spans out: turns of speech and the pauses between them, or fixed windows, each as soon as it is decided.

Who speaks when is decided as silero-vad does (``get_speech_timestamps``): a turn begins where the probability of a
voice reaches 0.5 and ends where it falls below 0.35 and does not come back to 0.5 for a while; what holds no more than
a quarter of a second of voice is none. Here that while is half a second instead of 0.1: the median pause, between the
brief ones inside an utterance (below 0.2 s) and the long ones (above 1 s) of Campione & Véronis 2002, "A large-scale
multilingual study of silent pause duration". Only a long pause is a span of its own; a shorter one is shared by the
turns on its two sides. Music and noise without a voice are pauses.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from multiemo.errors import ConfigError, MediaError
from multiemo.preprocess.voice_activity import RATE, STEP, VoiceActivity

Floats: TypeAlias = NDArray[np.float32]
Mode: TypeAlias = Literal["whole", "speech", "windows"]
Kind: TypeAlias = Literal["whole", "speech", "pause", "window"]

#: Probabilities of a voice at which a turn begins and ends.
ENTER, LEAVE = 0.5, 0.35
#: Seconds: less voice is no turn; so long a silence ends one; added to its two sides.
MIN_SPEECH, MIN_SILENCE, PAD = 0.25, 0.5, 0.03
#: Shorter pauses (seconds) belong to the turns beside them; with a window below twice this, half of that.
MIN_PAUSE = 1.0
#: Shortest window, seconds.
MIN_WINDOW = 0.5
# The same in samples.
_MIN_SPEECH, _MIN_SILENCE, _PAD = round(MIN_SPEECH * RATE), round(MIN_SILENCE * RATE), round(PAD * RATE)
#: Samples until it is known whether a voice that begins is a turn.
_DOUBT = _MIN_SPEECH + _MIN_SILENCE + 2 * STEP
#: Steps on each side of a cut over which the voice is averaged: 0.19 s in all, where pauses cease to be brief.
_AROUND = 3
#: Samples of silence that are made at once.
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the media.

    Args:
        start, end: seconds.
        kind: ``whole``, ``speech``, ``pause`` or ``window``.
    """

    start: float
    end: float
    kind: Kind


class Voice(Protocol):
    """Sound at 16 kHz in, the probability of a voice for each 512 samples out; see :class:`VoiceActivity`."""

    def __call__(self, samples: Floats) -> Floats:
        """The steps that are complete with these samples."""
        ...

    def flush(self) -> Floats:
        """The last step, if samples are left."""
        ...


class Segmenter:
    """Cuts media into spans, while it comes in.

    Spans come in order of time. They tile the media from 0 to its end, except that windows with a ``hop`` below their
    length overlap. Blocks of any size give the same spans.

    - ``whole``: one span.
    - ``speech``: turns of at most one and a half ``window`` (and the short pauses beside them), longer ones cut where
      the voice is weakest, neither part below half a ``window``; between them pauses, long ones in pieces of at most
      one ``window``.
    - ``windows``: one of ``window`` seconds every ``hop`` seconds. What is left at the end and brings less than half a
      hop of news belongs to the last window.

    Args:
        mode: as above.
        window: seconds.
        hop: seconds between windows; ``window`` by default.
        voice: who hears a voice; the silero-vad network by default, loaded for ``speech`` only.

    Raises:
        ConfigError: a value out of range, or the voice network's file is missing.

    Example:
        >>> segmenter = Segmenter("windows", window=4.0)
        >>> segmenter.audio(np.zeros(7 * 16000, np.float32))
        [Span(start=0.0, end=4.0, kind='window')]
        >>> segmenter.close(9.5)
        [Span(start=4.0, end=9.5, kind='window')]
    """

    def __init__(
        self, mode: Mode, *, window: float = 4.0, hop: float | None = None, voice: Voice | None = None
    ) -> None:
        _check(mode, window, hop)
        size = round(window * RATE)
        self._plan: _Plan
        self._voice: Voice | None = None
        if mode == "whole":
            self._plan = _Whole()
        elif mode == "windows":
            self._plan = _Windows(size, size if hop is None else max(round(hop * RATE), 1))
        else:
            self._plan, self._voice = _Turns(size), voice or VoiceActivity()
        self._reached = 0  # samples
        self._sounded = False
        self._silence = 0  # samples before the first sound that no step holds yet

    @property
    def look_ahead(self) -> float:
        """Seconds of media that can be undecided.

        When the media has been given up to time ``t``, every span that begins before ``t - look_ahead`` is out:
        infinite for ``whole``, one window and half a hop for ``windows``, and for ``speech`` two windows and a little
        more than half a second (8.6 s for a window of 4 s; a turn that ends earlier is out 1 to 2 s after its end).
        """
        return self._plan.look_ahead / RATE

    def audio(self, samples: Floats) -> list[Span]:
        """Sound that follows what was given before.

        Args:
            samples: ``[N]`` float32 mono at 16 kHz; the first of all is at time 0.

        Returns:
            The spans that are decided now.
        """
        if not len(samples):
            return []
        self._reached += len(samples)
        levels = np.zeros(0, dtype=np.float32)
        if self._voice is not None:
            silence = np.zeros(self._silence, dtype=np.float32)
            levels = self._voice(np.concatenate([silence, samples]) if self._silence else samples)
        self._sounded, self._silence = True, 0
        return _spans(self._plan.hear(levels, self._reached))

    def advance(self, time: float) -> list[Span]:
        """No sound will come for what lies before ``time`` (seconds) and has not been given yet.

        For media without sound, before sound that begins late, or in a gap. Nothing happens when the sound is further.

        Raises:
            MediaError: not a time.
        """
        if not math.isfinite(time):
            raise MediaError(f"the time {time} is not a number of seconds; repair the timestamps of the media")
        missing = max(round(time * RATE) - self._reached, 0)
        if self._sounded:
            blocks = (min(_BLOCK, missing - first) for first in range(0, missing, _BLOCK))
            return [span for size in blocks for span in self.audio(np.zeros(size, dtype=np.float32))]
        self._reached += missing
        steps, self._silence = divmod(self._silence + missing, STEP)
        return _spans(self._plan.hear(np.zeros(steps, dtype=np.float32), self._reached))

    def close(self, duration: float) -> list[Span]:
        """The media ends at ``duration`` (seconds), or with its sound where that is longer.

        Returns:
            The spans that were not decided yet; at least one where there was none before. Nothing may be given after.

        Raises:
            MediaError: not a time.
        """
        found = self.advance(duration)
        levels = np.zeros(1 if self._silence else 0, dtype=np.float32)
        if self._voice is not None and self._sounded:
            levels = self._voice.flush()
        found += _spans(self._plan.close(levels, self._reached))
        last = found.pop()
        end = duration if self._reached <= math.ceil(duration * RATE) else self._reached / RATE
        return [*found, Span(last.start, end, last.kind)]


def _check(mode: str, window: float, hop: float | None) -> None:
    if mode not in ("whole", "speech", "windows"):
        raise ConfigError(f"segments: unknown mode {mode!r}; choices: whole, speech, windows")
    if not (window >= MIN_WINDOW and math.isfinite(window)):
        raise ConfigError(f"segments: window is {window}; give at least {MIN_WINDOW} seconds")
    if hop is not None and mode != "windows":
        raise ConfigError(f"segments: hop is {hop}, but only windows have one; leave it out for {mode!r}")
    if hop is not None and not 0 < hop <= window:
        raise ConfigError(f"segments: hop is {hop}; give seconds above 0 and at most the window ({window})")


# --------------------------------------------------------------------------------------------------------------------
# Plans: probabilities of a voice in, pieces out. Everything is counted in samples, one step after the other.


class _Piece(NamedTuple):
    """A span, in samples."""

    start: int
    end: int
    kind: Kind


def _spans(pieces: Iterable[_Piece]) -> list[Span]:
    return [Span(p.start / RATE, p.end / RATE, p.kind) for p in pieces]


class _Plan(Protocol):
    """How media is cut."""

    @property
    def look_ahead(self) -> float:
        """Samples; see :attr:`Segmenter.look_ahead`."""
        ...

    def hear(self, levels: Floats, reached: int) -> list[_Piece]:
        """More steps, and how far the media has come."""
        ...

    def close(self, levels: Floats, end: int) -> list[_Piece]:
        """The last step, if one is left, and where the media ends; at least one piece."""
        ...


class _Whole:
    look_ahead = math.inf

    def hear(self, levels: Floats, reached: int) -> list[_Piece]:
        return []

    def close(self, levels: Floats, end: int) -> list[_Piece]:
        return [_Piece(0, end, "whole")]


class _Windows:
    def __init__(self, window: int, hop: int) -> None:
        self._window, self._hop, self._start = window, hop, 0
        self.look_ahead = float(window + hop / 2)

    def hear(self, levels: Floats, reached: int) -> list[_Piece]:
        found = []
        while reached - self._start >= self.look_ahead:
            found.append(_Piece(self._start, self._start + self._window, "window"))
            self._start += self._hop
        return found

    def close(self, levels: Floats, end: int) -> list[_Piece]:
        return [_Piece(self._start, end, "window")]


class _Turns:
    """Turns and pauses; ``edge`` is where the last piece ended."""

    def __init__(self, window: int) -> None:
        self._window, self._floor = window, min(round(MIN_PAUSE * RATE), window // 2)
        self.look_ahead = float(max(
            3 * window // 2 + self._floor + 2 * _PAD + _DOUBT,
            2 * window + _MIN_SILENCE + 2 * STEP,
        ))  # fmt: skip
        self._now = self._edge = 0
        self._levels: list[float] = []  # of the steps from that of the edge on
        self._voice: int | None = None  # where a voice began that has not ended
        self._dip: int | None = None  # where it may have ended
        self._turn = False  # what follows the edge is a turn
        self._ended: int | None = None  # where this turn ended; the pause after it may be short

    def hear(self, levels: Floats, reached: int) -> list[_Piece]:
        return [piece for level in levels.tolist() for piece in self._step(level, self._now + STEP)]

    def close(self, levels: Floats, end: int) -> list[_Piece]:
        found = [piece for level in levels.tolist() for piece in self._step(level, end)]
        if self._turn and self._ended is None:
            found += self._end(end if self._dip is None else self._dip)
        if self._ended is not None and end - self._ended - _PAD < self._floor:
            return [*found, self._cut(end, "speech")]
        if self._ended is not None:
            found.append(self._cut(self._ended + _PAD, "speech"))
        return [*found, *self._pause(end)]

    def _step(self, level: float, now: int) -> list[_Piece]:
        """One more probability, of the samples up to ``now``."""
        at, self._now = self._now, now
        self._levels.append(level)
        found: list[_Piece] = []
        if level >= ENTER:
            self._dip = None
            self._voice = at if self._voice is None else self._voice
        elif self._voice is not None and level < LEAVE:
            self._dip = at if self._dip is None else self._dip
        if self._voice is not None:
            spoken = (now if self._dip is None else self._dip) - self._voice
            if spoken > _MIN_SPEECH and (not self._turn or self._ended is not None):
                found += self._begin(self._voice)
            if self._dip is not None and at - self._dip >= _MIN_SILENCE:
                if self._turn and self._ended is None:
                    found += self._end(self._dip)
                self._voice = self._dip = None
        return found + self._settle()

    def _begin(self, at: int) -> list[_Piece]:
        """A turn begins."""
        if self._ended is not None:  # the pause since the one before is short
            middle, self._ended = (self._ended + at) // 2, None
            return [self._cut(middle, "speech")]
        self._turn = True
        return self._pause(at - _PAD) if at - _PAD - self._edge >= self._floor else []

    def _end(self, at: int) -> list[_Piece]:
        """The turn ends; what is left of it waits for the pause after it."""
        found, half = [], self._window // 2
        while at - self._edge > 3 * half:
            found.append(self._cut(self._weakest(min(self._edge + 3 * half, at - half)), "speech"))
        self._ended = at
        return found

    def _settle(self) -> list[_Piece]:
        """What is decided by how long a turn or a pause is by now."""
        found, half = [], self._window // 2
        quiet = self._now if self._voice is None else self._voice
        if self._ended is not None:
            if quiet - self._ended >= self._floor + 2 * _PAD:
                found.append(self._cut(self._ended + _PAD, "speech"))
                self._turn, self._ended = False, None
        elif self._turn and self._dip is None:
            while self._now - self._edge > 3 * half:
                at = self._weakest(self._edge + 3 * half)
                if self._now - at < half:
                    break
                found.append(self._cut(at, "speech"))
        while not self._turn and quiet - self._edge >= self._window + self._floor + _PAD:
            found.append(self._cut(self._edge + self._window, "pause"))
        return found

    def _pause(self, end: int) -> list[_Piece]:
        """The pause up to ``end`` in equal pieces."""
        start = self._edge
        count = max(1, -(-(end - start) // self._window))
        return [self._cut(start + (end - start) * (k + 1) // count, "pause") for k in range(count)]

    def _weakest(self, last: int) -> int:
        """Where the voice is weakest from half a window behind the edge to ``last``; of equals nearest to a window."""
        first = self._edge // STEP  # step
        low = -(-(self._edge + self._window // 2) // STEP)
        places = range(low, last // STEP + 1)  # a cut lies between two steps

        def cost(place: int) -> tuple[float, int]:
            around = self._levels[max(place - _AROUND, first) - first : place + _AROUND - first]
            return round(sum(around) / len(around), 1), abs(place * STEP - self._edge - self._window)

        return STEP * min(places, key=cost)

    def _cut(self, at: int, kind: Kind) -> _Piece:
        piece = _Piece(self._edge, at, kind)
        del self._levels[: at // STEP - self._edge // STEP]
        self._edge = at
        return piece
