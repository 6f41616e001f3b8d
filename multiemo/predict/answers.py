"""An item on its way to an answer: its segments as they are heard, smoothed, and put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from multiemo.errors import DefectError, MediaError, MultiemoError
from multiemo.predict.prediction import (
    InputPrediction,
    PersonSegment,
    PersonTimeline,
    SegmentPrediction,
    SkippedSegment,
    TimelineSegment,
    words_of,
)
from multiemo.predict.segmentation.stream import Segment
from multiemo.predict.smoothing import Smoothing
from multiemo.predict.sources import Item
from multiemo.predict.traces import Traces
from multiemo.predict.tracing import Tracing
from multiemo.types import Modality


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says of one item.

    Args:
        entry: its place among the ``inputs`` of the prediction JSON.
        embeddings: {modality: ``[S, D]`` float32}, what its encoder makes of each segment that has the modality.
        traces: for a picture of the timeline; ``None`` unless asked for.
    """

    entry: InputPrediction
    embeddings: dict[Modality, torch.Tensor]
    traces: Traces | None = None


@dataclass(slots=True)
class Pending:
    """An item on its way to an answer.

    Args:
        item: what is predicted.
        open: how many of its segments wait for the model.
        error: why it cannot be answered.
        duration: seconds read so far.
        reasons: why a modality was absent where it was first.
        notes, words: as the reader found them out; complete when the last segment is read.
        segments: what the model says of those that were read, in order of time.
        skipped: those in which nothing is present.
        embeddings: {modality: ``[D]`` of each segment that has it}.
        tracing: collects what a picture of the timeline shows; ``None`` unless asked for.
    """

    item: Item
    open: int = 0
    error: MultiemoError | None = None
    duration: float = 0.0
    reasons: dict[Modality, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    words: dict[str, str | None] = field(default_factory=dict)
    segments: list[SegmentPrediction] = field(default_factory=list)
    skipped: list[SkippedSegment] = field(default_factory=list)
    embeddings: dict[Modality, list[torch.Tensor]] = field(default_factory=dict)
    tracing: Tracing | None = None

    def add(self, segment: Segment) -> None:
        """Take a segment that has been read."""
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

    def add_result(self, said: SegmentPrediction, embeddings: Mapping[Modality, torch.Tensor]) -> None:
        """Take what the model says of the next segment, and the embedding of each of its modalities."""
        self.open -= 1
        self.segments.append(said)
        for m, vector in embeddings.items():
            self.embeddings.setdefault(m, []).append(vector)

    def answer(self, modalities: Sequence[Modality], smooth: Smoothing) -> Answer | MultiemoError:
        """The answer, once no segment waits for the model; the error where there is one.

        Args:
            modalities: of the model.
            smooth: of this item alone.
        """
        if self.error is not None:
            return self.error
        placed: list[TimelineSegment] = sorted([*self.segments, *self.skipped], key=lambda s: (s.start, s.end))
        settled = [*(done for segment in placed for done in smooth.push(segment)), *smooth.close()]
        segments = [segment for segment in settled if isinstance(segment, SegmentPrediction)]
        entry = InputPrediction(
            input=self.item.name,
            duration=round(self.duration, 3),
            present=[m for m in modalities if m in self.embeddings],
            absent={m: self.reasons[m] for m in modalities if m not in self.embeddings and m in self.reasons},
            words=words_of(self.words),
            segments=segments,
            skipped=self.skipped,
            people=people(segments),
            notes=self.notes + (smooth.notes if len(segments) > 1 else []),
        )
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


def skipped(segment: Segment) -> SkippedSegment:
    """What is said of a segment in which nothing is present."""
    return SkippedSegment(start=segment.start, end=segment.end, kind=segment.kind, absent=dict(segment.absent))


def people(segments: Sequence[SegmentPrediction]) -> list[PersonTimeline]:
    """What the face of each person says over time, where a film shows more than one; else nothing."""
    lanes: dict[int, list[PersonSegment]] = {}
    for segment in segments:
        for face in () if segment.face is None else segment.face.people:
            said = {name: value for name, value in face.items() if name != "person"}
            lanes.setdefault(face.person, []).append(PersonSegment(start=segment.start, end=segment.end, **said))
    if len(lanes) < 2:
        return []
    return [
        PersonTimeline(person=who, start=lane[0].start, end=lane[-1].end, segments=lane)
        for who, lane in sorted(lanes.items())
    ]
