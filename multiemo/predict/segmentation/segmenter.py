"""Sound in, spans out: turns of speech and the pauses between them, or fixed windows, each as soon as it is decided."""

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


class VoiceDetector(Protocol):
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
        voice: tells how likely each step holds a voice; the silero-vad network by default, loaded for ``speech`` only.

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
        self, mode: Mode, *, window: float = 4.0, hop: float | None = None, voice: VoiceDetector | None = None
    ) -> None:
        _check(mode, window, hop)
        size = round(window * RATE)
        step = size if hop is None else max(round(hop * RATE), 1)
        #: How many windows a moment can lie in.
        self.overlap = -(-size // step)
        self._plan: _Plan
        self._voice: VoiceDetector | None = None
        if mode == "whole":
            self._plan = _Whole()
        elif mode == "windows":
            self._plan = _Windows(size, step)
        else:
            self._plan, self._voice = Turns(size), voice or VoiceActivity()
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
        return _spans(self._plan.push(levels, self._reached))

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
        return _spans(self._plan.push(np.zeros(steps, dtype=np.float32), self._reached))

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
# Plans: probabilities of a voice in, pieces out. Everything is counted in samples.


def _spans(pieces: Iterable[Piece]) -> list[Span]:
    return [Span(p.start / RATE, p.end / RATE, p.kind) for p in pieces]


class _Plan(Protocol):
    """How media is cut."""

    @property
    def look_ahead(self) -> float:
        """Samples; see :attr:`Segmenter.look_ahead`."""
        ...

    def push(self, levels: Floats, reached: int) -> list[Piece]:
        """Take the next steps, and how far the media has come; the pieces that are decided now."""
        ...

    def close(self, levels: Floats, end: int) -> list[Piece]:
        """The last step, if one is left, and where the media ends; at least one piece."""
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
