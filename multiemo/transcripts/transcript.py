"""Timed words, and the words of a time span."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from multiemo.transcripts.language import UNSPACED, language_of

_OPENING = r"“‘《「『（【〈〔｛［(\["
_CLOSING = r"，。、！？；：…—～·”’》」』）】〉〕｝］\u0300-\u036f\u3099\u309a\ufe00-\ufe0f"
#: A word: a character of a script without spaces, with adjacent punctuation; else the text between two spaces (or
#: between a space and such a character), so Latin words are never split.
_WORD = re.compile(
    rf"[{_OPENING}]{{0,4}}[{UNSPACED}](?:[{_CLOSING}]|[,.!?;:%)\]](?![a-zA-Z0-9]))*"
    rf"|(?:(?![{_OPENING}]{{1,4}}[{UNSPACED}])[^\s{UNSPACED}])+"
)
#: Overlaps up to this many seconds are not reported: tools round times.
_OVERLAP = 0.1


@dataclass(frozen=True, slots=True)
class Cue:
    """Words spoken in one stretch of time.

    Args:
        start: seconds.
        end: seconds.
        text: the words on one line; never empty.
        speaker: name of the speaker, if the source has it.
        joined: whether there is no space between the previous cue and this one (parts of a sentence in Chinese).
    """

    start: float
    end: float
    text: str
    speaker: str | None = None
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words spoken in a file.

    Args:
        cues: in order of their start.
        source: origin of the words, for display: the name of a file, a subtitle track, a model.
        language: language code ("en", "zh"), or ``None`` if it is not clear.
        timed: whether the cues have real times.
        notes: what was repaired, left out or guessed, one line each.
        fps: frames per second that were assumed, if times are frame numbers and the file does not give the rate.
    """

    cues: tuple[Cue, ...]
    source: str
    language: str | None
    timed: bool
    notes: tuple[str, ...] = ()
    fps: float | None = None

    @classmethod
    def of(
        cls, cues: Iterable[Cue], source: str, notes: Sequence[str] = (), *, language: str | None = None
    ) -> Transcript:
        """Create a timed transcript.

        Args:
            cues: in any order.
            source: origin of the words, for display.
            notes: what was repaired, left out or guessed, one line each.
            language: language code; ``None`` detects it.
        """
        ordered = tuple(sorted(cues, key=lambda cue: cue.start))
        found = language or language_of(" ".join(cue.text for cue in ordered))
        return cls(ordered, source, found, True, tuple(notes))

    @classmethod
    def untimed(cls, text: str, source: str, notes: Sequence[str] = (), *, language: str | None = None) -> Transcript:
        """Create a transcript without times, such as a plain text file; see :meth:`spread`.

        Args:
            text: all words.
            source: origin of the words, for display.
            notes: what was repaired, left out or guessed, one line each.
            language: language code; ``None`` detects it.
        """
        text = text.strip()
        cues = (Cue(0.0, 0.0, text),) if text else ()
        return cls(cues, source, language or language_of(text), False, tuple(notes))

    @property
    def text(self) -> str:
        """All words, on one line."""
        return "".join(cue.text if cue.joined else f" {cue.text}" for cue in self.cues).strip()

    def spread(self, spans: Sequence[tuple[float, float]]) -> Transcript:
        """Give an untimed transcript times by spreading its words evenly over spans of speech.

        Args:
            spans: start and end of each span, seconds, in order.

        Returns:
            The timed transcript; the same one if it has times already.

        Example:
            >>> Transcript.untimed("one two six ten", "given").spread([(1.0, 2.0), (8.0, 9.0)]).between(8.0, 9.0)
            'six ten'
        """
        if self.timed:
            return self
        total = sum(end - start for start, end in spans)
        note = f"the words have no times ({self.source}); they were spread evenly over {total:.1f} s of speech"
        straight = replace(self, cues=tuple(replace(cue, start=0.0, end=total) for cue in self.cues), timed=True)
        cues, passed = [], 0.0
        for number, (start, end) in enumerate(spans, 1):
            edge = math.inf if number == len(spans) else passed + (end - start)
            text = straight.between(passed, edge)
            passed = edge
            if text is not None:
                cues.append(Cue(start, end, text))
        return replace(straight, cues=tuple(cues), notes=(*self.notes, note))

    def between(self, start: float, end: float) -> str | None:
        """Return the words whose midpoint lies in a span. Adjacent spans share no words.

        The time of a cue is spread evenly over its characters. Spacing is kept.

        Args:
            start: seconds, inclusive.
            end: seconds, exclusive; ``math.inf`` for all that follows.

        Returns:
            The words, or ``None`` if the span has none.

        Raises:
            ValueError: the transcript has no times; call :meth:`spread` first.

        Example:
            >>> words = Transcript.of([Cue(0.0, 2.0, "I know. 我知道了")], "example")
            >>> words.between(0.0, 1.2), words.between(1.2, 2.0), words.between(2.0, 9.0)
            ('I know.', '我知道了', None)
        """
        if not self.timed:
            raise ValueError("this transcript has no times; call spread(spans) first")
        parts: list[str] = []
        for cue, first, last in self._inside(start, end):
            gap = "" if not parts or (cue.joined and first == 0) else " "
            parts.append(gap + cue.text[first:last])
        return "".join(parts) or None

    def count(self, start: float = -math.inf, end: float = math.inf) -> int:
        """Return the number of words whose midpoint lies in a span.

        Args:
            start: seconds, inclusive.
            end: seconds, exclusive.
        """
        return sum(start <= middle < end for cue in self.cues for _, _, middle in _words(cue))

    def speaker(self, start: float = -math.inf, end: float = math.inf) -> str | None:
        """Return the speaker with most characters in a span; ``None`` if the source does not name speakers.

        Args:
            start: seconds, inclusive.
            end: seconds, exclusive.
        """
        shares: Counter[str | None] = Counter()
        for cue, first, last in self._inside(start, end):
            shares[cue.speaker] += last - first
        return max(shares, key=lambda name: shares[name], default=None)

    def _inside(self, start: float, end: float) -> Iterator[tuple[Cue, int, int]]:
        """Yield the cues with words in a span, each with the start and end index of these words in its text."""
        for cue in self.cues:
            if cue.start >= end:
                break
            if cue.end >= start:
                inside = [(a, b) for a, b, middle in _words(cue) if start <= middle < end]
                if inside:
                    yield cue, inside[0][0], inside[-1][1]

    def shifted(self, seconds: float) -> Transcript:
        """Return the transcript with all times shifted by some seconds."""
        return replace(self, cues=tuple(replace(c, start=c.start + seconds, end=c.end + seconds) for c in self.cues))


def _words(cue: Cue) -> Iterator[tuple[int, int, float]]:
    """Yield the start and end index of each word of a cue, and the time of its midpoint."""
    length = len(cue.text)
    for found in _WORD.finditer(cue.text):
        share = (found.start() + found.end()) / (2 * length)
        yield found.start(), found.end(), cue.start + share * (cue.end - cue.start)


def repair_cues(cues: Sequence[Cue]) -> tuple[list[Cue], list[str]]:
    """Repair the times of cues: swap reversed ones, clip negative ones, sort, and drop duplicates.

    A cue with unknown end (NaN) lasts until the next one starts. Overlapping cues are kept as they are: two people may
    speak at once, and every word has its own time.

    Args:
        cues: in the order of the file.

    Returns:
        The cues in order of their start, and notes that count the repairs.
    """
    swapped = [replace(c, start=c.end, end=c.start) if c.end < c.start else c for c in cues]
    clipped = [
        replace(c, start=max(c.start, 0.0), end=c.end if math.isnan(c.end) else max(c.end, 0.0)) for c in swapped
    ]
    ordered = sorted(clipped, key=lambda c: c.start)
    starts = [c.start for c in ordered]
    kept: list[Cue] = []
    for cue in ordered:
        if math.isnan(cue.end):
            after = bisect_right(starts, cue.start)
            cue = replace(cue, end=starts[after] if after < len(starts) else cue.start)
        if not kept or cue != kept[-1]:
            kept.append(cue)
    counts = {
        "ended before their start and had both times swapped": sum(c.end < c.start for c in cues),
        "began before 0 s and were moved to 0 s": sum(c.start < 0 for c in swapped),
        "were out of order and were sorted": sum(b.start < a.start for a, b in pairwise(clipped)),
        "were duplicates and were dropped": len(ordered) - len(kept),
        "overlap the previous one and were kept": sum(b.start < a.end - _OVERLAP for a, b in pairwise(kept)),
    }
    return kept, [f"{count} cue(s) {what}" for what, count in counts.items() if count]
