"""The prediction JSON: what a model says of inputs, their segments and the people in them.

``multiemo predict --json`` writes a :class:`Prediction`, ``model.predict(...)`` returns one of its ``inputs``, and a
stream gives its segments one by one. Times are seconds from the beginning of the file or stream; probabilities are
calibrated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from multiemo.calibration import Calibration
from multiemo.predict.folders import LeftOut
from multiemo.predict.segmentation.turns import Kind
from multiemo.records import Record, record
from multiemo.types import Modality

#: {label: probability}.
Probabilities: TypeAlias = dict[str, float]


@record
class FacePrediction(Record):
    """What the face of one person says in one segment.

    Args:
        person: number of the person in this file.
        label: the label that the face branch decides for.
        probs: probability of each label.
        valence, arousal, dominance: -1..1, of a model without labels; those that it has learnt.
    """

    person: int
    label: str | None = None
    probs: Probabilities | None = None
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None


@record
class SegmentFaces(Record):
    """Whose face was read in a segment of a film, and why.

    Args:
        person: number of the person whose face was read; the same person keeps it throughout the file.
        chosen: why this face, and by what margin.
        quality: mean grade of the crops that were read, 0..1.
        people: where several people are in the picture, what the face of each says; else empty.
    """

    person: int
    chosen: str
    quality: float
    people: list[FacePrediction]


@record
class SmoothedPrediction(Record):
    """What a segment says beside its neighbours, smoothed over time.

    Args:
        label: the label that is decided for.
        probs: probability of each label.
        labels: every label that is given, where several can hold at once.
    """

    label: str
    probs: Probabilities
    labels: list[str] | None = None


@record
class SegmentPrediction(Record):
    """What the model says of one segment.

    Args:
        start, end: seconds.
        kind: how the segment was found: the whole of a short file or manifest row, a turn of speech, a pause, or a
            window of fixed length.
        label: the label that is decided for, or "uncertain" where the model's threshold does not let it be given.
        best: the label that is decided for, whether or not it is certain enough to be given.
        probs: probability of each label.
        by_modality: what each present modality says alone: the probability of each label, or the dimensions of a model
            without labels.
        modality_label: the label that each present modality decides for alone.
        contribution: exact Shapley value of each present modality; they sum to the probability of "best" minus its
            share in training.
        labels: every label that is given, where several can hold at once.
        valence, arousal, dominance: -1..1, those that the model has learnt.
        contribution_by_dimension: of a model without labels, for each dimension the exact Shapley value of each present
            modality; they sum to the value minus its mean in training.
        present: modalities that were read.
        absent: why each of the others was not.
        notes: what the user may want to know, such as words that were cut off.
        text: words of the segment.
        face: whose face was read; films only.
        smoothed: what the segment says beside its neighbours; left out where the model's timelines are not smoothed.
    """

    start: float
    end: float
    kind: Kind
    label: str | None = None
    best: str | None = None
    probs: Probabilities | None = None
    by_modality: dict[Modality, dict[str, float]]
    modality_label: dict[Modality, str] | None = None
    contribution: dict[Modality, float] | None = None
    labels: list[str] | None = None
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None
    contribution_by_dimension: dict[str, dict[Modality, float]] | None = None
    present: list[Modality]
    absent: dict[Modality, str]
    notes: list[str] | None = None
    text: str | None = None
    face: SegmentFaces | None = None
    smoothed: SmoothedPrediction | None = None


@record
class SkippedSegment(Record):
    """A segment in which nothing is present, so that the model says nothing of it.

    Args:
        start, end: seconds.
        kind: how the segment was found, as of one that was read.
        absent: why each modality was not read.
        notes: what the user may want to know; of streams only.
    """

    start: float
    end: float
    kind: Kind
    absent: dict[Modality, str]
    notes: list[str] | None = None


#: What a stream gives: a segment that was read, or one in which nothing is present.
TimelineSegment: TypeAlias = SegmentPrediction | SkippedSegment


@record
class PersonSegment(Record):
    """What the face of one person says in one segment of their timeline.

    Args:
        start, end: seconds.
        label: the label that the face branch decides for.
        probs: probability of each label.
        valence, arousal, dominance: -1..1, of a model without labels; those that it has learnt.
    """

    start: float
    end: float
    label: str | None = None
    probs: Probabilities | None = None
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None


@record
class PersonTimeline(Record):
    """What the face of one person says over time.

    Args:
        person: number of the person in this file.
        start, end: seconds; of the first and the last segment that shows them.
        segments: those that show them, in order of time.
    """

    person: int
    start: float
    end: float
    segments: list[PersonSegment]


@record
class Words(Record):
    """Where the words of an input come from.

    Args:
        source: a file's name, "given", a subtitle track, or a speech recogniser.
        language: of the words, where the source tells; else null.
    """

    source: str
    language: str | None


@record
class NoWords(Record):
    """An input that has no transcript; empty for texts, stills and manifest rows, whose words belong to them.

    Args:
        absent: why there is none.
    """

    absent: str | None = None


@record
class InputPrediction(Record):
    """What the model says of one input: a media file, a manifest row, or a text.

    Args:
        input: path, id of the manifest row, or "text".
        duration: seconds.
        present: modalities that were read in at least one segment.
        absent: why each of the others was not, where it is known.
        words: where the words come from.
        segments: those that were read, in order of time.
        skipped: those in which nothing is present.
        people: a timeline of each person, where a film shows more than one.
        notes: what the user may want to know of the input as a whole.
    """

    input: str
    duration: float
    present: list[Modality]
    absent: dict[Modality, str]
    words: Words | NoWords
    segments: list[SegmentPrediction]
    skipped: list[SkippedSegment]
    people: list[PersonTimeline]
    notes: list[str]


@record
class ModelDescription(Record):
    """Which model made a prediction.

    Args:
        name: from its configuration.
        label_set: name of its label set; null for a model without labels.
        labels: its labels, in order; empty for a model without labels.
        dimensions: those that it has learnt of valence, arousal and dominance.
        modalities: what it can read.
        trained_on: "real", "composite" (modalities of different people paired by label) or "synthetic"; figures from
            the last two say nothing about people.
        validation: figures on the validation part.
        calibration: how probabilities were calibrated there.
    """

    name: str
    label_set: str | None
    labels: list[str]
    dimensions: list[str] | None = None
    modalities: list[Modality]
    trained_on: str
    validation: dict[str, float]
    calibration: Calibration


@record
class InputFailure(Record):
    """An input that could not be predicted, or an output of it that could not be written.

    Args:
        input: as in "inputs".
        output: path of the output; left out where the input itself is meant.
        error: what went wrong, and what to do.
    """

    input: str
    output: str | None = None
    error: str


@record
class Prediction(Record):
    """What a model says of several inputs.

    Args:
        inputs: those that were read, in the order in which they were named.
        model: which model.
        failures: inputs that could not be predicted, and outputs that could not be written; left out where there are
            none.
        left_out: what the named folders hold besides media; left out where there is nothing.
    """

    inputs: list[InputPrediction]
    model: ModelDescription
    failures: list[InputFailure] | None = None
    left_out: list[LeftOut] | None = None


@record
class TimelineDocument(Record):
    """The timeline of one input as a file of its own; readers of a prediction read it too.

    Args:
        inputs: the one input.
    """

    inputs: list[InputPrediction]


@record
class LivePrediction(Record):
    """What a model said of a camera and a microphone, or of a file that was replayed.

    Args:
        segments: in order of time, those in which nothing is present among them.
        model: which model.
    """

    segments: list[TimelineSegment]
    model: ModelDescription


def words_of(facts: Mapping[str, str | None]) -> Words | NoWords:
    """Where words come from, as the reader found out while it read.

    Example:
        >>> words_of({"source": "talk.srt", "language": None}), words_of({})
        (Words(source='talk.srt', language=None), NoWords())
    """
    source = facts.get("source")
    if source is None:
        return NoWords(absent=facts.get("absent"))
    return Words(source=source, language=facts.get("language"))
