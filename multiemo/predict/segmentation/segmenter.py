"""Cuts sound into spans as it arrives: turns of speech and the pauses between them, or windows of fixed length."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np

from multiemo.arrays import Floats
from multiemo.errors import ConfigError, MediaError
from multiemo.predict.segmentation.turns import Kind, Piece, Turns
from multiemo.voice_activity import RATE, STEP, VoiceActivity

Mode: TypeAlias = Literal["whole", "speech", "windows"]

#: Shortest window, seconds.
MIN_WINDOW = 0.5
#: Silence is generated in blocks of this many samples.
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


class VoiceDetector(Protocol):
    """Maps sound at 16 kHz to the probability of a voice in each step of 512 samples; see :class:`VoiceActivity`."""

    def __call__(self, samples: Floats) -> Floats:
        """The probabilities of the steps that these samples complete."""
        ...

    def flush(self) -> Floats:
        """The probability of the last, incomplete step, if samples are left."""
        ...


class Segmenter:
    """Cuts media into spans as it arrives.

    Spans come in order of time. They tile the media from 0 to its end, except that windows overlap if ``hop`` is
    shorter than ``window``. The spans do not depend on the size of the blocks that are pushed.

    - ``whole``: one span.
    - ``speech``: turns of speech and pauses. A turn, with the short pauses beside it, lasts at most one and a half
      ``window``. A longer turn is cut where the voice is weakest, into parts of at least half a ``window``. A long
      pause is cut into pieces of at most one ``window``.
    - ``windows``: spans of ``window`` seconds, one every ``hop`` seconds. A remainder at the end of less than half a
      hop belongs to the last window.

    Args:
        mode: as above.
        window: seconds.
        hop: seconds from the start of one window to the next; ``window`` by default.
        voice: detects voices; the silero-vad network by default, which is loaded for ``speech`` only.

    Raises:
        ConfigError: a value is out of range, or the file of the network is missing.

    Example:
        >>> segmenter = Segmenter("windows", window=4.0)
        >>> segmenter.audio(np.zeros(7 * 16000, np.float32))
        [Span(start=0.0, end=4.0, kind='window')]
        >>> segmenter.close(9.5)
        [Span(start=4.0, end=9.5, kind='window')]
    """

    def __init__(
        self, mode: Mode, *, window: float = 4.0, hop: float | None = None, voice: VoiceDetector | None = None
    ) -> None:
        _check(mode, window, hop)
        size = round(window * RATE)
        step = size if hop is None else max(round(hop * RATE), 1)
        #: Number of windows that contain any one moment.
        self.overlap = -(-size // step)
        self._plan: _Plan
        self._voice: VoiceDetector | None = None
        if mode == "whole":
            self._plan = _Whole()
        elif mode == "windows":
            self._plan = _Windows(size, step)
        else:
            self._plan, self._voice = Turns(size), voice or VoiceActivity()
        self._reached = 0  # samples of media so far
        self._has_sound = False
        self._silence = 0  # samples before the first sound that are not yet part of a step

    @property
    def look_ahead(self) -> float:
        """The longest stretch of media whose spans can be undecided, seconds.

        Once the media has been pushed up to time ``t``, every span that begins before ``t - look_ahead`` has been
        returned. It is infinite for ``whole``, one window and half a hop for ``windows``, and two windows and a little
        more than half a second for ``speech`` (8.6 s for a window of 4 s). A turn of speech that ends earlier is
        returned 1 to 2 s after its end.
        """
        return self._plan.look_ahead / RATE

    def audio(self, samples: Floats) -> list[Span]:
        """Push the next sound.

        Args:
            samples: ``[N]`` float32 mono at 16 kHz. The very first sample is at time 0.

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
        self._has_sound, self._silence = True, 0
        return _spans(self._plan.push(levels, self._reached))

    def advance(self, time: float) -> list[Span]:
        """Fill with silence up to ``time`` (seconds): no sound will come for anything before it.

        Use it for media without sound, for sound that begins late, and for gaps. It has no effect if sound has already
        been pushed beyond ``time``.

        Raises:
            MediaError: ``time`` is not finite.
        """
        if not math.isfinite(time):
            raise MediaError(f"the time {time} is not a number of seconds; repair the timestamps of the media")
        missing = max(round(time * RATE) - self._reached, 0)
        if self._has_sound:
            blocks = (min(_BLOCK, missing - first) for first in range(0, missing, _BLOCK))
            return [span for size in blocks for span in self.audio(np.zeros(size, dtype=np.float32))]
        self._reached += missing
        steps, self._silence = divmod(self._silence + missing, STEP)
        return _spans(self._plan.push(np.zeros(steps, dtype=np.float32), self._reached))

    def close(self, duration: float) -> list[Span]:
        """End the media at ``duration`` (seconds), or at the end of its sound if that is later.

        Returns:
            The remaining spans; at least one if there was none before. Nothing can be pushed afterwards.

        Raises:
            MediaError: ``duration`` is not finite.
        """
        found = self.advance(duration)
        levels = np.zeros(1 if self._silence else 0, dtype=np.float32)
        if self._voice is not None and self._has_sound:
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
# Plans map the probabilities of a voice to pieces. All positions are in samples.


def _spans(pieces: Iterable[Piece]) -> list[Span]:
    return [Span(p.start / RATE, p.end / RATE, p.kind) for p in pieces]


class _Plan(Protocol):
    """A way to cut media."""

    @property
    def look_ahead(self) -> float:
        """Samples; see :attr:`Segmenter.look_ahead`."""
        ...

    def push(self, levels: Floats, reached: int) -> list[Piece]:
        """Take the probabilities of the next steps, and the end of the media so far; returns the decided pieces."""
        ...

    def close(self, levels: Floats, end: int) -> list[Piece]:
        """Take the probability of the last step, if any, and the end of the media; returns at least one piece."""
        ...


class _Whole:
    look_ahead = math.inf

    def push(self, levels: Floats, reached: int) -> list[Piece]:
        return []

    def close(self, levels: Floats, end: int) -> list[Piece]:
        return [Piece(0, end, "whole")]


class _Windows:
    def __init__(self, window: int, hop: int) -> None:
        self._window, self._hop, self._start = window, hop, 0
        self.look_ahead = float(window + hop / 2)

    def push(self, levels: Floats, reached: int) -> list[Piece]:
        found = []
        while reached - self._start >= self.look_ahead:
            found.append(Piece(self._start, self._start + self._window, "window"))
            self._start += self._hop
        return found

    def close(self, levels: Floats, end: int) -> list[Piece]:
        return [Piece(self._start, end, "window")]
