"""The timeline as a TextGrid of Praat (its manual: "TextGrid file formats"), in the long format, UTF-8."""

from __future__ import annotations

from collections.abc import Sequence

from multiemo.predict.formats.tiers import Interval, tiers
from multiemo.predict.timeline.captions import one_line
from multiemo.predict.timeline.contents import Entry, duration


def textgrid(entry: Entry) -> str:
    """One interval tier for each of :func:`~multiemo.predict.formats.tiers.tiers`.

    The intervals of a tier tile the time from 0 to the duration: where nothing is said their text is empty. A tier
    cannot hold segments that overlap: both are cut at the middle of the overlap.
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
    """With the gaps between them filled by intervals without text."""
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
