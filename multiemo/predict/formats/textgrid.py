"""Timelines as TextGrid files of Praat (see "TextGrid file formats" in its manual), in the long format, UTF-8."""

from __future__ import annotations

from collections.abc import Sequence

from multiemo.predict.formats.tiers import Interval, tiers
from multiemo.predict.timeline.captions import one_line
from multiemo.predict.timeline.contents import Entry, duration


def textgrid(entry: Entry) -> str:
    """The TextGrid of one input, with an interval tier for each of :func:`~multiemo.predict.formats.tiers.tiers`.

    The intervals of a tier tile the time from 0 to the duration; gaps become intervals with an empty text. A tier
    cannot hold overlapping segments: they are cut at the middle of the overlap.
    """
    found = tiers(entry)
    end = round(1000 * duration(entry))
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {_seconds(end)}"]
    lines += ["tiers? <exists>", f"size = {len(found)}", "item []:"]
    for number, (name, intervals) in enumerate(found.items(), 1):
        tiled = _tiled(intervals, end)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f"        name = {_quoted(name)}"]
        lines += ["        xmin = 0", f"        xmax = {_seconds(end)}", f"        intervals: size = {len(tiled)}"]
        for place, interval in enumerate(tiled, 1):
            lines += [f"        intervals [{place}]:", f"            xmin = {_seconds(interval.start)}"]
            lines += [f"            xmax = {_seconds(interval.end)}", f"            text = {_quoted(interval.text)}"]
    return "\n".join(lines) + "\n"


def _tiled(intervals: Sequence[Interval], end: int) -> list[Interval]:
    """The intervals, with the gaps up to ``end`` filled by intervals without text."""
    found: list[Interval] = []
    reached = 0
    for interval in [*intervals, Interval(end, end, "")]:
        if interval.start > reached:
            found.append(Interval(reached, interval.start, ""))
        if interval.end > interval.start:
            found.append(interval)
        reached = interval.end
    return found


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}"


def _quoted(text: str) -> str:
    return '"' + one_line(text).replace('"', '""') + '"'
