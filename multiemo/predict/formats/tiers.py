"""Timelines as tiers of intervals, the model of annotation tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from multiemo.predict.timeline.captions import branch_labels, one_line, reasons
from multiemo.predict.timeline.contents import Entry, Timeline


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of a tier: start and end in milliseconds from the start of the media, and one line of text."""

    start: int
    end: int
    text: str


def tiers(entry: Entry) -> dict[str, list[Interval]]:
    """The tiers of one input; the intervals of a tier do not overlap.

    The tiers are ``emotion``, ``smoothed`` (if the entry has it), ``words``, one for each modality with the label of
    its own branch, one for each person, and ``skipped`` with the reasons, if spans were skipped. Intervals shorter than
    a millisecond are dropped.
    """
    shown = Timeline.of(entry)
    tracks = {"emotion" if name == "segments" else name: track for name, track in shown.tracks.items()}
    rows = {name: [(s.left, s.right, s.label) for s in track] for name, track in (tracks | dict(shown.people)).items()}
    order = ["emotion", "smoothed", "words", *shown.modalities, *shown.people]
    rows["words"] = [(s.left, s.right, s.content.get("text") or "") for s in shown.spans]
    for m in shown.modalities:
        labels = [(s, branch_labels(s.content).get(m)) for s in shown.spans]
        rows[m] = [(s.left, s.right, named[0]) for s, named in labels if named]
    skipped = [s for s in shown.spans if s.index is None]
    if skipped:
        rows["skipped"] = [(s.left, s.right, reasons(s.content.get("absent") or {}) or "skipped") for s in skipped]
        order.append("skipped")
    return {name: _intervals(rows[name]) for name in order if name in rows}


def _intervals(rows: Sequence[tuple[float, float, str]]) -> list[Interval]:
    found = [Interval(round(1000 * start), round(1000 * end), one_line(text)) for start, end, text in rows]
    return [i for i in found if i.end > i.start and i.text]
