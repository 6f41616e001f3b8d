"""Timelines as pictures (PNG)."""

from __future__ import annotations

import numpy as np

from multiemo.predict.timeline.canvas import Box
from multiemo.predict.timeline.captions import summary
from multiemo.predict.timeline.colours import Role
from multiemo.predict.timeline.contents import Entry, Timeline
from multiemo.predict.timeline.fonts import InstalledTypeface, any_weight
from multiemo.predict.timeline.layout import Key, Layout
from multiemo.predict.timeline.raster_canvas import RasterCanvas
from multiemo.predict.timeline.text_fitting import fitted
from multiemo.predict.traces import Traces

#: Least and greatest width of the picture, its left and right margins and the one below, pixels.
_NARROW, _WIDE, _LEFT, _RIGHT, _EDGE = 960.0, 2880.0, 118.0, 16.0, 8.0
#: Width of a square and of a line in the legend, and the gap between entries, pixels.
_SWATCH, _STROKE, _BETWEEN = 10.0, 26.0, 14.0
#: Height of the heading, and of a row of the legend or of the notes, pixels.
_HEADING, _ROW = 44.0, 17.0
#: Font size of the title and of tick marks, relative to normal text.
_TITLE, _SMALL = 1.45, 0.85


def draw_png(entry: Entry, traces: Traces) -> bytes:
    """The picture of one input: the lanes of :class:`~multiemo.predict.timeline.layout.Layout`, a title and a legend.

    A lane without data is left out. So is one that does not fit, such as the words of an hour; a note then says so.

    Args:
        entry: one entry of ``inputs`` in the prediction JSON.
        traces: sound and faces; may be empty.
    """
    with any_weight():
        typeface, layout = plan(entry, traces)
        legend = _flowed(layout.legend(), typeface, layout.scale.width)
        top = _HEADING + _ROW * len(legend)
        width = _LEFT + layout.scale.width + _RIGHT
        canvas = RasterCanvas(width, top + layout.height + _ROW * len(layout.notes) + _EDGE, typeface)
        with canvas.group("heading", _LEFT, 0):
            _draw_heading(canvas, entry, layout)
            for number, row in enumerate(legend):
                for left, key in row:
                    _draw_key(canvas, key, left, _HEADING + _ROW * (number + 0.4))
        with canvas.group("timeline", _LEFT, top):
            layout.draw(canvas)
            _draw_names(canvas, layout)
            for number, note in enumerate(layout.notes):
                canvas.text(0, layout.height + _ROW * (number + 0.5), note, Role.SOFT, anchor="start")
        return canvas.png()


def plan(entry: Entry, traces: Traces) -> tuple[InstalledTypeface, Layout]:
    """The fonts and lanes of a picture.

    Args:
        entry: one entry of ``inputs`` in the prediction JSON.
        traces: sound and faces; may be empty.
    """
    timeline = Timeline.of(entry)
    texts = [str(entry["input"]), summary(entry, timeline.duration), *timeline.labels, *timeline.people]
    texts += [str(span.content.get("text") or "") for span in timeline.spans]
    typeface = InstalledTypeface(texts)
    margins = _LEFT + _RIGHT
    layout = Layout(timeline, traces, typeface, narrowest=_NARROW - margins, widest=_WIDE - margins)
    layout.notes = [f"{note}; the HTML page shows them" for note in layout.notes]
    return typeface, layout


def _draw_heading(canvas: RasterCanvas, entry: Entry, layout: Layout) -> None:
    """Draw the name of the input and its summary."""
    letters, width = canvas.typeface, layout.scale.width
    title = fitted(letters.printable(entry["input"]), width / _TITLE, width=letters.width)
    canvas.text(0, 14, "".join(title), Role.INK, anchor="start", scale=_TITLE)
    facts = fitted(letters.printable(summary(entry, layout.timeline.duration)), width, width=letters.width)
    canvas.text(0, 32, "".join(facts), Role.SOFT, anchor="start")


def _draw_names(canvas: RasterCanvas, layout: Layout) -> None:
    """Draw the name of each lane and the ticks of its axis left of it."""
    letters = canvas.typeface
    for placed in layout.lanes:
        lane = placed.lane
        canvas.text(-34, placed.top + lane.height / 2, layout.name(lane, letters), Role.SOFT, anchor="end")
        for y, text in lane.ticks():
            inside = placed.top + min(max(y, 4.0), lane.height - 4.0)
            canvas.text(-5, inside, text, Role.SOFT, anchor="end", scale=_SMALL)


def _flowed(rows: list[list[Key]], typeface: InstalledTypeface, width: float) -> list[list[tuple[float, Key]]]:
    """Break the legend into rows of at most ``width`` pixels; each entry gets its left edge."""
    flowed: list[list[tuple[float, Key]]] = []
    for row in rows:
        left = width
        for key in row:
            needed = _swatch(key) + typeface.width(typeface.printable(key.text)) + _BETWEEN
            if left + needed - _BETWEEN > width:
                flowed.append([])
                left = 0.0
            flowed[-1].append((left, key))
            left += needed
    return flowed


def _swatch(key: Key) -> float:
    """Space before the text of an entry, pixels."""
    return {"heading": 0.0, "line": _STROKE + 5}.get(key.kind, _SWATCH + 5)


def _draw_key(canvas: RasterCanvas, key: Key, left: float, middle: float) -> None:
    box = Box(left, middle - _SWATCH / 2, left + _SWATCH, middle + _SWATCH / 2)
    if key.kind == "fill":
        canvas.rectangles([box], key.colour)
    elif key.kind == "hatch":
        canvas.hatched(box)
    elif key.kind == "line":
        canvas.lines([np.array([(left, middle), (left + _STROKE, middle)])], key.colour, width=1.6, dashes=key.dashes)
    text = canvas.typeface.printable(key.text)
    canvas.text(left + _swatch(key), middle, text, Role.SOFT if key.kind == "heading" else Role.INK, anchor="start")
