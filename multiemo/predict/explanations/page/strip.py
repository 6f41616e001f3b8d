"""The timeline of all segments: colour is the label, height the confidence."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from markupsafe import Markup

from multiemo.predict.explanations.page.drawing import add, drawing, markup, tooltip, write
from multiemo.predict.explanations.page.formats import percent
from multiemo.predict.explanations.page.verdict import confidence, dimensions
from multiemo.predict.explanations.page.wording import PageTexts
from multiemo.predict.prediction import SegmentPrediction
from multiemo.predict.timeline.captions import clock
from multiemo.predict.timeline.colours import ink_on, label_colours

_WIDTH, _TOP, _BOTTOM = 860, 18, 92
#: Narrowest segment, in units of the drawing, in which its label is written, per character.
_CHARACTER = 7.2


def timeline(
    found: Sequence[SegmentPrediction], explained: Collection[tuple[float, float]], labels: Sequence[str], t: PageTexts
) -> Markup:
    """Draw the segments in order of time.

    Args:
        found: the predicted segments.
        explained: (start, end) of those that are explained.
        labels: the labels of the model; empty for a model without labels.
        t: the texts of a language.
    """
    end = max(segment.end for segment in found)
    svg = drawing(_WIDTH, 116, t("timeline_alt", count=len(found), duration=clock(end)), "timeline")
    colours = label_colours(list(labels))
    unit = _WIDTH / max(end, 1e-9)
    add(svg, "rect", x=0, y=_TOP, width=_WIDTH, height=_BOTTOM - _TOP, style="ground")
    for segment in found:
        left, width = segment.start * unit, max((segment.end - segment.start) * unit - 1, 0.8)
        share = confidence(segment) if segment.best is not None else 1.0
        height = max(share, 0.04) * (_BOTTOM - _TOP)
        colour = colours[segment.best or ""]
        bar = add(svg, "rect", x=left, y=_BOTTOM - height, width=width, height=height, fill=colour)
        if segment.label != segment.best:
            bar.set("fill-opacity", "0.45")
        name = t.name(segment.best) if segment.best is not None else dimensions(segment, t)
        sure = f" {percent(share)}" if segment.best is not None else ""
        tooltip(bar, f"{clock(segment.start)}–{clock(segment.end)}: {name}{sure}")
        wide = sum(2 if ord(c) > 0x2E80 else 1 for c in name)
        if width > _CHARACTER * wide + 4 and height > 18 and segment.label == segment.best:
            middle = left + width / 2
            write(svg, middle, _BOTTOM - 6, name, anchor="middle", style="inside", fill=ink_on(colour))
        if (segment.start, segment.end) in explained:
            middle = left + width / 2
            points = f"{middle - 6:.1f},3 {middle + 6:.1f},3 {middle:.1f},13"
            add(svg, "polygon", points=points, style="pointer")
    for k in range(7):
        anchor = "start" if k == 0 else "end" if k == 6 else "middle"
        write(svg, k * _WIDTH / 6, 110, clock(round(k * end / 6, 1)), anchor=anchor)
    return markup(svg)
