"""Pieces of text that fit where they are written."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol

from multiemo.predict.timeline.captions import one_line

#: Pixels of slim, broad and other letters of 11 pixels in DejaVu Sans, the widest of the fonts that systems use.
_NARROW, _USUAL, _WIDE = 4.0, 6.9, 11.0
_SLIM, _BROAD = frozenset("fijlrtI.,:;'|!()[]/ "), frozenset("mwMW%@…")


class Typeface(Protocol):
    """The letters of a canvas."""

    def printable(self, text: object) -> str:
        """One line of the text, with ``?`` for letters that cannot be drawn and without other such signs."""

    def lacks(self, text: str) -> bool:
        """Whether a letter or digit of the text could not be drawn."""

    def width(self, text: str) -> float:
        """Pixels of a line of text in the size of most text."""


class BrowserTypeface:
    """The font of whoever reads a page: it has every letter, and its widths are estimated from above."""

    def printable(self, text: object) -> str:
        """One line of the text."""
        return one_line(text)

    def lacks(self, text: str) -> bool:
        """Never: a browser looks for a font that has the letter."""
        return False

    def width(self, text: str) -> float:
        """Pixels of a line of text, by kinds of letters.

        Example:
            >>> BrowserTypeface().width("will"), BrowserTypeface().width("你好")
            (23.0, 22.0)
        """
        return sum(map(_advance, text))


@cache
def _advance(letter: str) -> float:
    """Pixels of one letter."""
    if letter in _SLIM:
        return _NARROW
    return _WIDE if letter in _BROAD or columns(letter) == 2 else _USUAL


def columns(text: str) -> int:
    """Width in columns of a terminal: a wide character (Chinese, Japanese, Korean) takes two.

    Example:
        >>> columns("ab"), columns("你好")
        (2, 4)
    """
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fitted(text: str, room: float, lines: int = 1, *, width: Callable[[str], float] = columns) -> list[str]:
    """The text in at most ``lines`` lines; what does not fit becomes an ellipsis.

    Args:
        text: one line.
        room: width of a line, in the unit of ``width``; nothing fits where it is less than four letters.
        lines: at most.
        width: of a text.

    Example:
        >>> fitted("what is this", 7, 2), fitted("what is this", 7), fitted("what", 2)
        (['what is', 'this'], ['what i…'], [])
    """
    if text and width(text) <= room:
        return [text]
    if room < width("nnnn"):
        return []
    found: list[str] = []
    rest = text
    while rest and len(found) < lines:
        last = len(found) == lines - 1
        head = rest if width(rest) <= room else _head(rest, room, width, "…" if last else "")
        if not last and len(head) < len(rest) and " " in head and rest[len(head)] != " ":
            head = head[: head.rindex(" ")]
        rest = rest[len(head) :].lstrip()
        found.append(head.rstrip() + ("…" if last and rest else ""))
    return found


def _head(text: str, room: float, width: Callable[[str], float], ending: str) -> str:
    """The longest beginning that fits together with the ending; at least one character."""
    return text[: max(1, bisect_right(range(1, len(text)), room, key=lambda end: width(text[:end] + ending)))]


def first_fitting(choices: Sequence[str], room: float, *, width: Callable[[str], float] = columns) -> str:
    """The first text that fits whole, else the beginning of the last; empty where nothing fits.

    Args:
        choices: from the longest to the shortest.
        room: width of the line, in the unit of ``width``.
        width: of a text.

    Example:
        >>> first_fitting(["surprised 29%", "surprised"], 9), first_fitting(["surprised"], 6)
        ('surprised', 'surpr…')
    """
    whole = next((text for text in choices if width(text) <= room), None)
    return whole if whole is not None else "".join(fitted(choices[-1], room, width=width))
