"""Timelines as self-contained HTML pages, which load nothing from elsewhere and need no script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from multiemo.pages import page_template
from multiemo.predict.timeline.captions import (
    branch_labels,
    caption,
    clock,
    one_line,
    own_label,
    reasons,
    smoothed_label,
    summary,
)
from multiemo.predict.timeline.colours import DARK, LIGHT
from multiemo.predict.timeline.contents import Entry, PlacedSpan, Timeline
from multiemo.predict.timeline.layout import Layout
from multiemo.predict.timeline.svg_canvas import SvgCanvas
from multiemo.predict.timeline.text_fitting import BrowserTypeface
from multiemo.predict.traces import Traces

#: Width of the lanes: that of the page, and the largest that browsers draw well, pixels.
_PAGE, _WIDEST = 960.0, 60_000.0


def render_page(entry: Entry, traces: Traces) -> str:
    """The page of one input: lanes as inline SVG that scroll beside their names, and a table of all segments.

    The lanes are those of the picture. The tooltip of a segment shows its prediction, and why modalities are absent or
    the segment was skipped. The page is light or dark, following the reader's system.

    Args:
        entry: one entry of ``inputs`` in the prediction JSON.
        traces: sound and faces; may be empty.
    """
    from markupsafe import Markup

    timeline = Timeline.of(entry)
    layout = Layout(timeline, traces, BrowserTypeface(), narrowest=_PAGE, widest=_WIDEST)
    canvas = SvgCanvas(layout.scale.width, layout.height)
    layout.draw(canvas)
    return page_template(Path(__file__).with_name("timeline.html")).render(
        title=one_line(entry["input"]),
        summary=summary(entry, timeline.duration),
        absent={m: one_line(why) for m, why in entry.get("absent", {}).items()},
        notes=[*map(one_line, entry.get("notes", ())), *(f"{note}; the table shows them" for note in layout.notes)],
        light=LIGHT,
        dark=DARK,
        legend=[[{"text": one_line(key.text), "key": key} for key in row] for row in layout.legend()],
        layout=layout,
        names=[layout.name(placed.lane, canvas.typeface) for placed in layout.lanes],
        svg=Markup(canvas.svg()),  # every text in it is escaped by ElementTree
        overview=_overview(layout) if layout.scale.width > _PAGE else [],
        rows=[_row(span) for span in timeline.spans],
        with_smoothed="smoothed" in timeline.tracks,
        columns=timeline.modalities,
    )


def _overview(layout: Layout) -> list[dict[str, Any]]:
    """The overview of all segments, 1000 units wide; each links to its segment in the lanes."""
    timeline = layout.timeline
    unit = 1000 / timeline.duration
    track = next(iter(timeline.tracks.values()))
    return [
        {
            "target": f"s{segment.index}",
            "left": f"{span.left * unit:.2f}",
            "width": f"{(span.right - span.left) * unit:.2f}",
            "colour": layout.colours[span.label],
            "tooltip": f"{clock(span.left)}  {one_line(caption(span.label, span.probs))}",
        }
        for segment, span in zip(timeline.segments, track, strict=True)
    ]


def _row(span: PlacedSpan) -> dict[str, Any]:
    """A row of the table; ``index`` is ``None`` for a skipped span."""
    content = span.content
    row: dict[str, Any] = {
        "index": span.index,
        "start": clock(float(content["start"])),
        "end": clock(float(content["end"])),
        "words": one_line(content.get("text") or ""),
        "absent": one_line(reasons(content.get("absent") or {})),
    }
    if span.index is not None:
        contribution = content.get("contribution") or {}
        row["label"] = one_line(caption(*own_label(content)))
        row["smoothed"] = one_line(caption(*smoothed_label(content)))
        row["by"] = {m: (one_line(label), contribution.get(m)) for m, (label, _) in branch_labels(content).items()}
    return row
