"""Timelines as subtitles: SubRip (SRT) and WebVTT (W3C candidate recommendation, 2019)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from multiemo.predict.timeline.captions import caption, one_line, reasons, smoothed_label
from multiemo.predict.timeline.contents import Entry, duration, placed_spans

#: The start of text that a player reads as markup: a tag, or an override of the ASS format.
_MARKUP = re.compile(r"<(?=[/a-zA-Z])|\{(?=\\)")


def srt(entry: Entry) -> str:
    """A cue for each segment: its smoothed label with the probability, and its words on a second line.

    Overlapping segments are cut at the middle of the overlap, so that one cue is shown at a time. If there is no
    segment, a single cue states why, since players treat a file without cues as broken. SRT has no escapes, so an
    invisible word joiner (U+2060) keeps players from reading ``<b`` in a transcript as a tag.
    """
    cues = []
    for number, (start, end, lines) in enumerate(_cues(entry), 1):
        text = _MARKUP.sub("\\g<0>\u2060", "\n".join(lines)).replace("-->", "→")
        cues.append(f"{number}\n{_time(start, ',')} --> {_time(end, ',')}\n{text}\n")
    return "\n".join(cues)


def vtt(entry: Entry) -> str:
    """The cues of :func:`srt`, as WebVTT."""
    cues = ["WEBVTT\n"]
    for number, (start, end, lines) in enumerate(_cues(entry), 1):
        text = "\n".join(lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        cues.append(f"{number}\n{_time(start, '.')} --> {_time(end, '.')}\n{text}\n")
    return "\n".join(cues)


def _cues(entry: Entry) -> Iterator[tuple[int, int, list[str]]]:
    """Start and end of each cue in milliseconds, and its one or two lines."""
    if not entry["segments"]:
        why = one_line(reasons(entry.get("absent") or {}))
        yield 0, round(1000 * duration(entry)), ["nothing to go by", *([why] if why else [])]
    for span in placed_spans(entry):
        start, end = round(1000 * span.left), round(1000 * span.right)
        if span.index is not None and end > start:
            lines = [one_line(caption(*smoothed_label(span.content))), one_line(span.content.get("text") or "")]
            yield start, end, [line for line in lines if line]


def _time(milliseconds: int, comma: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{comma}{rest:03d}"
