"""Installed fonts that have the letters of a text, and how wide it is in them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from multiemo.predict.timeline.captions import one_line

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase
    from matplotlib.font_manager import FontProperties

#: The font that matplotlib brings.
_OWN = "DejaVu Sans"
#: Fonts that have every character, as a box, and coloured pictures, which matplotlib cannot draw.
_NO_LETTERS = re.compile("Last ?Resort|Fallback|NotDef|Emoji", re.IGNORECASE)
#: Its letters are larger than those of most fonts of the same size: 9.5 px of them look like 11 px of a system's font.
LETTER_SIZE = 9.5
#: Dots of a picture a pixel of its canvas: what is 96 dots an inch on a screen is 180 there. Letters are measured at
#: the size they are drawn in.
DOTS = 1.875


class InstalledTypeface:
    """The font that matplotlib brings, and installed ones that have the characters which it lacks.

    Args:
        texts: what will be written.

    Attributes:
        family: names of fonts, in the order in which a character is looked for.
        missing: characters that none of them has.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        wanted = {c for text in texts for c in one_line(text)} - {" "}
        installed = _installed()
        self.family, missing = [_OWN], wanted - _characters(installed[_OWN])
        for name, path in installed.items() if missing else ():
            found = missing & _characters(path)
            if any(c.isalnum() for c in found):
                self.family.append(name)
                missing -= found
            if not missing:
                break
        self.missing = frozenset(missing)
        self._widths: dict[str, float] = {}

    def printable(self, text: object) -> str:
        """One line of the text, with ``?`` for letters that cannot be drawn and without other such signs."""
        line = one_line(text)
        return "".join(c if c not in self.missing else "?" if c.isalnum() else "" for c in line)

    def lacks(self, text: str) -> bool:
        """Whether a letter or digit of the text could not be drawn."""
        return any(c.isalnum() and c in self.missing for c in text)

    def width(self, text: str) -> float:
        """Pixels of a line of text."""
        if text not in self._widths:
            measured, _, _ = _ruler().get_text_width_height_descent(text, self.properties(), ismath=False)
            self._widths[text] = measured / DOTS
        return self._widths[text]

    def properties(self, scale: float = 1.0) -> FontProperties:
        """The fonts for matplotlib, ``scale`` times larger than most text."""
        return _properties(tuple(self.family), LETTER_SIZE * scale)


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
def _properties(family: tuple[str, ...], size: float) -> FontProperties:
    from matplotlib.font_manager import FontProperties

    return FontProperties(family=list(family), size=size)


def agg_renderer(width: int, height: int, dots: float) -> RendererBase:
    """What draws and measures.

    Args:
        width, height: dots.
        dots: of a pixel; a point is a pixel.
    """
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(width, height, 72 * dots)  # type: ignore[no-untyped-call]


@lru_cache
def _ruler() -> RendererBase:
    """A canvas that only measures."""
    return agg_renderer(1, 1, DOTS)


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
