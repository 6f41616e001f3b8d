"""A canvas of pixels, drawn by matplotlib's Agg renderer and saved as PNG."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from multiemo.predict.timeline.canvas import LINE_HEIGHT, Anchor, Box
from multiemo.predict.timeline.colours import LIGHT, Colour, Role
from multiemo.predict.timeline.fonts import DOTS, LETTER_SIZE, InstalledTypeface, agg_renderer
from multiemo.predict.timeline.text_fitting import fitted

#: Largest width and height that the renderer accepts, dots.
_MAX_DOTS = 65_000
#: Distance from the middle of a line of text to its baseline, pixels.
_BASELINE = 0.37 * LETTER_SIZE
#: Distance and width of the lines of a hatching, pixels.
_HATCH, _HATCH_WIDTH = 10.5, 1.0


class RasterCanvas:
    """Draws on white in the colours of a light page, without tooltips.

    It implements :class:`~multiemo.predict.timeline.canvas.Canvas`.

    Args:
        width, height: pixels.
        typeface: fonts with the characters of the texts.
    """

    def __init__(self, width: float, height: float, typeface: InstalledTypeface) -> None:
        from matplotlib.transforms import Affine2D

        self.typeface = typeface
        self._dots = min(DOTS, _MAX_DOTS / max(width, height))
        across, self._down = round(width * self._dots), round(height * self._dots)
        self._renderer = agg_renderer(across, self._down, self._dots)
        self._transform = Affine2D().scale(self._dots, -self._dots).translate(0, self._down)
        self._corner = np.zeros(2)
        self.rectangles([Box(0, 0, width, height)], Role.PAPER)

    def png(self) -> bytes:
        """The picture so far, as PNG."""
        from PIL import Image

        dots = np.asarray(self._renderer.buffer_rgba())  # type: ignore[attr-defined]
        file, inch = io.BytesIO(), round(96 * self._dots)
        Image.fromarray(np.ascontiguousarray(dots[..., :3])).save(file, "PNG", dpi=(inch, inch))
        return file.getvalue()

    @contextmanager
    def group(self, name: str, left: float, top: float) -> Iterator[None]:
        """Move the origin.

        Args:
            name: not used.
            left, top: new origin in the current group, pixels.
        """
        outer = self._corner
        self._corner = outer + np.array([left, top])
        try:
            yield
        finally:
            self._corner = outer

    def rectangles(self, boxes: Sequence[Box], fill: Colour) -> None:
        """Fill rectangles; their edges are aligned with dots."""
        if boxes:
            corners = np.array(boxes)[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
            self._draw(list(corners), fill=fill, snap=True)

    def area(self, points: NDArray[np.floating], fill: Colour) -> None:
        """Fill a polygon with smooth edges."""
        self._draw([points], fill=fill)

    def lines(
        self, lines: Sequence[NDArray[np.floating]], stroke: Colour, *, width: float = 1.0, dashes: Sequence[float] = ()
    ) -> None:
        """Draw smooth lines with flat ends.

        Args:
            lines: each through two or more points ``[P, 2]``.
            stroke: colour of the lines.
            width: of the lines, pixels.
            dashes: lengths of dash and gap, pixels; empty for a solid line.
        """
        self._draw(lines, stroke=stroke, width=width, dashes=dashes)

    def text(
        self, x: float, middle: float, text: str, fill: Colour, *, anchor: Anchor = "middle", scale: float = 1.0
    ) -> None:
        """Write one line of text in the fonts of the typeface.

        Args:
            x: horizontal position of the anchor, pixels.
            middle: vertical position of the middle of the line, pixels.
            text: printable text.
            fill: colour of the letters.
            anchor: which part of the text is at ``x``.
            scale: size relative to normal text.
        """
        if text:
            gc = self._renderer.new_gc()
            gc.set_foreground(_hex(fill))
            before = {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * self.typeface.width(text) * scale
            left, base = (self._corner + np.array([x - before, middle + _BASELINE * scale])) * self._dots
            self._renderer.draw_text(gc, left, base, text, self.typeface.properties(scale), 0)
            gc.restore()

    def paragraph(self, box: Box, text: str, fill: Colour) -> None:
        """Write text in lines that fit into a box.

        Args:
            box: the box, pixels.
            text: printable text.
            fill: colour of the letters.
        """
        most = max(1, int(box.height // LINE_HEIGHT))
        found = [text] if text == "…" else fitted(text, box.width - 4, most, width=self.typeface.width)
        for number, line in enumerate(found):
            self.text(box.middle[0], box.top + (number + 0.5) * LINE_HEIGHT, line, fill)

    def image(self, box: Box, pixels: NDArray[np.uint8]) -> None:
        """Draw an image, scaled to whole dots with bicubic interpolation."""
        from PIL import Image

        size = round(box.width * self._dots), round(box.height * self._dots)
        scaled = Image.fromarray(pixels).convert("RGBA").resize(size, Image.Resampling.BICUBIC)
        left, top = np.round((self._corner + box[:2]) * self._dots)
        gc = self._renderer.new_gc()
        self._renderer.draw_image(gc, left, self._down - top - size[1], np.asarray(scaled)[::-1])
        gc.restore()

    def hatched(self, box: Box) -> None:
        """Cover a box with lines that rise to the right."""
        step = _HATCH if box.height > _HATCH else box.height / 3
        starts = np.arange(box.left - box.height, box.right, step)
        lines = [np.array([(x, box.bottom), (x + box.height, box.top)]) for x in starts]
        self._draw(lines, stroke=Role.RULE, width=_HATCH_WIDTH, within=box)

    def tooltip(self, box: Box, text: str, *, target: str = "") -> None:
        """Do nothing: a picture has no tooltips.

        Args:
            box, text, target: not used.
        """

    def _draw(
        self, pieces: Sequence[NDArray[np.floating]], *, fill: Colour | None = None, stroke: Colour | None = None,
        width: float = 0.0, dashes: Sequence[float] = (), snap: bool | None = None, within: Box | None = None,
    ) -> None:  # fmt: skip
        """Draw the pieces as one path; a filled piece need not be closed."""
        from matplotlib.path import Path
        from matplotlib.transforms import Bbox

        if not pieces:
            return
        codes = np.full(sum(map(len, pieces)), Path.LINETO)
        codes[np.cumsum([0, *map(len, pieces[:-1])])] = Path.MOVETO
        path = Path(np.concatenate(pieces) + self._corner, codes)
        gc = self._renderer.new_gc()
        gc.set_linewidth(width)
        gc.set_foreground(_hex(stroke if stroke is not None else Role.INK))
        gc.set_snap(snap)
        if dashes:
            gc.set_dashes(0, list(dashes))
        if within is not None:
            corners = self._transform.transform(np.array([within[:2], within[2:]]) + self._corner)
            gc.set_clip_rectangle(Bbox([corners.min(axis=0), corners.max(axis=0)]))
        self._renderer.draw_path(gc, path, self._transform, None if fill is None else _rgb(fill))
        gc.restore()


def _hex(colour: Colour) -> str:
    return LIGHT[colour] if isinstance(colour, Role) else colour


def _rgb(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = (int(_hex(colour)[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue
