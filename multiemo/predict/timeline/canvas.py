"""What a lane is drawn on. Pixels go right and down from the corner of the group that is being drawn."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from multiemo.predict.timeline.colours import Colour
from multiemo.predict.timeline.text_fitting import Typeface

Anchor: TypeAlias = Literal["start", "middle", "end"]

#: Pixels of a line of most text.
LINE_HEIGHT = 13.0


class Box(NamedTuple):
    """A rectangle, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Pixels across."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Pixels down."""
        return self.bottom - self.top

    @property
    def middle(self) -> tuple[float, float]:
        """Its centre."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


class Canvas(Protocol):
    """A surface that draws in the order of the calls; texts are those that its typeface calls printable."""

    @property
    def typeface(self) -> Typeface:
        """Its letters."""

    def group(self, name: str, left: float, top: float) -> AbstractContextManager[None]:
        """Draw what follows, while the block lasts, from a corner of its own.

        Args:
            name: of the group.
            left, top: its corner, pixels.
        """

    def rectangles(self, boxes: Sequence[Box], fill: Colour) -> None:
        """Fill rectangles, with sharp edges."""

    def area(self, points: NDArray[np.floating], fill: Colour) -> None:
        """Fill a polygon of corners ``[P, 2]``."""

    def lines(
        self, lines: Sequence[NDArray[np.floating]], stroke: Colour, *, width: float = 1.0, dashes: Sequence[float] = ()
    ) -> None:
        """Draw lines.

        Args:
            lines: each through points ``[P, 2]``, two or more.
            stroke: their colour.
            width: pixels.
            dashes: lengths of dash and gap in pixels; empty for a solid line.
        """

    def text(
        self, x: float, middle: float, text: str, fill: Colour, *, anchor: Anchor = "middle", scale: float = 1.0
    ) -> None:
        """Write a line.

        Args:
            x: pixels, of what the anchor says.
            middle: of its height, pixels.
            text: printable; nothing is written where it is empty.
            fill: colour of the letters.
            anchor: which part of the text stands at ``x``.
            scale: times the size of most text.
        """

    def paragraph(self, box: Box, text: str, fill: Colour) -> None:
        """Write printable text in centred lines from the top of a box; what does not fit is not shown.

        Args:
            box: where.
            text: printable.
            fill: colour of the letters.
        """

    def image(self, box: Box, pixels: NDArray[np.uint8]) -> None:
        """Draw an image, uint8 ``[H, W, 3]`` RGB, as large as the box."""

    def hatched(self, box: Box) -> None:
        """Cover a box with thin slanted lines."""

    def tooltip(self, box: Box, text: str, *, target: str = "") -> None:
        """Show a text to whoever points at a box; nothing where nobody can point.

        Args:
            box: where.
            text: may have several lines.
            target: the name under which links find the box.
        """
