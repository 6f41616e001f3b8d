"""An entry of the prediction JSON as lanes over time: what the formats write and draw of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

from multiemo.types import DIMENSIONS, MODALITIES

#: One entry of ``inputs`` of the prediction JSON.
Entry: TypeAlias = Mapping[str, Any]

#: Seconds given to what has no length (a text, a still picture) in formats of spans.
NO_LENGTH = 1.0
#: The band of all labels that have none of their own.
OTHER = "other"
_MOST_BANDS = 12
#: Seconds between marks of time.
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
#: What XML may not carry: control characters, and the lone surrogates of file names that are not UTF-8.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Part:
    """A segment, or a span that was skipped.

    Args:
        left, right: its place, seconds; parts do not overlap.
        said: the segment or skipped span as the entry has it.
        index: of the segment among ``segments``; ``None`` for a skipped span.
    """

    left: float
    right: float
    said: Mapping[str, Any]
    index: int | None


@dataclass(frozen=True, slots=True)
class Block:
    """What is said from ``left`` to ``right`` in one lane; ``label`` need not be among ``probs`` (``uncertain``).

    Of a model without labels there are no ``probs``, and ``label`` tells the dimensions.
    """

    left: float
    right: float
    label: str
    probs: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is drawn.

    Args:
        whole: seconds, above zero.
        parts: segments and skipped spans in order of time.
        lanes: {name: blocks}: ``smoothed`` (where the entry has it), ``segments``, and ``person ID`` for each person.
        bands: the labels that have a band; the last may be ``other``.
        labels: every label that the lanes show, ``uncertain`` too; not dimensions in words.
        modalities: those that the entry speaks of.
    """

    whole: float
    parts: Sequence[Part]
    lanes: Mapping[str, Sequence[Block]]
    bands: Sequence[str]
    labels: Sequence[str] = field(default_factory=tuple)
    modalities: Sequence[str] = field(default_factory=tuple)

    def shares(self, probs: Mapping[str, float]) -> list[float]:
        """Heights of the bands, which sum to one (of a model with several labels at once, the parts of their sum)."""
        total = sum(probs.values()) or 1.0
        shares = [probs.get(label, 0.0) / total for label in self.bands if label != OTHER]
        return [*shares, max(0.0, 1.0 - sum(shares))] if OTHER in self.bands else shares


def timeline(entry: Entry) -> Timeline:
    """The lanes of an entry, also of one written before ``smoothed``, ``people`` or ``skipped`` existed."""
    placed = parts(entry)
    segments = [p for p in placed if p.index is not None]
    lanes: dict[str, list[Block]] = {}
    if any("smoothed" in p.said for p in segments):
        lanes["smoothed"] = [Block(p.left, p.right, *smoothed(p.said)) for p in segments]
    lanes["segments"] = [Block(p.left, p.right, *told(p.said)) for p in segments]
    for person in entry.get("people") or ():
        theirs = person["segments"]
        blocks = [Block(*span, *told(s)) for span, s in zip(cut(theirs), theirs, strict=True)]
        lanes[one_line(f"person {person['person']}")] = blocks
    blocks = [block for lane in lanes.values() for block in lane]
    names = list(dict.fromkeys(label for block in blocks for label in block.probs))
    shown = list(dict.fromkeys([*names, *(block.label for block in blocks if block.probs)]))
    return Timeline(length(entry), placed, lanes, _bands(blocks, names), shown, modalities(entry))


def _bands(blocks: Sequence[Block], names: Sequence[str]) -> list[str]:
    """All labels, or the most probable ones over all time and ``other``."""
    if len(names) <= _MOST_BANDS:
        return list(names)
    weight = {name: sum(b.probs.get(name, 0.0) * (b.right - b.left) for b in blocks) for name in names}
    kept = set(sorted(names, key=lambda name: -weight[name])[: _MOST_BANDS - 1])
    return [*(name for name in names if name in kept), OTHER]


def parts(entry: Entry) -> list[Part]:
    """Segments and skipped spans in order of time, cut where they overlap."""
    found: list[tuple[int | None, Mapping[str, Any]]] = [*enumerate(entry["segments"])]
    found += [(None, span) for span in entry.get("skipped") or ()]
    found.sort(key=lambda one: float(one[1]["start"]))
    spans = cut([said for _, said in found])
    return [Part(*span, said, index) for span, (index, said) in zip(spans, found, strict=True)]


def cut(items: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Spans that do not overlap: two that did are both cut at the middle of the overlap.

    Args:
        items: with ``start`` and ``end`` in seconds, in order of ``start``.

    Example:
        >>> cut([{"start": 0, "end": 4}, {"start": 2, "end": 6}, {"start": 4, "end": 8}])
        [(0.0, 3.0), (3.0, 5.0), (5.0, 8.0)]
    """
    starts = [max(0.0, float(item["start"])) for item in items]
    ends = [_end(item) for item in items]
    spans = [*zip(starts, ends, strict=True)]
    for i, (here, following) in enumerate(pairwise(spans)):
        if here[1] > following[0]:
            middle = (following[0] + min(here[1], following[1])) / 2
            ends[i] = starts[i + 1] = middle
    placed: list[tuple[float, float]] = []
    reached = 0.0
    for start, end in zip(starts, ends, strict=True):
        placed.append((max(start, reached), max(start, end, reached)))
        reached = placed[-1][1]
    return placed


def length(entry: Entry) -> float:
    """Seconds from 0 to the end of the media or of the last span; never zero."""
    spans = (*entry["segments"], *(entry.get("skipped") or ()))
    spans += tuple(s for person in entry.get("people") or () for s in person["segments"])
    whole = max(float(entry.get("duration") or 0.0), *(_end(span) for span in spans), 0.0)
    return whole if whole >= 0.001 else NO_LENGTH


def _end(item: Mapping[str, Any]) -> float:
    start, end = max(0.0, float(item["start"])), float(item["end"])
    return end if end > start else start + NO_LENGTH


def smoothed(segment: Mapping[str, Any]) -> tuple[str, Mapping[str, float]]:
    """Label and probabilities after smoothing over time; before it where the segment has no others."""
    return told(segment.get("smoothed") or segment)


def told(said: Mapping[str, Any]) -> tuple[str, Mapping[str, float]]:
    """Label and probabilities; of a model without labels its dimensions in words, and no probabilities.

    Example:
        >>> told({"valence": 0.25, "arousal": -0.5})
        ('valence +0.25, arousal -0.50', {})
    """
    if "label" in said:
        return str(said["label"]), said["probs"]
    return ", ".join(f"{name} {said[name]:+.2f}" for name in DIMENSIONS if name in said), {}


def best(probs: Mapping[str, float]) -> str:
    """The most probable label."""
    return max(probs, key=lambda label: probs[label])


def alone(segment: Mapping[str, Any]) -> dict[str, tuple[str, Mapping[str, float]]]:
    """{modality: label and probabilities of its own branch}; the most probable label where the segment names none."""
    named = segment.get("modality_label") or {}
    if "label" not in segment:
        return {m: told(said) for m, said in (segment.get("by_modality") or {}).items()}
    return {m: (named.get(m) or best(p), p) for m, p in (segment.get("by_modality") or {}).items() if p}


def caption(label: str, probs: Mapping[str, float]) -> str:
    """A label and how probable it is.

    Example:
        >>> caption("sad", {"happy": 0.1, "sad": 0.9}), caption("uncertain", {"happy": 0.4, "sad": 0.6})
        ('sad 90%', 'uncertain (sad 60%)')
    """
    if label in probs:
        return f"{label} {probs[label]:.0%}"
    if not probs:
        return label
    guess = best(probs)
    return f"{label} ({guess} {probs[guess]:.0%})"


def modalities(entry: Entry) -> list[str]:
    """Those that the entry or one of its segments has or misses, in the order of tables."""
    spoken = {*entry.get("present", ()), *entry.get("absent", ())}
    for said in (*entry["segments"], *(entry.get("skipped") or ())):
        spoken |= {*said.get("present", ()), *said.get("absent", ())}
    return [m for m in MODALITIES if m in spoken]


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours and tenths where there are some.

    Example:
        >>> clock(3.26), clock(75), clock(3675)
        ('0:03.3', '1:15', '1:01:15')
    """
    tenths = round(10 * seconds)
    minutes, rest = divmod(tenths // 10, 60)
    front = f"{minutes // 60}:{minutes % 60:02d}" if minutes >= 60 else str(minutes)
    return f"{front}:{rest:02d}" + (f".{tenths % 10}" if tenths % 10 else "")


def marks(whole: float, most: int) -> list[float]:
    """Round times from 0 to ``whole`` seconds, at most about ``most`` of them.

    Example:
        >>> marks(57.7, 8), marks(3276, 10)
        ([0, 10, 20, 30, 40, 50], [0, 600, 1200, 1800, 2400, 3000])
    """
    step = next((s for s in _STEPS if whole / s <= most), _STEPS[-1] * math.ceil(whole / _STEPS[-1] / most))
    return [number * step for number in range(int(whole / step + 1e-6) + 1)]


def reasons(absent: Mapping[str, str]) -> str:
    """Why modalities are absent, in one line."""
    return "; ".join(f"{m}: {reason}" for m, reason in absent.items())


def plain(text: object) -> str:
    """Text that UTF-8 and XML can carry: control characters and lone surrogates become U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", str(text))


def one_line(text: object) -> str:
    """Plain text with any run of white space as one space."""
    return " ".join(plain(text).split())


def stacked(segments: Sequence[Part], names: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    """{modality: (low, high) a segment}: contributions piled on each other, up from zero or down from it."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for part in segments:
        up = down = 0.0
        for name in names:
            value = (part.said.get("contribution") or {}).get(name, 0.0)
            low = up if value >= 0 else down + value
            found[name].append((low, low + abs(value)))
            up, down = up + max(value, 0.0), down + min(value, 0.0)
    return found


def spaced(found: Sequence[Part], side: float, whole: float) -> list[tuple[Part, float]]:
    """As many parts as pictures of ``side`` seconds have room for, each with where the middle of its picture is."""
    placed: list[tuple[Part, float]] = []
    free = 0.0
    for part in found:
        middle = max(min((part.left + part.right) / 2, whole - side / 2), side / 2)
        if middle - side / 2 >= free - 1e-9:
            placed.append((part, middle))
            free = middle + side / 2
    return placed


# --------------------------------------------------------------------------------------------------------------------
# Tiers, for annotation tools


@dataclass(frozen=True, slots=True)
class Interval:
    """A piece of a tier: whole milliseconds from the start of the media, and one line of text."""

    start: int
    end: int
    text: str


def tiers(entry: Entry) -> dict[str, list[Interval]]:
    """The timeline as tiers of intervals that do not overlap.

    ``emotion``, ``smoothed`` (where the entry has it), ``words``, one a modality with the label of its own branch, one
    a person, and ``skipped`` with the reasons where spans were skipped. What is shorter than a millisecond is left out.
    """
    shown, placed = timeline(entry), parts(entry)
    found = {"emotion" if name == "segments" else name: blocks for name, blocks in shown.lanes.items()}
    rows = {name: [(b.left, b.right, b.label) for b in blocks] for name, blocks in found.items()}
    order = ["emotion", "smoothed", "words", *shown.modalities, *(n for n in rows if n.startswith("person "))]
    rows["words"] = [(p.left, p.right, p.said.get("text") or "") for p in placed]
    for m in shown.modalities:
        heard = [(p, alone(p.said).get(m)) for p in placed]
        rows[m] = [(p.left, p.right, said[0]) for p, said in heard if said]
    skipped = [(p.left, p.right, reasons(p.said.get("absent") or {}) or "skipped") for p in placed if p.index is None]
    if skipped:
        rows["skipped"] = skipped
        order.append("skipped")
    return {name: _intervals(rows[name]) for name in order if name in rows}


def _intervals(rows: Sequence[tuple[float, float, str]]) -> list[Interval]:
    found = [Interval(round(1000 * start), round(1000 * end), one_line(text)) for start, end, text in rows]
    return [i for i in found if i.end > i.start and i.text]
