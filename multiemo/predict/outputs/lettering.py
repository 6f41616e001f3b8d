"""Text for pictures: fonts that have its characters, and pieces that fit where they are written."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from multiemo.predict.outputs.timeline import one_line

#: The font that matplotlib brings.
_OWN = "DejaVu Sans"
#: Fonts that have every character, as a box, and coloured pictures, which matplotlib cannot draw.
_NO_LETTERS = re.compile("Last ?Resort|Fallback|NotDef|Emoji", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Lettering:
    """Fonts for a set of texts.

    Args:
        family: names of fonts, in the order in which a character is looked for.
        missing: characters that none of them has.
    """

    family: Sequence[str]
    missing: frozenset[str]

    def lacks(self, text: str) -> bool:
        """Whether a letter or digit of the text could not be drawn."""
        return any(c.isalnum() and c in self.missing for c in text)

    def drawable(self, text: object) -> str:
        """One line of the text, with ``?`` for letters that cannot be drawn and without other such signs."""
        line = one_line(text)
        return "".join(c if c not in self.missing else "?" if c.isalnum() else "" for c in line)


def lettering(texts: Iterable[str]) -> Lettering:
    """The font that matplotlib brings, and installed ones that have the characters which it lacks."""
    wanted = {c for text in texts for c in one_line(text)} - {" "}
    installed = _installed()
    family, missing = [_OWN], wanted - _characters(installed[_OWN])
    for name, path in installed.items() if missing else ():
        found = missing & _characters(path)
        if any(c.isalnum() for c in found):
            family.append(name)
            missing -= found
        if not missing:
            break
    return Lettering(family, frozenset(missing))


def columns(text: str) -> int:
    """Width in columns of a terminal: a wide character (Chinese, Japanese, Korean) takes two.

    Example:
        >>> columns("ab"), columns("你好")
        (2, 4)
    """
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fitted(text: str, room: int, lines: int = 1) -> list[str]:
    """The text in at most ``lines`` lines of ``room`` columns; what does not fit becomes an ellipsis.

    Example:
        >>> fitted("what is this", 7, 2), fitted("what is this", 7), fitted("what", 2)
        (['what is', 'this'], ['what i…'], [])
    """
    if columns(text) <= room and text:
        return [text]
    if room < 4:
        return []
    found: list[str] = []
    rest = text
    while rest and len(found) < lines:
        last = len(found) == lines - 1
        head = rest if columns(rest) <= room else _head(rest, room - last)
        if not last and len(head) < len(rest) and " " in head and rest[len(head)] != " ":
            head = head[: head.rindex(" ")]
        rest = rest[len(head) :].lstrip()
        found.append(head.rstrip() + ("…" if last and rest else ""))
    return found


def _head(text: str, room: int) -> str:
    end, used = 0, 0
    while end < len(text) and used + columns(text[end]) <= room:
        used += columns(text[end])
        end += 1
    return text[:end]


def first_fitting(choices: Sequence[str], room: int) -> str:
    """The first text that fits into ``room`` columns whole, else the start of the last; empty where nothing fits.

    Example:
        >>> first_fitting(["surprised 29%", "surprised"], 9), first_fitting(["surprised"], 6)
        ('surprised', 'surpr…')
    """
    whole = next((text for text in choices if columns(text) <= room), None)
    return whole if whole is not None else "".join(fitted(choices[-1], room))


@contextmanager
def any_weight() -> Iterator[None]:
    """While drawing, matplotlib does not warn of fonts that exist in one weight alone, as many for Chinese do."""
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@lru_cache
def _installed() -> dict[str, Path]:
    """{name: file} of upright fonts, those for many scripts first; neither bitmap ones nor those of boxes alone."""
    from matplotlib.font_manager import fontManager

    upright = [f for f in fontManager.ttflist if f.style == "normal" and not _NO_LETTERS.search(f.name)]
    upright.sort(key=lambda f: ("CJK" not in f.name, "Noto" not in f.name, f.name, f.weight not in (400, "normal")))
    found: dict[str, Path] = {}
    for font in upright:
        found.setdefault(font.name, Path(font.fname))
    return found


@lru_cache
def _characters(path: Path) -> frozenset[str]:
    """Those that a font file has."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(map(chr, FT2Font(str(path)).get_charmap()))
    except (OSError, RuntimeError):  # a file that FreeType cannot read
        return frozenset()
