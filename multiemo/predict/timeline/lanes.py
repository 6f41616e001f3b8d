"""The lanes of labels and numbers. Each draws from its own top."""

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

#: Heights of the strip of labels, a branch lane, probabilities, secondary probabilities and any other lane, pixels.
STRIP, BRANCH, BANDS, LOW_BANDS, ROW = 20.0, 16.0, 96.0, 48.0, 52.0
#: Space left and right of a text within its rectangle, pixels.
_PADDING = 3.0
#: Lengths of the dashes and gaps in the line of each dimension, pixels.
DASHES: Mapping[str, tuple[float, ...]] = dict(zip(DIMENSIONS, ((), (6, 3), (1.5, 3)), strict=True))


class Lane(Protocol):
    """One row of a timeline."""

    @property
    def name(self) -> str:
        """The name beside the lane."""

    @property
    def height(self) -> float:
        """Height, pixels."""

    def ticks(self) -> Sequence[tuple[float, str]]:
        """Tick marks of its axis as (pixels from its top, text); empty if it has no axis."""

    def draw(self, canvas: Canvas, scale: TimeScale) -> None:
        """Draw the lane from its own top."""


@dataclass(frozen=True, slots=True)
class ProbabilityLane:
    """A strip of labels, and below it the stacked probabilities, with the names of the other labels where they fit.

    Args:
        name: name of the lane.
        spans: spans to show.
        timeline: the timeline that defines the bands.
        colours: {label: colour}.
        bands: height of the stacked probabilities, pixels.
        muted: draw in paler colours.
        tooltips: add a tooltip to each span.
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
        """Height of the strip and the bands, pixels."""
        return STRIP + self.bands

    def ticks(self) -> Sequence[tuple[float, str]]:
        """No ticks: the bands fill the lane."""
        return ()

    def draw(self, canvas: Canvas, scale: TimeScale) -> None:
        """Draw the strip, then the bands label by label, then the names on them."""
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
            text = f"{clock(span.left)} .. {clock(span.right)}\n{caption(span.label, span.probs)}"
            canvas.tooltip(scale.box(span, 0, self.height), text)


@dataclass(frozen=True, slots=True)
class BranchLane:
    """The label of one modality's own branch in each segment; empty where the modality is absent.

    Args:
        name: the modality.
        segments: the segments of the timeline.
        colours: {label: colour}.
        height: pixels.
    """

    name: str
    segments: Sequence[PlacedSpan]
    colours: Mapping[str, str]
    height: float = BRANCH

    def ticks(self) -> Sequence[tuple[float, str]]:
        """No ticks."""
        return ()

    def draw(self, canvas: Canvas, scale: TimeScale) -> None:
        """Draw a tile for each segment."""
        labels = [(s, branch_labels(s.content).get(self.name)) for s in self.segments]
        _tiles(canvas, [(scale.box(s, 0, self.height), own[0], own[0]) for s, own in labels if own], self.colours)


def _tiles(canvas: Canvas, tiles: Sequence[tuple[Box, str, str]], colours: Mapping[str, str]) -> None:
    """Draw rectangles of (box, label, text) in the colours of the labels, with as much of the text as fits."""
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
    """The contributions of the modalities, stacked up from zero if positive and down from zero if negative."""

    segments: Sequence[PlacedSpan]
    modalities: Sequence[str]
    name: str = "contribution"
    height: float = ROW

    def ticks(self) -> Sequence[tuple[float, str]]:
        """Ticks at zero and at the highest stack."""
        _, high, unit = self._range()
        return [(0.0, f"{high:.2f}"), (high * unit, "0")]

    def draw(self, canvas: Canvas, scale: TimeScale) -> None:
        """Draw the stacks and the zero line."""
        _, high, unit = self._range()
        for modality, stack in self._stacks().items():
            boxes = [scale.box(s, (high - up) * unit, (high - down) * unit)
                     for s, (down, up) in zip(self.segments, stack, strict=True) if up > down]  # fmt: skip
            canvas.rectangles(boxes, MODALITY_COLOURS[modality])
        _horizontal_line(canvas, scale, high * unit)

    def _range(self) -> tuple[float, float, float]:
        """The lowest and the highest value, and the number of pixels for one unit."""
        ends = [end for stack in self._stacks().values() for span in stack for end in span]
        low, high = min(0.0, *ends), max(0.05, *ends)
        return low, high, self.height / (high - low)

    def _stacks(self) -> dict[str, list[tuple[float, float]]]:
        """{modality: (low, high) in each segment}."""
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
    """Valence, arousal and dominance of each segment, from -1 to 1."""

    segments: Sequence[PlacedSpan]
    name: str = "dimensions"
    height: float = ROW

    def ticks(self) -> Sequence[tuple[float, str]]:
        """Ticks at -1, 0 and 1."""
        return [(0.0, "1"), (self.height / 2, "0"), (self.height, "-1")]

    def draw(self, canvas: Canvas, scale: TimeScale) -> None:
        """Draw the zero line, and a line for each segment and dimension."""
        _horizontal_line(canvas, scale, self.height / 2)
        for name, dashes in DASHES.items():
            found = [(s, float(s.content[name])) for s in self.segments if s.content.get(name) is not None]
            heights = [self.height / 2 * (1 - min(max(value, -1.0), 1.0)) for _, value in found]
            pieces = [np.array([[scale.x(s.left), y], [scale.x(s.right), y]])
                      for (s, _), y in zip(found, heights, strict=True)]  # fmt: skip
            canvas.lines(pieces, Role.INK, width=1.6, dashes=dashes)


def _horizontal_line(canvas: Canvas, scale: TimeScale, y: float) -> None:
    canvas.lines([np.array([[0.0, y], [scale.width, y]])], Role.RULE)
