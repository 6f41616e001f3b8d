"""Fits text into the space there is for it."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol

from multiemo.predict.timeline.captions import one_line

#: Widths of narrow, normal and wide letters at 11 px in DejaVu Sans, the widest of the usual system fonts, pixels.
_NARROW, _NORMAL, _WIDE = 4.0, 6.9, 11.0
_NARROW_LETTERS, _WIDE_LETTERS = frozenset("fijlrtI.,:;'|!()[]/ "), frozenset("mwMW%@…")


class Typeface(Protocol):
    """The font of a canvas."""

    def printable(self, text: object) -> str:
        """The text in one line; letters and digits that cannot be drawn become ``?``, other such characters vanish."""

    def lacks(self, text: str) -> bool:
        """Whether the text has a letter or digit that cannot be drawn."""

    def width(self, text: str) -> float:
        """The width of a line of text of normal size, pixels."""


class BrowserTypeface:
    """The unknown font in which a browser shows the page; it has every letter, and widths are upper estimates."""

    def printable(self, text: object) -> str:
        """The text in one line."""
        return one_line(text)

    def lacks(self, text: str) -> bool:
        """Always false: a browser falls back to a font that has the letter."""
        return False

    def width(self, text: str) -> float:
        """An upper estimate of the width of a line of text, pixels.

        Example:
            >>> BrowserTypeface().width("will"), BrowserTypeface().width("你好")
            (23.0, 22.0)
        """
        return sum(map(_advance, text))


@cache
def _advance(letter: str) -> float:
    """The width of one letter, pixels."""
    if letter in _NARROW_LETTERS:
        return _NARROW
    return _WIDE if letter in _WIDE_LETTERS or columns(letter) == 2 else _NORMAL


def columns(text: str) -> int:
    """The width of a text in terminal columns; a wide character (Chinese, Japanese, Korean) takes two.

    Example:
        >>> columns("ab"), columns("你好")
        (2, 4)
    """
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fitted(text: str, room: float, lines: int = 1, *, width: Callable[[str], float] = columns) -> list[str]:
    """Break a text into at most ``lines`` lines; the rest is replaced by an ellipsis.

    Args:
        text: one line of text.
        room: width of a line, in the unit of ``width``. Less than four letters is too little for any text.
        lines: largest number of lines.
        width: measures a text.

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
    """The longest prefix that fits together with the ending; at least one character."""
    return text[: max(1, bisect_right(range(1, len(text)), room, key=lambda end: width(text[:end] + ending)))]


def first_fitting(choices: Sequence[str], room: float, *, width: Callable[[str], float] = columns) -> str:
    """The first text that fits, else the last one shortened; empty if nothing fits.

    Args:
        choices: texts from the longest to the shortest.
        room: width of the line, in the unit of ``width``.
        width: measures a text.

    Example:
        >>> first_fitting(["surprised 29%", "surprised"], 9), first_fitting(["surprised"], 6)
        ('surprised', 'surpr…')
    """
    complete = next((text for text in choices if width(text) <= room), None)
    return complete if complete is not None else "".join(fitted(choices[-1], room, width=width))
