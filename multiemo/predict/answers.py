"""Collects the segments of an item as they are predicted, smooths them, and makes the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

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

#: Receives every segment of an item with its prediction.
Watch: TypeAlias = Callable[[Segment, SegmentPrediction], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """The prediction for one item.

    Args:
        entry: its entry in ``inputs`` of the prediction JSON.
        embeddings: {modality: ``[S, D]`` float32} from the encoders, for the S segments that have the modality.
        traces: sound and faces for a picture of the timeline; ``None`` unless ``Options.traces`` is set.
    """

    entry: InputPrediction
    embeddings: dict[Modality, torch.Tensor]
    traces: Traces | None = None


@dataclass(slots=True)
class Pending:
    """An item that is being read and predicted.

    Args:
        item: the item.
        open: number of segments that have been read but not yet predicted.
        error: why the item cannot be predicted; ``None`` so far.
        duration: seconds read so far.
        reasons: {modality: why it was absent in the first segment without it}.
        notes, words: filled in by the reader; complete when the last segment has been read.
        segments: predictions so far, in order of time.
        skipped: segments without any modality.
        embeddings: {modality: ``[D]`` of each segment that has it}.
        tracing: collects sound and faces for a picture of the timeline; ``None`` unless ``Options.traces`` is set.
        watch: receives every segment with its prediction, in order of time; the segments then keep raw forms.
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
    watch: Watch | None = None

    def add(self, segment: Segment) -> None:
        """Add a segment that has been read."""
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
            self.skipped.append(skipped_segment(segment))

    def add_result(
        self, segment: Segment, prediction: SegmentPrediction, embeddings: Mapping[Modality, torch.Tensor]
    ) -> None:
        """Add the result of the next segment.

        Args:
            segment: the segment.
            prediction: its prediction.
            embeddings: {modality: ``[D]``} of each modality present in it.
        """
        self.open -= 1
        if self.watch is not None:
            self.watch(segment, prediction)
        self.segments.append(prediction)
        for m, vector in embeddings.items():
            self.embeddings.setdefault(m, []).append(vector)

    def answer(self, modalities: Sequence[Modality], smooth: Smoothing) -> Answer | MultiemoError:
        """The answer, or the error that occurred; call it once every segment has been predicted.

        Args:
            modalities: those of the model, in order.
            smooth: a smoother that no other item uses.
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
            people=person_timelines(segments),
            notes=self.notes + (smooth.notes if len(segments) > 1 else []),
        )
        traces = None if self.tracing is None else self.tracing.done()
        return Answer(entry, {m: torch.stack(v) for m, v in self.embeddings.items()}, traces)


def as_multiemo_error(error: Exception, what: str) -> MultiemoError:
    """Convert any exception into a ``MultiemoError``, without its traceback, which would keep files open.

    Args:
        error: the exception.
        what: name of what was being read or written.
    """
    if isinstance(error, MultiemoError):
        return error.with_traceback(None)
    if isinstance(error, OSError) and error.strerror:
        return MediaError(f"{what}: {error.strerror}")
    return DefectError(
        f"{what}: an unexpected error in multiemo or a library ({type(error).__name__}: {error}); please report it"
    )


def skipped_segment(segment: Segment) -> SkippedSegment:
    """The record of a segment without any modality."""
    return SkippedSegment(start=segment.start, end=segment.end, kind=segment.kind, absent=dict(segment.absent))


def person_timelines(segments: Sequence[SegmentPrediction]) -> list[PersonTimeline]:
    """A timeline of the face predictions of each person; empty unless there are at least two people."""
    lanes: dict[int, list[PersonSegment]] = {}
    for segment in segments:
        for face in () if segment.face is None else segment.face.people:
            members = {name: value for name, value in face.items() if name != "person"}
            lanes.setdefault(face.person, []).append(PersonSegment(start=segment.start, end=segment.end, **members))
    if len(lanes) < 2:
        return []
    return [
        PersonTimeline(person=person, start=lane[0].start, end=lane[-1].end, segments=lane)
        for person, lane in sorted(lanes.items())
    ]
