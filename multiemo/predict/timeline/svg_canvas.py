"""A canvas that writes inline SVG for an HTML page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from multiemo.predict.timeline.canvas import Anchor, Box
from multiemo.predict.timeline.captions import plain
from multiemo.predict.timeline.colours import Colour, Role
from multiemo.predict.timeline.text_fitting import BrowserTypeface

Element = ElementTree.Element

#: Font size, pixels; the same as in the style sheet of the page.
_LETTER_SIZE = 11.0
#: Distance from the middle of a line of text to its baseline, pixels.
_BASELINE = 4.0


class SvgCanvas:
    """Draws into an ``svg`` element; colours with a role are CSS variables of the page.

    It implements :class:`~multiemo.predict.timeline.canvas.Canvas`.

    Args:
        width, height: pixels.
    """

    def __init__(self, width: float, height: float) -> None:
        self.typeface = BrowserTypeface()
        self._root = Element("svg", {"width": f"{width:.0f}", "height": f"{height:.0f}", "role": "img"})
        self._parent = self._root
        pattern = self._add("pattern", id="hatch", width=7, height=7, patternUnits="userSpaceOnUse",
                            patternTransform="rotate(45)")  # fmt: skip
        ElementTree.SubElement(pattern, "path", {"d": "M0,0V7", "stroke": _css(Role.RULE), "stroke-width": "2.5"})

    def svg(self) -> str:
        """The element as text; all texts in it are escaped."""
        return ElementTree.tostring(self._root, encoding="unicode")

    @contextmanager
    def group(self, name: str, left: float, top: float) -> Iterator[None]:
        """Open a ``g`` element.

        Args:
            name: kept as the attribute ``data-lane``.
            left, top: new origin in the current group, pixels.
        """
        outer = self._parent
        self._parent = self._add("g", data_lane=plain(name), transform=f"translate({left:g} {top:g})")
        try:
            yield
        finally:
            self._parent = outer

    def rectangles(self, boxes: Sequence[Box], fill: Colour) -> None:
        """Fill rectangles as one path; boxes that are too thin to be visible are left out."""
        pieces = [f"M{b.left:.1f},{b.top:.1f}H{b.right:.1f}V{b.bottom:.1f}H{b.left:.1f}Z" for b in boxes
                  if b.height >= 0.05]  # fmt: skip
        if pieces:
            self._add("path", d="".join(pieces), fill=_css(fill), class_="crisp")

    def area(self, points: NDArray[np.floating], fill: Colour) -> None:
        """Fill a polygon."""
        self._add("path", d=_path(points) + "Z", fill=_css(fill))

    def lines(
        self, lines: Sequence[NDArray[np.floating]], stroke: Colour, *, width: float = 1.0, dashes: Sequence[float] = ()
    ) -> None:
        """Draw lines as one path.

        Args:
            lines: each through two or more points ``[P, 2]``.
            stroke: colour of the lines.
            width: of the lines, pixels.
            dashes: lengths of dash and gap, pixels; empty for a solid line.
        """
        if lines:
            drawn = self._add(
                "path", d="".join(map(_path, lines)), fill="none", stroke=_css(stroke), stroke_width=width
            )
            if dashes:
                drawn.set("stroke-dasharray", " ".join(f"{length:g}" for length in dashes))

    def text(
        self, x: float, middle: float, text: str, fill: Colour, *, anchor: Anchor = "middle", scale: float = 1.0
    ) -> None:
        """Write one line of text.

        Args:
            x: horizontal position of the anchor, pixels.
            middle: vertical position of the middle of the line, pixels.
            text: printable text.
            fill: colour of the letters.
            anchor: which part of the text is at ``x``.
            scale: size relative to normal text.
        """
        written = self._add("text", x=x, y=middle + _BASELINE * scale, fill=_css(fill), text_anchor=anchor)
        written.text = text
        if scale != 1.0:
            written.set("font-size", f"{_LETTER_SIZE * scale:g}")

    def paragraph(self, box: Box, text: str, fill: Colour) -> None:
        """Write text as HTML in a ``foreignObject``, so that the browser breaks the lines in the reader's own font.

        Args:
            box: the box, pixels.
            text: printable text.
            fill: colour of the letters.
        """
        room = self._add("foreignObject", x=box.left + 1, y=box.top, width=max(box.width - 2, 1.0), height=box.height)
        ElementTree.SubElement(room, "div", {"class": "words", "style": f"color: {_css(fill)}"}).text = text

    def image(self, box: Box, pixels: NDArray[np.uint8]) -> None:
        """Embed an image as JPEG in a data URL."""
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=80)
        data = base64.b64encode(file.getvalue()).decode("ascii")
        self._add("image", x=box.left, y=box.top, width=box.width, height=box.height,
                  href=f"data:image/jpeg;base64,{data}")  # fmt: skip

    def hatched(self, box: Box) -> None:
        """Cover a box with the hatching of the page."""
        self._box(box, fill="url(#hatch)")

    def tooltip(self, box: Box, text: str, *, target: str = "") -> None:
        """Add an invisible box with a ``title``, which browsers show as a tooltip.

        Args:
            box: the box, pixels.
            text: text of one or more lines.
            target: ``id`` of the box; empty for none.
        """
        covering = self._box(box, class_="hit")
        if target:
            covering.set("id", target)
        ElementTree.SubElement(covering, "title").text = "\n".join(map(plain, text.split("\n")))

    def _box(self, box: Box, **attributes: object) -> Element:
        return self._add("rect", x=box.left, y=box.top, width=box.width, height=box.height, **attributes)

    def _add(self, tag: str, **attributes: object) -> Element:
        """Add an element; numbers are rounded to a tenth of a pixel, underscores in names become hyphens."""
        named = {name.rstrip("_").replace("_", "-"): _number(value) for name, value in attributes.items()}
        return ElementTree.SubElement(self._parent, tag, named)


def _css(colour: Colour) -> str:
    return f"var(--{colour.value})" if isinstance(colour, Role) else colour


def _path(points: NDArray[np.floating]) -> str:
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points.tolist())


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
