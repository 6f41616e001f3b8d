"""Finds installed fonts with the characters of a text, and measures text in them."""

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

#: The font that matplotlib ships.
_BUNDLED_FONT = "DejaVu Sans"
#: Fonts without real glyphs: those that draw every character as a box, and emoji, which matplotlib cannot draw.
_NO_GLYPHS = re.compile("Last ?Resort|Fallback|NotDef|Emoji", re.IGNORECASE)
#: Font size of normal text, pixels. DejaVu Sans at 9.5 px looks as large as a system font at 11 px.
LETTER_SIZE = 9.5
#: Dots of a picture for each pixel of its canvas: 180 dots an inch instead of the 96 of a screen. Text is measured at
#: the size at which it is drawn.
DOTS = 1.875


class InstalledTypeface:
    """The font that matplotlib ships, and installed fonts for the characters that it lacks.

    Args:
        texts: the texts that will be written.

    Attributes:
        family: names of the fonts, in the order in which they are tried for a character.
        missing: characters that none of them has.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        wanted = {c for text in texts for c in one_line(text)} - {" "}
        installed = _installed()
        self.family, missing = [_BUNDLED_FONT], wanted - _characters(installed[_BUNDLED_FONT])
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
        """The text in one line; letters and digits that cannot be drawn become ``?``, other such characters vanish."""
        line = one_line(text)
        return "".join(c if c not in self.missing else "?" if c.isalnum() else "" for c in line)

    def lacks(self, text: str) -> bool:
        """Whether the text has a letter or digit that cannot be drawn."""
        return any(c.isalnum() and c in self.missing for c in text)

    def width(self, text: str) -> float:
        """The width of a line of text, pixels."""
        if text not in self._widths:
            measured, _, _ = _ruler().get_text_width_height_descent(text, self.properties(), ismath=False)
            self._widths[text] = measured / DOTS
        return self._widths[text]

    def properties(self, scale: float = 1.0) -> FontProperties:
        """The fonts for matplotlib, ``scale`` times the size of normal text."""
        return _properties(tuple(self.family), LETTER_SIZE * scale)


@contextmanager
def any_weight() -> Iterator[None]:
    """Silence matplotlib's warnings about fonts with a single weight, such as many Chinese fonts, while drawing."""
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
    """The renderer that draws and measures text.

    Args:
        width, height: size of the picture, dots.
        dots: number of dots for each pixel; a point of a font is a pixel.
    """
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(width, height, 72 * dots)  # type: ignore[no-untyped-call]


@lru_cache
def _ruler() -> RendererBase:
    """A renderer that only measures text."""
    return agg_renderer(1, 1, DOTS)


@lru_cache
def _installed() -> dict[str, Path]:
    """{name: file} of the upright fonts with real glyphs, those for many scripts first."""
    from matplotlib.font_manager import fontManager

    upright = [f for f in fontManager.ttflist if f.style == "normal" and not _NO_GLYPHS.search(f.name)]
    upright.sort(key=lambda f: ("CJK" not in f.name, "Noto" not in f.name, f.name, f.weight not in (400, "normal")))
    found: dict[str, Path] = {}
    for font in upright:
        found.setdefault(font.name, Path(font.fname))
    return found


@lru_cache
def _characters(path: Path) -> frozenset[str]:
    """The characters of a font file."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(map(chr, FT2Font(str(path)).get_charmap()))
    except (OSError, RuntimeError):  # a file that FreeType cannot read
        return frozenset()
