"""The lanes of labels and figures: what each draws, from its own top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from multiemo.predict.timeline.canvas import LINE_HEIGHT, Box, Canvas
from multiemo.predict.timeline.captions import branch_labels, caption, clock
from multiemo.predict.timeline.colours import MODALITY_COLOURS, Role, ink_on, muted
from multiemo.predict.timeline.contents import LabelledSpan, PlacedSpan, Timeline
from multiemo.predict.timeline.text_fitting import first_fitting
from multiemo.predict.timeline.time_scale import TimeScale
from multiemo.types import DIMENSIONS

#: Pixels: heights of lanes and of the strip with labels.
STRIP, BRANCH, BANDS, LOW_BANDS, ROW = 20.0, 16.0, 96.0, 48.0, 52.0
#: Pixels left and right of a text within its rectangle.
_PADDING = 3.0
#: Dashes and gaps of each dimension's line, in pixels.
DASHES: Mapping[str, tuple[float, ...]] = dict(zip(DIMENSIONS, ((), (6, 3), (1.5, 3)), strict=True))


class Lane(Protocol):
    """One row of a timeline."""

    @property
    def name(self) -> str:
        """What stands beside it."""

    @property
    def height(self) -> float:
        """Pixels."""

    def ticks(self) -> Sequence[tuple[float, str]]:
        """Marks of its axis as (pixels from its top, text); empty where it has none."""

    def draw(self, canvas: Canvas, scale: TimeScale) -> None:
        """Draw it from its own top."""


@dataclass(frozen=True, slots=True)
class ProbabilityLane:
    """A strip of labels, and below it the stacked probabilities, the other labels named where there is room.

    Args:
        name: of the lane.
        spans: what is shown.
        timeline: whose bands they are.
        colours: {label: colour}.
        bands: height of the probabilities, pixels.
        muted: in paler colours.
        tooltips: whether each span has its own.
    """

    name: str
    spans: Sequence[LabelledSpan]
    timeline: Timeline
    colours: Mapping[str, str]
    bands: float
    muted: bool = False
    tooltips: bool = False

    @property
    def height(self) -> float:
        """Strip and bands."""
        return STRIP + self.bands

    def ticks(self) -> Sequence[tuple[float, str]]:
        """None: the bands fill the lane."""
        return ()

    def draw(self, canvas: Canvas, scale: TimeScale) -> None:
        """Tiles, then bands label by label, then the names on them."""
        _tiles(canvas, [(scale.box(s, 0, STRIP - 1), s.label, caption(s.label, s.probs)) for s in self.spans],
               self.colours)  # fmt: skip
        bands: dict[str, list[Box]] = {label: [] for label in self.timeline.bands}
        names: list[tuple[Box, str, str]] = []
        for span in self.spans:
            bottom = self.height
            for label, share in zip(bands, self.timeline.shares(span.probs), strict=True):
                box = scale.box(span, bottom - share * self.bands, bottom)
                bands[label].append(box)
                bottom = box.top
                if label != span.label and box.height > LINE_HEIGHT:
                    names.append((box, label, canvas.typeface.printable(f"{label} {share:.0%}")))
        shown = {label: muted(self.colours[label]) if self.muted else self.colours[label] for label in bands}
        for label, boxes in bands.items():
            canvas.rectangles(boxes, shown[label])
        for box, label, text in names:
            if canvas.typeface.width(text) <= box.width - 2 * _PADDING:
                canvas.text(*box.middle, text, ink_on(shown[label]))
        for span in self.spans if self.tooltips else ():
            said = f"{clock(span.left)} .. {clock(span.right)}\n{caption(span.label, span.probs)}"
            canvas.tooltip(scale.box(span, 0, self.height), said)


@dataclass(frozen=True, slots=True)
class BranchLane:
    """The label that one modality would have by itself; empty where it is absent."""

    name: str
    segments: Sequence[PlacedSpan]
    colours: Mapping[str, str]
    height: float = BRANCH

    def ticks(self) -> Sequence[tuple[float, str]]:
        """None."""
        return ()

    def draw(self, canvas: Canvas, scale: TimeScale) -> None:
        """A tile a segment."""
        labels = [(s, branch_labels(s.content).get(self.name)) for s in self.segments]
        _tiles(canvas, [(scale.box(s, 0, self.height), own[0], own[0]) for s, own in labels if own], self.colours)


def _tiles(canvas: Canvas, tiles: Sequence[tuple[Box, str, str]], colours: Mapping[str, str]) -> None:
    """Rectangles of (box, label, text) in the labels' colours, with as much of the text as fits."""
    by_label: dict[str, list[Box]] = {}
    for box, label, _ in tiles:
        by_label.setdefault(label, []).append(box._replace(right=max(box.right - 1, box.left + 0.5)))
    for label, boxes in by_label.items():
        canvas.rectangles(boxes, colours[label])
    letters = canvas.typeface
    for box, label, text in tiles:
        choices = [letters.printable(text), letters.printable(label)]
        fitting = first_fitting(choices, box.width - 2 * _PADDING, width=letters.width)
        if fitting:
            canvas.text(*box.middle, fitting, ink_on(colours[label]))


@dataclass(frozen=True, slots=True)
class ContributionLane:
    """What each modality adds to the probability of the label, piled up from zero or down from it."""

    segments: Sequence[PlacedSpan]
    modalities: Sequence[str]
    name: str = "contribution"
    height: float = ROW

    def ticks(self) -> Sequence[tuple[float, str]]:
        """Zero, and the highest pile."""
        _, high, unit = self._range()
        return [(0.0, f"{high:.2f}"), (high * unit, "0")]

    def draw(self, canvas: Canvas, scale: TimeScale) -> None:
        """Piles, and the line of zero."""
        _, high, unit = self._range()
        for modality, pile in self._piles().items():
            boxes = [scale.box(s, (high - up) * unit, (high - down) * unit)
                     for s, (down, up) in zip(self.segments, pile, strict=True) if up > down]  # fmt: skip
            canvas.rectangles(boxes, MODALITY_COLOURS[modality])
        _level(canvas, scale, high * unit)

    def _range(self) -> tuple[float, float, float]:
        """Lowest and highest value, and pixels of one unit."""
        ends = [end for pile in self._piles().values() for span in pile for end in span]
        low, high = min(0.0, *ends), max(0.05, *ends)
        return low, high, self.height / (high - low)

    def _piles(self) -> dict[str, list[tuple[float, float]]]:
        """{modality: (low, high) a segment}."""
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in self.modalities}
        for segment in self.segments:
            up = down = 0.0
            for name in self.modalities:
                value = (segment.content.get("contribution") or {}).get(name, 0.0)
                low = up if value >= 0 else down + value
                found[name].append((low, low + abs(value)))
                up, down = up + max(value, 0.0), down + min(value, 0.0)
        return found


@dataclass(frozen=True, slots=True)
class DimensionLane:
    """Valence, arousal and dominance of each segment, -1 to 1."""

    segments: Sequence[PlacedSpan]
    name: str = "dimensions"
    height: float = ROW

    def ticks(self) -> Sequence[tuple[float, str]]:
        """Both ends and the middle."""
        return [(0.0, "1"), (self.height / 2, "0"), (self.height, "-1")]

    def draw(self, canvas: Canvas, scale: TimeScale) -> None:
        """The line of zero, and a piece of line a segment."""
        _level(canvas, scale, self.height / 2)
        for name, dashes in DASHES.items():
            found = [(s, float(s.content[name])) for s in self.segments if s.content.get(name) is not None]
            heights = [self.height / 2 * (1 - min(max(value, -1.0), 1.0)) for _, value in found]
            pieces = [np.array([[scale.x(s.left), y], [scale.x(s.right), y]])
                      for (s, _), y in zip(found, heights, strict=True)]  # fmt: skip
            canvas.lines(pieces, Role.INK, width=1.6, dashes=dashes)


def _level(canvas: Canvas, scale: TimeScale, y: float) -> None:
    canvas.lines([np.array([[0.0, y], [scale.width, y]])], Role.RULE)
