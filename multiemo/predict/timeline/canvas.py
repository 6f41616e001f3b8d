"""The surface that lanes draw on. Coordinates are pixels, right and down from the corner of the current group."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from multiemo.predict.timeline.colours import Colour
from multiemo.predict.timeline.text_fitting import Typeface

Anchor: TypeAlias = Literal["start", "middle", "end"]

#: Height of a line of text of normal size, pixels.
LINE_HEIGHT = 13.0


class Box(NamedTuple):
    """A rectangle, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Width, pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Height, pixels."""
        return self.bottom - self.top

    @property
    def middle(self) -> tuple[float, float]:
        """Its centre (x, y)."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


class Canvas(Protocol):
    """A surface on which later calls draw over earlier ones.

    Every text must have passed through ``printable`` of its typeface.
    """

    @property
    def typeface(self) -> Typeface:
        """The font of its texts."""

    def group(self, name: str, left: float, top: float) -> AbstractContextManager[None]:
        """Move the origin for the duration of a ``with`` block.

        Args:
            name: name of the group.
            left, top: its corner in the coordinates of the surrounding group, pixels.
        """

    def rectangles(self, boxes: Sequence[Box], fill: Colour) -> None:
        """Fill rectangles with sharp edges."""

    def area(self, points: NDArray[np.floating], fill: Colour) -> None:
        """Fill a polygon with the corners ``[P, 2]``."""

    def lines(
        self, lines: Sequence[NDArray[np.floating]], stroke: Colour, *, width: float = 1.0, dashes: Sequence[float] = ()
    ) -> None:
        """Draw lines.

        Args:
            lines: each through two or more points ``[P, 2]``.
            stroke: colour of the lines.
            width: of the lines, pixels.
            dashes: lengths of dash and gap, pixels; empty for a solid line.
        """

    def text(
        self, x: float, middle: float, text: str, fill: Colour, *, anchor: Anchor = "middle", scale: float = 1.0
    ) -> None:
        """Write one line of text.

        Args:
            x: horizontal position of the anchor, pixels.
            middle: vertical position of the middle of the line, pixels.
            text: printable text; nothing is written if it is empty.
            fill: colour of the letters.
            anchor: which part of the text is at ``x``.
            scale: size relative to normal text.
        """

    def paragraph(self, box: Box, text: str, fill: Colour) -> None:
        """Write text in centred lines from the top of a box, cut off where it does not fit.

        Args:
            box: the box, pixels.
            text: printable text.
            fill: colour of the letters.
        """

    def image(self, box: Box, pixels: NDArray[np.uint8]) -> None:
        """Draw an image, uint8 ``[H, W, 3]`` RGB, scaled to the box."""

    def hatched(self, box: Box) -> None:
        """Cover a box with thin slanted lines."""

    def tooltip(self, box: Box, text: str, *, target: str = "") -> None:
        """Show a text while the pointer is over a box; a medium without a pointer ignores it.

        Args:
            box: the box, pixels.
            text: text of one or more lines.
            target: anchor name by which links refer to the box; empty for none.
        """
