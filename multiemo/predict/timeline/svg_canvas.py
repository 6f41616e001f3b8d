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

#: Pixels of the letters, as the page's style sheet has them.
_LETTER_SIZE = 11.0
#: Pixels from the middle of the letters to where they stand.
_BASELINE = 4.0


class SvgCanvas:
    """Draws into an ``svg`` element; colours with a role are CSS variables of the page.

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
        """The element; every text in it is escaped."""
        return ElementTree.tostring(self._root, encoding="unicode")

    @contextmanager
    def group(self, name: str, left: float, top: float) -> Iterator[None]:
        """See :class:`~multiemo.predict.timeline.canvas.Canvas`; names are kept as ``data-lane``."""
        outer = self._parent
        self._parent = self._add("g", data_lane=plain(name), transform=f"translate({left:g} {top:g})")
        try:
            yield
        finally:
            self._parent = outer

    def rectangles(self, boxes: Sequence[Box], fill: Colour) -> None:
        """One path; boxes too thin to be seen are left out."""
        pieces = [f"M{b.left:.1f},{b.top:.1f}H{b.right:.1f}V{b.bottom:.1f}H{b.left:.1f}Z" for b in boxes
                  if b.height >= 0.05]  # fmt: skip
        if pieces:
            self._add("path", d="".join(pieces), fill=_css(fill), class_="crisp")

    def area(self, points: NDArray[np.floating], fill: Colour) -> None:
        """One path."""
        self._add("path", d=_path(points) + "Z", fill=_css(fill))

    def lines(
        self, lines: Sequence[NDArray[np.floating]], stroke: Colour, *, width: float = 1.0, dashes: Sequence[float] = ()
    ) -> None:
        """One path."""
        if lines:
            drawn = self._add(
                "path", d="".join(map(_path, lines)), fill="none", stroke=_css(stroke), stroke_width=width
            )
            if dashes:
                drawn.set("stroke-dasharray", " ".join(f"{length:g}" for length in dashes))

    def text(
        self, x: float, middle: float, text: str, fill: Colour, *, anchor: Anchor = "middle", scale: float = 1.0
    ) -> None:
        """A ``text`` element."""
        written = self._add("text", x=x, y=middle + _BASELINE * scale, fill=_css(fill), text_anchor=anchor)
        written.text = text
        if scale != 1.0:
            written.set("font-size", f"{_LETTER_SIZE * scale:g}")

    def paragraph(self, box: Box, text: str, fill: Colour) -> None:
        """HTML in a ``foreignObject``: the browser breaks the lines in the reader's own font."""
        room = self._add("foreignObject", x=box.left + 1, y=box.top, width=max(box.width - 2, 1.0), height=box.height)
        ElementTree.SubElement(room, "div", {"class": "words", "style": f"color: {_css(fill)}"}).text = text

    def image(self, box: Box, pixels: NDArray[np.uint8]) -> None:
        """A JPEG as a data URL."""
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=80)
        data = base64.b64encode(file.getvalue()).decode("ascii")
        self._add("image", x=box.left, y=box.top, width=box.width, height=box.height,
                  href=f"data:image/jpeg;base64,{data}")  # fmt: skip

    def hatched(self, box: Box) -> None:
        """The pattern of the page."""
        self._box(box, fill="url(#hatch)")

    def tooltip(self, box: Box, text: str, *, target: str = "") -> None:
        """A ``title`` of a box that shows when it is pointed at."""
        covering = self._box(box, class_="hit")
        if target:
            covering.set("id", target)
        ElementTree.SubElement(covering, "title").text = "\n".join(map(plain, text.split("\n")))

    def _box(self, box: Box, **attributes: object) -> Element:
        return self._add("rect", x=box.left, y=box.top, width=box.width, height=box.height, **attributes)

    def _add(self, tag: str, **attributes: object) -> Element:
        """A child; numbers are rounded to a tenth of a pixel, underscores in names become dashes."""
        named = {name.rstrip("_").replace("_", "-"): _number(value) for name, value in attributes.items()}
        return ElementTree.SubElement(self._parent, tag, named)


def _css(colour: Colour) -> str:
    return f"var(--{colour.value})" if isinstance(colour, Role) else colour


def _path(points: NDArray[np.floating]) -> str:
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points.tolist())


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
