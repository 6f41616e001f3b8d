"""An item on its way to an answer: its segments as they are heard, smoothed, and put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from multiemo.errors import DefectError, MediaError, MultiemoError
from multiemo.predict.items import Item
from multiemo.predict.segments import Segment
from multiemo.predict.smoothing import Smoothing
from multiemo.predict.traces import Traces
from multiemo.predict.tracing import Tracing
from multiemo.types import Modality


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says of one item.

    Args:
        entry: one entry of ``inputs`` of the prediction JSON.
        embeddings: {modality: ``[S, D]`` float32}, what its encoder makes of each segment that has the modality.
        traces: for a picture of the timeline; ``None`` unless asked for.
    """

    entry: dict[str, Any]
    embeddings: dict[Modality, torch.Tensor]
    traces: Traces | None = None


@dataclass(slots=True)
class Pending:
    """An item on its way to an answer; ``open`` counts its segments that wait for the model."""

    item: Item
    open: int = 0
    error: MultiemoError | None = None
    duration: float = 0.0
    reasons: dict[Modality, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    words: dict[str, Any] = field(default_factory=dict)
    segments: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    embeddings: dict[Modality, list[torch.Tensor]] = field(default_factory=dict)
    tracing: Tracing | None = None

    def add(self, segment: Segment) -> None:
        """A segment that has been read."""
        self.duration = max(self.duration, segment.end)
        if segment.kind == "whole":
            self.notes += segment.notes
        for m, reason in segment.absent.items():
            self.reasons.setdefault(m, reason)
        if self.tracing is not None:
            self.tracing.add(segment)
        if segment.inputs:
            self.open += 1
        else:
            self.skipped.append(skipped(segment))

    def hear(self, said: dict[str, Any], embeddings: Mapping[Modality, torch.Tensor]) -> None:
        """What the model says of the next segment."""
        self.open -= 1
        self.segments.append(said)
        for m, vector in embeddings.items():
            self.embeddings.setdefault(m, []).append(vector)

    def answer(self, modalities: Sequence[Modality], smooth: Smoothing) -> Answer | MultiemoError:
        """Once no segment waits."""
        if self.error is not None:
            return self.error
        for segment in sorted([*self.segments, *self.skipped], key=_when):
            smooth.push(segment)
        smooth.close()
        entry = {
            "input": self.item.name,
            "duration": round(self.duration, 3),
            "present": [m for m in modalities if m in self.embeddings],
            "absent": {m: self.reasons[m] for m in modalities if m not in self.embeddings and m in self.reasons},
            "words": self.words,
            "segments": self.segments,
            "skipped": self.skipped,
            "people": people(self.segments),
            "notes": self.notes + (smooth.notes if len(self.segments) > 1 else []),
        }
        traces = None if self.tracing is None else self.tracing.done()
        return Answer(entry, {m: torch.stack(v) for m, v in self.embeddings.items()}, traces)


def foreseen(error: Exception, what: str) -> MultiemoError:
    """An error as one of ours, without the traceback, which would keep files open.

    Args:
        error: anything.
        what: was being read or written.
    """
    if isinstance(error, MultiemoError):
        return error.with_traceback(None)
    if isinstance(error, OSError) and error.strerror:
        return MediaError(f"{what}: {error.strerror}")
    return DefectError(
        f"{what}: a defect of multiemo or of a library ({type(error).__name__}: {error}); please report it"
    )


def skipped(segment: Segment) -> dict[str, Any]:
    """The entry of a segment in which nothing is present."""
    return {"start": segment.start, "end": segment.end, "kind": segment.kind, "absent": dict(segment.absent)}


def people(segments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the face of each person says over time, where a film shows more than one."""
    lanes: dict[int, list[dict[str, Any]]] = {}
    for segment in segments:
        for person in segment.get("face", {}).get("people", ()):
            said = {
                "start": segment["start"],
                "end": segment["end"],
                **{k: v for k, v in person.items() if k != "person"},
            }
            lanes.setdefault(person["person"], []).append(said)
    if len(lanes) < 2:
        return []
    return [
        {"person": who, "start": lane[0]["start"], "end": lane[-1]["end"], "segments": lane}
        for who, lane in sorted(lanes.items())
    ]


def _when(entry: Mapping[str, Any]) -> tuple[float, float]:
    return entry["start"], entry["end"]
