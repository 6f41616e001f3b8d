"""Parse XML captions to raw cues: TTML (DFXP, IMSC, EBU-TT) and YouTube's XML.

TTML: https://www.w3.org/TR/ttml2/. Its times are those of the media. SMPTE drop-frame times are read as if no frames
were dropped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from multiemo.transcripts.cues import CaptionFile, RawCue

_CLOCK = re.compile(r"(?:(\d{1,9}):)?(\d{1,9}):(\d\d)(?:\.(\d{1,20})|:(\d{1,9}(?:\.\d{1,9})?))?")
_OFFSET = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)(h|ms|m|s|f|t)?")
#: Elements without spoken text.
_UNSPOKEN = ("metadata", "head", "styling", "layout")


@dataclass(frozen=True, slots=True)
class _Timing:
    """How the times and speakers of a TTML file are to be read.

    Args:
        frames: frames per second.
        ticks: ticks per second.
        agents: {id: name of a speaker}.
        absolute: whether all times count from the beginning of the file instead of the parent element, as in Apple's
            lyrics, which also omit the unit.
    """

    frames: float
    ticks: float
    agents: Mapping[str, str]
    absolute: bool

    def seconds(self, time: str | None) -> float:
        """Convert a clock or offset time of TTML to seconds; NaN if missing or invalid."""
        time = (time or "").strip()
        if clock := _CLOCK.fullmatch(time):
            fraction = float(f"0.{clock[4]}") if clock[4] else float(clock[5] or 0) / self.frames
            return int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + int(clock[3]) + fraction
        if offset := _OFFSET.fullmatch(time):
            units = {None: 1, "h": 3600, "m": 60, "s": 1, "ms": 1e-3, "f": 1 / self.frames, "t": 1 / self.ticks}
            return float(offset[1]) * units[offset[2]]
        return math.nan


def _parsed(text: str) -> ElementTree.Element | None:
    """Parse XML; ``None`` if it is not well formed, or declares entities, which could expand to any size."""
    if "<!ENTITY" in text:
        return None
    try:
        return ElementTree.fromstring(re.sub(r"^\s*<\?xml.*?\?>", "", text, flags=re.DOTALL))
    except (ElementTree.ParseError, ValueError, RecursionError):
        return None


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _attributes(element: ElementTree.Element) -> dict[str, str]:
    """Return {attribute: value} with names without their namespace."""
    return {_local(name): value for name, value in element.attrib.items()}


def ttml(text: str) -> CaptionFile:
    """Parse a TTML file to raw cues: one per paragraph, or per part of it with times of its own."""
    root = _parsed(text)
    if root is None or _local(root.tag) != "tt":
        return CaptionFile([])
    own = _attributes(root)
    rates = _rates(own, root)
    return CaptionFile(list(_cues_within(root, 0.0, math.inf, None, rates)), language=own.get("lang"))


def _rates(own: Mapping[str, str], root: ElementTree.Element) -> _Timing:
    try:
        up, down = (float(n) for n in re.split(r"[\s:]+", own.get("frameRateMultiplier", "1 1").strip()))
        frames = float(own.get("frameRate", 30)) * up / down
        ticks = float(own.get("tickRate", 0)) or (frames if "frameRate" in own else 1.0)
    except (ValueError, ZeroDivisionError):
        frames, ticks = 30.0, 1.0
    agents = {}
    for agent in root.iter():
        if _local(agent.tag) == "agent":
            names = [(part.text or "").strip() for part in agent if _local(part.tag) == "name"]
            agents[_attributes(agent).get("id", "")] = next(filter(None, names), "")
    begins = (_attributes(one).get("begin", "") for one in root.iter())
    absolute = any(re.fullmatch(r"\d+\.\d+|\d+:\d\d\.\d+", begin) for begin in begins)
    return _Timing(frames if frames > 0 else 30.0, ticks if ticks > 0 else 1.0, agents, absolute)


def _cues_within(
    element: ElementTree.Element, begin: float, end: float, agent: str | None, rates: _Timing
) -> Iterator[RawCue]:
    """Yield the cues of an element.

    Args:
        element: any element.
        begin: start of its parent, seconds, from which its times count.
        end: end of its parent, seconds.
        agent: id of the parent's speaker.
        rates: how times and speakers are read.
    """
    if _local(element.tag) in _UNSPOKEN:
        return
    own = _attributes(element)
    starts, stops, lasts = (rates.seconds(own.get(key)) for key in ("begin", "end", "dur"))
    origin = 0.0 if rates.absolute else begin
    stop = end if math.isnan(stops) else min(end, origin + stops)
    begin = begin if math.isnan(starts) else origin + starts
    stop = stop if math.isnan(lasts) else min(stop, begin + lasts)
    who = own.get("agent", agent)
    parts = _parts(element)
    if _local(element.tag) in ("tt", "body", "div") or any(_has_times(part) for part in parts):
        for part in parts:
            yield from _cues_within(part, begin, stop, who, rates)
        return
    if _local(element.tag) in ("p", "span"):
        speaker = rates.agents.get(who or "", who) or None
        yield RawCue(begin, math.nan if math.isinf(stop) else stop, _lines(element), speaker)


def _parts(element: ElementTree.Element) -> list[ElementTree.Element]:
    return [part for part in element if _local(part.tag) in ("body", "div", "p", "span")]


def _has_times(element: ElementTree.Element) -> bool:
    return any("begin" in _attributes(one) for one in element.iter())


def _lines(element: ElementTree.Element) -> list[str]:
    """Return the lines of an element.

    ``<br/>`` ends a line, and line ends of the file are spaces. A ``<`` in the text becomes an entity again.
    """

    def walk(one: ElementTree.Element) -> Iterator[str]:
        yield _escaped(one.text)
        for part in one:
            name = _local(part.tag)
            if name == "br":
                yield "\n"
            elif name not in _UNSPOKEN:
                yield from walk(part)
            yield _escaped(part.tail)

    return "".join(walk(element)).split("\n")


def _escaped(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "").replace("<", "&lt;")


def youtube(text: str) -> CaptionFile:
    """Parse YouTube's XML to raw cues: ``<text start dur>`` in seconds, or ``<p t d>`` in milliseconds."""
    root = _parsed(text)
    raws: list[RawCue] = []
    broken = 0
    for element in root.iter() if root is not None else ():
        if element.tag not in ("text", "p"):
            continue
        start, lasts, unit = ("start", "dur", 1.0) if "start" in element.attrib else ("t", "d", 1e-3)
        try:
            begin = float(element.attrib[start]) * unit
            end = begin + float(element.attrib.get(lasts, "nan")) * unit
            raws.append(RawCue(begin, end, "".join(element.itertext()).split("\n")))  # the text is escaped HTML
        except (KeyError, ValueError):
            broken += 1
    return CaptionFile(raws, [f"{broken} caption(s) without times were left out"] if broken else [])
