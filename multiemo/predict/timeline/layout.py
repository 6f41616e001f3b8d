"""Chooses and stacks the lanes of a timeline, and makes its legend."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from multiemo.calibration import UNCERTAIN
from multiemo.predict.timeline.canvas import Box, Canvas
from multiemo.predict.timeline.captions import clock, tooltip
from multiemo.predict.timeline.colours import MODALITY_COLOURS, Colour, Role, label_colours
from multiemo.predict.timeline.contents import Timeline
from multiemo.predict.timeline.lanes import (
    BANDS,
    DASHES,
    LOW_BANDS,
    BranchLane,
    ContributionLane,
    DimensionLane,
    Lane,
    ProbabilityLane,
)
from multiemo.predict.timeline.media_lanes import PITCH_RANGE, FaceLane, SoundLane, WordLane
from multiemo.predict.timeline.text_fitting import Typeface, fitted
from multiemo.predict.timeline.time_scale import TimeScale, time_ticks
from multiemo.predict.traces import Traces
from multiemo.types import DIMENSIONS

#: Width of a typical segment, height of the time axis, gap between lanes, and least distance of time ticks, pixels.
_SEGMENT, _AXIS, _GAP, _TICK_DISTANCE = 64.0, 20.0, 8.0, 80
#: Width of the name of a lane, pixels.
_NAME_WIDTH = 80.0


@dataclass(frozen=True, slots=True)
class PlacedLane:
    """A lane, and the position of its top, pixels."""

    lane: Lane
    top: float


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of the legend: a filled square, a hatched square, a line, or the heading of the entries after it."""

    text: str
    kind: Literal["fill", "hatch", "line", "heading"]
    colour: Colour = Role.INK
    dashes: Sequence[float] = ()


class Layout:
    """The lanes of a timeline, stacked below a time axis.

    Args:
        timeline: the contents.
        traces: sound and faces; may be empty.
        typeface: the font of the canvas that will be used.
        narrowest, widest: limits of the width, pixels.

    Attributes:
        lanes: lanes from top to bottom, those of people last.
        notes: why lanes were left out.
        height: total height, pixels.
        colours: {label: colour}.
    """

    def __init__(
        self, timeline: Timeline, traces: Traces, typeface: Typeface, *, narrowest: float, widest: float
    ) -> None:
        self.timeline, self.traces = timeline, traces
        lengths = [span.right - span.left for span in timeline.spans] or [timeline.duration]
        typical = statistics.median(lengths) or timeline.duration
        width = round(min(widest, max(narrowest, timeline.duration * _SEGMENT / typical)))
        self.scale = TimeScale(timeline.duration, width)
        self.colours: Mapping[str, str] = label_colours([*timeline.labels, *timeline.bands])
        self.notes: list[str] = []
        self.lanes: list[PlacedLane] = []
        self.height = _AXIS
        for lane in self._choose_lanes(typeface):
            self.lanes.append(PlacedLane(lane, self.height))
            self.height += lane.height + _GAP

    def _choose_lanes(self, typeface: Typeface) -> Iterator[Lane]:
        """The lanes for which the entry or the traces have data, from top to bottom."""
        timeline, traces, segments = self.timeline, self.traces, self.timeline.segments
        for name, spans in timeline.tracks.items():
            secondary = name == "segments" and "smoothed" in timeline.tracks
            bands = (LOW_BANDS if secondary else BANDS) if timeline.bands else 0.0
            yield ProbabilityLane(name, spans, timeline, self.colours, bands=bands, muted=secondary)
        for modality in timeline.modalities:
            yield BranchLane(modality, segments, self.colours)
        if any(s.content.get("contribution") for s in segments):
            yield ContributionLane(segments, timeline.modalities)
        if traces.thumbnails:
            yield FaceLane(segments, traces.thumbnails)
        if traces.audible:
            yield SoundLane(traces)
        if any(span.content.get("text") for span in timeline.spans):
            words = WordLane(timeline.spans)
            problem = words.problem(typeface, self.scale)
            if problem:
                self.notes.append(problem)
            else:
                yield words
        if any(s.content.get(d) is not None for s in segments for d in DIMENSIONS):
            yield DimensionLane(segments)
        for name, spans in timeline.people.items():
            yield ProbabilityLane(
                name, spans, timeline, self.colours, bands=LOW_BANDS if timeline.bands else 0.0, tooltips=True
            )

    @staticmethod
    def name(lane: Lane, typeface: Typeface) -> str:
        """The name of a lane, cut to the space left of it."""
        return "".join(fitted(typeface.printable(lane.name), _NAME_WIDTH, width=typeface.width))

    def draw(self, canvas: Canvas) -> None:
        """Draw the time axis, the lanes, and the hatching and tooltips of spans over all lanes but those of people."""
        width = self.scale.width
        canvas.rectangles([Box(0, p.top, width, p.top + p.lane.height) for p in self.lanes], Role.PANEL)
        self._draw_axis(canvas)
        for placed in self.lanes:
            with canvas.group(placed.lane.name, 0, placed.top):
                placed.lane.draw(canvas, self.scale)
        common = [placed for placed in self.lanes if placed.lane.name not in self.timeline.people]
        top, bottom = common[0].top, common[-1].top + common[-1].lane.height
        for span in self.timeline.spans:
            box, skipped = self.scale.box(span, top, bottom), span.index is None
            if skipped:
                canvas.hatched(box)
            canvas.tooltip(box, tooltip(span.content, skipped=skipped), target="" if skipped else f"s{span.index}")

    def _draw_axis(self, canvas: Canvas) -> None:
        """Draw a vertical line at every tick, with its time at the top."""
        ticks = time_ticks(self.scale.duration, int(self.scale.width) // _TICK_DISTANCE)
        lines = [np.array([[self.scale.x(t), _AXIS - 5], [self.scale.x(t), self.height - _GAP]]) for t in ticks]
        canvas.lines(lines, Role.LINE)
        for time in ticks:
            text, x = clock(time), self.scale.x(time) + 3
            if x + canvas.typeface.width(text) <= self.scale.width:
                canvas.text(x, _AXIS / 2 - 1, text, Role.SOFT, anchor="start")

    def legend(self) -> list[list[Key]]:
        """The rows of the legend: labels in the first, everything else in the second."""
        timeline = self.timeline
        names = {placed.lane.name for placed in self.lanes}
        uncertain = [UNCERTAIN] if UNCERTAIN in timeline.labels and UNCERTAIN not in timeline.bands else []
        labels = [*timeline.bands, *uncertain]
        others: list[Key] = []
        if "contribution" in names:
            others.append(Key("contribution of", "heading"))
            others += [Key(m, "fill", MODALITY_COLOURS[m]) for m in timeline.modalities]
        if "sound" in names and not np.isnan(self.traces.pitch).all():
            others.append(Key("pitch, {:.0f} to {:.0f} Hz".format(*PITCH_RANGE), "line"))
        shown = [d for d in DIMENSIONS if any(s.content.get(d) is not None for s in timeline.segments)]
        others += [Key(d, "line", dashes=DASHES[d]) for d in shown]
        if any(span.index is None for span in timeline.spans):
            others.append(Key("skipped", "hatch"))
        return [row for row in ([Key(label, "fill", self.colours[label]) for label in labels], others) if row]
