"""Words with times, and which of them a span holds."""

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
#: A word: a character of a script that sets none apart by spaces, with the marks that cling to it; else what stands
#: between two spaces (or between a space and such a character), so no Latin word is ever cut.
_WORD = re.compile(
    rf"[{_OPENING}]{{0,4}}[{UNSPACED}](?:[{_CLOSING}]|[,.!?;:%)\]](?![a-zA-Z0-9]))*"
    rf"|(?:(?![{_OPENING}]{{1,4}}[{UNSPACED}])[^\s{UNSPACED}])+"
)
#: Cues that overlap by less (seconds) touch: tools round.
_OVERLAP = 0.1


@dataclass(frozen=True, slots=True)
class Cue:
    """A stretch of words.

    Args:
        start, end: seconds.
        text: what is said, on one line; empty never.
        speaker: who says it, where the source tells.
        joined: no space stands between the cue before and this one (parts of one sentence in Chinese).
    """

    start: float
    end: float
    text: str
    speaker: str | None = None
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is said in a file.

    Args:
        cues: in order of their start.
        source: where the words come from, for people to read: a file's name, a subtitle track, a model.
        language: code ("en", "zh"), or ``None`` where it cannot be told.
        timed: whether the times mean anything.
        notes: what was mended, left out or guessed, one line each.
        fps: where times count pictures and the file does not say how many a second hold, how many were taken.
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
        """Timed cues in any order; the language is found out where none is given."""
        ordered = tuple(sorted(cues, key=lambda cue: cue.start))
        found = language or language_of(" ".join(cue.text for cue in ordered))
        return cls(ordered, source, found, True, tuple(notes))

    @classmethod
    def untimed(cls, text: str, source: str, notes: Sequence[str] = (), *, language: str | None = None) -> Transcript:
        """Words without times, such as those of a plain text file; see :meth:`spread`."""
        text = text.strip()
        cues = (Cue(0.0, 0.0, text),) if text else ()
        return cls(cues, source, language or language_of(text), False, tuple(notes))

    @property
    def text(self) -> str:
        """All of the words."""
        return "".join(cue.text if cue.joined else f" {cue.text}" for cue in self.cues).strip()

    def spread(self, spans: Sequence[tuple[float, float]]) -> Transcript:
        """The transcript with times: words that have none are spread evenly over the spans in which somebody speaks.

        Args:
            spans: start and end of each, seconds, in order.

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
        """The words whose middle lies in a span; spans that tile the time give every word exactly once.

        The time of a cue is spread evenly over its characters. Spacing stays as it was.

        Args:
            start: seconds, within the span.
            end: seconds, not within the span; ``math.inf`` for all that follows.

        Returns:
            ``None`` when the span has no words.

        Raises:
            ValueError: the transcript has no times; :meth:`spread` it first.

        Example:
            >>> words = Transcript.of([Cue(0.0, 2.0, "I know. 我知道了")], "example")
            >>> words.between(0.0, 1.2), words.between(1.2, 2.0), words.between(2.0, 9.0)
            ('I know.', '我知道了', None)
        """
        if not self.timed:
            raise ValueError("this transcript has no times; call spread(duration) first")
        parts: list[str] = []
        for cue, first, last in self._inside(start, end):
            gap = "" if not parts or (cue.joined and first == 0) else " "
            parts.append(gap + cue.text[first:last])
        return "".join(parts) or None

    def count(self, start: float = -math.inf, end: float = math.inf) -> int:
        """How many words have their middle in a span.

        Args:
            start, end: seconds, as for :meth:`between`.
        """
        return sum(start <= middle < end for cue in self.cues for _, _, middle in _words(cue))

    def speaker(self, start: float = -math.inf, end: float = math.inf) -> str | None:
        """Who says most of the words of a span, by their characters; ``None`` where the source does not name them.

        Args:
            start, end: seconds, as for :meth:`between`.
        """
        shares: Counter[str | None] = Counter()
        for cue, first, last in self._inside(start, end):
            shares[cue.speaker] += last - first
        return max(shares, key=lambda name: shares[name], default=None)

    def _inside(self, start: float, end: float) -> Iterator[tuple[Cue, int, int]]:
        """The cues with words whose middle lies in a span: the first character of these, and the one after the last."""
        for cue in self.cues:
            if cue.start >= end:
                break
            if cue.end >= start:
                inside = [(a, b) for a, b, middle in _words(cue) if start <= middle < end]
                if inside:
                    yield cue, inside[0][0], inside[-1][1]

    def shifted(self, seconds: float) -> Transcript:
        """The same words this much later."""
        return replace(self, cues=tuple(replace(c, start=c.start + seconds, end=c.end + seconds) for c in self.cues))


def _words(cue: Cue) -> Iterator[tuple[int, int, float]]:
    """Each word of a cue: its first character, the one after its last, and the time of its middle."""
    length = len(cue.text)
    for found in _WORD.finditer(cue.text):
        share = (found.start() + found.end()) / (2 * length)
        yield found.start(), found.end(), cue.start + share * (cue.end - cue.start)


def mend(cues: Sequence[Cue]) -> tuple[list[Cue], list[str]]:
    """Cues with times that can be: none below zero, none reversed, in order, none twice.

    A cue whose end is not known (NaN) lasts until the next one starts. Cues that overlap stay as they are: two people
    may speak at once, and every word has its own time.

    Args:
        cues: in the order of the file.

    Returns:
        The cues in order of their start, and notes that count what was mended.
    """
    turned = [replace(c, start=c.end, end=c.start) if c.end < c.start else c for c in cues]
    whole = [replace(c, start=max(c.start, 0.0), end=c.end if math.isnan(c.end) else max(c.end, 0.0)) for c in turned]
    ordered = sorted(whole, key=lambda c: c.start)
    starts = [c.start for c in ordered]
    kept: list[Cue] = []
    for cue in ordered:
        if math.isnan(cue.end):
            after = bisect_right(starts, cue.start)
            cue = replace(cue, end=starts[after] if after < len(starts) else cue.start)
        if not kept or cue != kept[-1]:
            kept.append(cue)
    counts = {
        "ended before they began and were turned round": sum(c.end < c.start for c in cues),
        "began below zero and now begin at it": sum(c.start < 0 for c in turned),
        "were out of order and were sorted": sum(b.start < a.start for a, b in pairwise(whole)),
        "stood there twice and were taken once": len(ordered) - len(kept),
        "overlap the one before and were left so": sum(b.start < a.end - _OVERLAP for a, b in pairwise(kept)),
    }
    return kept, [f"{count} cue(s) {what}" for what, count in counts.items() if count]
