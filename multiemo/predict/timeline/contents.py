"""Arranges an entry of the prediction JSON as spans over time, for every format that writes or draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

from multiemo.predict.prediction import InputPrediction
from multiemo.predict.timeline.captions import one_line, own_label, smoothed_label
from multiemo.types import MODALITIES

#: The prediction for one input, or the same read from a prediction JSON, which may be of an earlier version.
Entry: TypeAlias = InputPrediction | Mapping[str, Any]

#: Length in seconds of a span for an input without duration (a text, a still image).
NO_LENGTH = 1.0
#: Name of the band that sums the labels without a band of their own.
OTHER = "other"
_MAX_BANDS = 12


@dataclass(frozen=True, slots=True)
class PlacedSpan:
    """A segment or a skipped span at its place in time.

    Args:
        left, right: its place, seconds. Placed spans do not overlap.
        content: the entry of ``segments`` or ``skipped``.
        index: its index in ``segments``; ``None`` for a skipped span.
    """

    left: float
    right: float
    content: Mapping[str, Any]
    index: int | None


@dataclass(frozen=True, slots=True)
class LabelledSpan:
    """A label over a stretch of time.

    Args:
        left, right: seconds.
        label: a label, ``uncertain``, or the dimensions as text for a model without labels.
        probs: {label: probability}; empty for a model without labels.
    """

    left: float
    right: float
    label: str
    probs: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The contents of a timeline.

    Args:
        duration: seconds, above zero.
        spans: segments and skipped spans in order of time.
        segments: the segments among them.
        tracks: labelled spans under the names ``smoothed`` (if the entry has it) and ``segments``.
        people: {``person NUMBER``: labelled spans}.
        bands: labels that have a band; the last may be ``other``.
        labels: every label in the tracks, including ``uncertain`` but not dimensions as text.
        modalities: those that the entry mentions.
    """

    duration: float
    spans: Sequence[PlacedSpan]
    segments: Sequence[PlacedSpan]
    tracks: Mapping[str, Sequence[LabelledSpan]]
    people: Mapping[str, Sequence[LabelledSpan]]
    bands: Sequence[str]
    labels: Sequence[str]
    modalities: Sequence[str]

    @classmethod
    def of(cls, entry: Entry) -> Timeline:
        """The timeline of an entry, which may lack ``smoothed``, ``people`` or ``skipped``."""
        spans = placed_spans(entry)
        segments = [span for span in spans if span.index is not None]
        tracks: dict[str, list[LabelledSpan]] = {}
        if any("smoothed" in s.content for s in segments):
            tracks["smoothed"] = [LabelledSpan(s.left, s.right, *smoothed_label(s.content)) for s in segments]
        tracks["segments"] = [LabelledSpan(s.left, s.right, *own_label(s.content)) for s in segments]
        people: dict[str, list[LabelledSpan]] = {}
        for person in entry.get("people") or ():
            own = person["segments"]
            people[one_line(f"person {person['person']}")] = [
                LabelledSpan(*place, *own_label(s)) for place, s in zip(without_overlaps(own), own, strict=True)
            ]
        labelled = [span for track in (*tracks.values(), *people.values()) for span in track]
        names = list(dict.fromkeys(label for span in labelled for label in span.probs))
        shown = list(dict.fromkeys([*names, *(span.label for span in labelled if span.probs)]))
        return cls(duration(entry), spans, segments, tracks, people, _bands(labelled, names), shown, modalities(entry))

    def shares(self, probs: Mapping[str, float]) -> list[float]:
        """Heights of the bands, which sum to one; probabilities that do not sum to one are normalised."""
        total = sum(probs.values()) or 1.0
        shares = [probs.get(label, 0.0) / total for label in self.bands if label != OTHER]
        return [*shares, max(0.0, 1.0 - sum(shares))] if OTHER in self.bands else shares


def _bands(spans: Sequence[LabelledSpan], names: Sequence[str]) -> list[str]:
    """All labels, or those with the highest probability over time, and ``other``."""
    if len(names) <= _MAX_BANDS:
        return list(names)
    weight = {name: sum(s.probs.get(name, 0.0) * (s.right - s.left) for s in spans) for name in names}
    kept = set(sorted(names, key=lambda name: -weight[name])[: _MAX_BANDS - 1])
    return [*(name for name in names if name in kept), OTHER]


def placed_spans(entry: Entry) -> list[PlacedSpan]:
    """Segments and skipped spans in order of time, without overlaps."""
    found: list[tuple[int | None, Mapping[str, Any]]] = [*enumerate(entry["segments"])]
    found += [(None, span) for span in entry.get("skipped") or ()]
    found.sort(key=lambda one: float(one[1]["start"]))
    places = without_overlaps([content for _, content in found])
    return [PlacedSpan(*place, content, index) for place, (index, content) in zip(places, found, strict=True)]


def without_overlaps(items: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Remove overlaps: overlapping spans are cut at the middle of the overlap.

    Args:
        items: spans with ``start`` and ``end`` in seconds, in order of ``start``.

    Example:
        >>> without_overlaps([{"start": 0, "end": 4}, {"start": 2, "end": 6}, {"start": 4, "end": 8}])
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


def duration(entry: Entry) -> float:
    """Seconds from 0 to the end of the media or of the last span; never zero."""
    spans = (*entry["segments"], *(entry.get("skipped") or ()))
    spans += tuple(s for person in entry.get("people") or () for s in person["segments"])
    last = max(float(entry.get("duration") or 0.0), *(_end(span) for span in spans), 0.0)
    return last if last >= 0.001 else NO_LENGTH


def _end(item: Mapping[str, Any]) -> float:
    start, end = max(0.0, float(item["start"])), float(item["end"])
    return end if end > start else start + NO_LENGTH


def modalities(entry: Entry) -> list[str]:
    """The modalities that are present or absent in the entry or one of its segments, in the usual order."""
    mentioned = {*entry.get("present", ()), *entry.get("absent", ())}
    for content in (*entry["segments"], *(entry.get("skipped") or ())):
        mentioned |= {*content.get("present", ()), *content.get("absent", ())}
    return [m for m in MODALITIES if m in mentioned]
