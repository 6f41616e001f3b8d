"""Finds turns of speech and the pauses between them, from the probability of a voice every 32 ms.

The rule is that of silero-vad (``get_speech_timestamps``). A turn begins where the probability of a voice reaches 0.5.
It ends where the probability falls below 0.35 and does not return to 0.5 for some time. A turn with at most a quarter
of a second of voice is ignored. That time is half a second here, instead of 0.1 s: the median pause, between the brief
pauses inside an utterance (below 0.2 s) and the long ones (above 1 s) of Campione & Véronis 2002, "A large-scale
multilingual study of silent pause duration". Only a long pause becomes a span; a shorter one is divided between the
turns beside it. Music and noise without a voice are pauses.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from multiemo.arrays import Floats
from multiemo.voice_activity import RATE, STEP

Kind: TypeAlias = Literal["whole", "speech", "pause", "window"]

#: Probabilities of a voice at which a turn begins and ends.
ENTER, LEAVE = 0.5, 0.35
#: Seconds: least voice in a turn, silence that ends a turn, and padding on both sides of a turn.
MIN_SPEECH, MIN_SILENCE, PAD = 0.25, 0.5, 0.03
#: A shorter pause (seconds) belongs to the turns beside it. For a window below twice this, half the window counts.
MIN_PAUSE = 1.0
# The same in samples.
_MIN_SPEECH, _MIN_SILENCE, _PAD = round(MIN_SPEECH * RATE), round(MIN_SILENCE * RATE), round(PAD * RATE)
#: Samples until it is decided whether a voice that begins is a turn.
_DECISION_DELAY = _MIN_SPEECH + _MIN_SILENCE + 2 * STEP
#: Steps on each side of a cut over which the voice is averaged: 0.19 s in all, the length of the longest brief pause.
_CUT_CONTEXT = 3


class Piece(NamedTuple):
    """A span, in samples."""

    start: int
    end: int
    kind: Kind


class Turns:
    """Cuts media into turns and pauses, step by step; see ``segmenter.Segmenter``. All positions are in samples.

    Args:
        window: samples.
    """

    def __init__(self, window: int) -> None:
        self._window, self._floor = window, min(round(MIN_PAUSE * RATE), window // 2)
        self.look_ahead = float(max(
            3 * window // 2 + self._floor + 2 * _PAD + _DECISION_DELAY,
            2 * window + _MIN_SILENCE + 2 * STEP,
        ))  # fmt: skip
        self._now = 0
        self._edge = 0  # end of the last piece
        self._levels: list[float] = []  # probabilities from the step that contains the edge
        self._voice: int | None = None  # start of a voice that has not ended
        self._dip: int | None = None  # where this voice may have ended
        self._turn = False  # whether a turn follows the edge
        self._ended: int | None = None  # end of this turn, while the pause after it may still be short

    def push(self, levels: Floats, reached: int) -> list[Piece]:
        """Take the probabilities of the next steps; returns the pieces that are decided now."""
        return [piece for level in levels.tolist() for piece in self._step(level, self._now + STEP)]

    def close(self, levels: Floats, end: int) -> list[Piece]:
        """Take the last probability, if there is one, and the end of the media; returns the remaining pieces."""
        found = [piece for level in levels.tolist() for piece in self._step(level, end)]
        if self._turn and self._ended is None:
            found += self._end(end if self._dip is None else self._dip)
        if self._ended is not None and end - self._ended - _PAD < self._floor:
            return [*found, self._cut(end, "speech")]
        if self._ended is not None:
            found.append(self._cut(self._ended + _PAD, "speech"))
        return [*found, *self._pause(end)]

    def _step(self, level: float, now: int) -> list[Piece]:
        """Take the probability of one step, which ends at ``now``."""
        at, self._now = self._now, now
        self._levels.append(level)
        found: list[Piece] = []
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

    def _begin(self, at: int) -> list[Piece]:
        """Begin a turn."""
        if self._ended is not None:  # the pause since the turn before is short
            middle, self._ended = (self._ended + at) // 2, None
            return [self._cut(middle, "speech")]
        self._turn = True
        return self._pause(at - _PAD) if at - _PAD - self._edge >= self._floor else []

    def _end(self, at: int) -> list[Piece]:
        """End the turn; its last piece stays open until the length of the pause after it is known."""
        found, half = [], self._window // 2
        while at - self._edge > 3 * half:
            found.append(self._cut(self._weakest(min(self._edge + 3 * half, at - half)), "speech"))
        self._ended = at
        return found

    def _settle(self) -> list[Piece]:
        """The pieces that are decided because the current turn or pause has become long enough."""
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

    def _pause(self, end: int) -> list[Piece]:
        """Cut the pause up to ``end`` into equal pieces."""
        start = self._edge
        count = max(1, -(-(end - start) // self._window))
        return [self._cut(start + (end - start) * (k + 1) // count, "pause") for k in range(count)]

    def _weakest(self, last: int) -> int:
        """The position with the weakest voice, from half a window after the edge up to ``last``.

        Among equals it is the one closest to a full window after the edge.
        """
        first = self._edge // STEP  # index of the step
        low = -(-(self._edge + self._window // 2) // STEP)
        places = range(low, last // STEP + 1)  # a cut lies between two steps

        def cost(place: int) -> tuple[float, int]:
            around = self._levels[max(place - _CUT_CONTEXT, first) - first : place + _CUT_CONTEXT - first]
            return round(sum(around) / len(around), 1), abs(place * STEP - self._edge - self._window)

        return STEP * min(places, key=cost)

    def _cut(self, at: int, kind: Kind) -> Piece:
        piece = Piece(self._edge, at, kind)
        del self._levels[: at // STEP - self._edge // STEP]
        self._edge = at
        return piece
