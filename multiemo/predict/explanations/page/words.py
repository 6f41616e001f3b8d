"""Divides a text into runs: the parts that have a score, and what lies between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from multiemo.explanation.records import EvidencePart
from multiemo.predict.explanations.page.formats import largest, level, signed


@dataclass(frozen=True, slots=True)
class TextRun:
    """A piece of text.

    Args:
        text: the characters.
        level: step of colour, as in :func:`~multiemo.predict.explanations.page.formats.level`; 0 is unmarked.
        score: the score in words; empty between parts.
    """

    text: str
    level: int = 0
    score: str = ""


def runs_of(text: str, parts: Sequence[EvidencePart], least: float = 0.0) -> list[TextRun]:
    """The text in runs, none of it lost; parts without a position, or beyond the text, are not marked.

    Args:
        text: the text.
        parts: its words or characters.
        least: score that gets the deepest colour if all are smaller.

    Example:
        >>> part = EvidencePart(name="good", score=1.5, first=4, last=8)
        >>> [(run.text, run.level, run.score) for run in runs_of("Not good.", [part])]
        [('Not ', 0, ''), ('good', 4, '+1.50'), ('.', 0, '')]
    """
    most = largest((part.score for part in parts), least)
    placed = sorted(
        (p.first, p.last, p.score) for p in parts if p.first is not None and p.last is not None and p.first < p.last
    )
    runs: list[TextRun] = []
    position = 0
    for first, last, score in placed:
        if first < position or last > len(text):
            continue
        if first > position:
            runs.append(TextRun(text[position:first]))
        runs.append(TextRun(text[first:last], level(score, most), signed(score)))
        position = last
    return [*runs, TextRun(text[position:])] if position < len(text) else runs
