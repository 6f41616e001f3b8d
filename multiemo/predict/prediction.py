"""The prediction JSON: predictions for inputs, their segments and the people in them.

``multiemo predict --json`` writes a :class:`Prediction`, ``model.predict(...)`` returns one of its ``inputs``, and a
stream yields its segments one by one. Times are seconds from the start of the file or stream. Probabilities are
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
    """The prediction of the face branch for one person in one segment.

    Args:
        person: number of the person in this file.
        label: the label that the face branch decides for.
        probs: probability of each label.
        valence, arousal, dominance: estimate from -1 to 1, if a model without labels has learnt this dimension.
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
        person: number of the person whose face was read; a person keeps the same number throughout the file.
        chosen: why this face was chosen, and by what margin.
        quality: mean quality of the face crops that were read, 0..1.
        people: if several people are in the picture, a prediction for the face of each; else empty.
    """

    person: int
    chosen: str
    quality: float
    people: list[FacePrediction]


@record
class SmoothedPrediction(Record):
    """The prediction for a segment after smoothing over time.

    Args:
        label: the label that the model decides for; with a threshold for labels "uncertain", unless the segment alone
            has the same label.
        probs: probability of each label.
        labels: every label that the model decides for, if several can hold at once.
    """

    label: str
    probs: Probabilities
    labels: list[str] | None = None


@record
class SegmentPrediction(Record):
    """The prediction for one segment.

    Args:
        start: start of the segment, seconds.
        end: end of the segment, seconds.
        kind: how the segment was cut: a whole file or manifest row, a turn of speech, a pause, or a window of fixed
            length.
        label: the label that the model decides for, or "uncertain" if its probability is below the model's threshold.
        best: the label that the model decides for, regardless of the threshold.
        probs: probability of each label.
        by_modality: the prediction of each present modality's own branch: the probability of each label, or the
            dimensions of a model without labels.
        modality_label: the label that each present modality's own branch decides for.
        contribution: exact Shapley value of each present modality; they sum to the probability of "best" minus its
            share in training.
        labels: every label that the model decides for, if several can hold at once.
        valence, arousal, dominance: estimate from -1 to 1, if the model has learnt this dimension.
        contribution_by_dimension: for a model without labels, the exact Shapley value of each present modality for each
            dimension; they sum to the estimate minus its mean in training.
        present: modalities that were read.
        absent: reason for each modality that was not read.
        reliability: weight from 0 to 1 of the input of each present modality in the fusion: 1 if it is like the
            training clips, less if it is unlike them (noise, blur). Only of a model that measures it, for voice and
            face.
        notes: remarks on the segment, for example that words were cut off.
        text: words of the segment.
        face: whose face was read; films only.
        smoothed: the prediction after smoothing over time; left out if the timelines of this model are not smoothed.
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
    reliability: dict[Modality, float] | None = None
    notes: list[str] | None = None
    text: str | None = None
    face: SegmentFaces | None = None
    smoothed: SmoothedPrediction | None = None


@record
class SkippedSegment(Record):
    """A segment without any modality, for which there is no prediction.

    Args:
        start: start of the segment, seconds.
        end: end of the segment, seconds.
        kind: how the segment was cut, as in a predicted segment.
        absent: reason for each modality that was not read.
        notes: remarks on the segment; streams only.
    """

    start: float
    end: float
    kind: Kind
    absent: dict[Modality, str]
    notes: list[str] | None = None


#: A segment of a stream: one that was predicted, or one without any modality.
TimelineSegment: TypeAlias = SegmentPrediction | SkippedSegment


@record
class PersonSegment(Record):
    """The prediction of the face branch for one segment of a person's timeline.

    Args:
        start: start of the segment, seconds.
        end: end of the segment, seconds.
        label: the label that the face branch decides for.
        probs: probability of each label.
        valence, arousal, dominance: estimate from -1 to 1, if a model without labels has learnt this dimension.
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
    """The predictions of the face branch for one person over time.

    Args:
        person: number of the person in this file.
        start: start of the first segment that shows this person, seconds.
        end: end of the last segment that shows this person, seconds.
        segments: segments that show this person, in order of time.
    """

    person: int
    start: float
    end: float
    segments: list[PersonSegment]


@record
class Words(Record):
    """The source of the words of an input.

    Args:
        source: name of a file, "given", a subtitle track, or a speech recogniser.
        language: language of the words if the source states it, else null.
    """

    source: str
    language: str | None


@record
class NoWords(Record):
    """An input without a transcript; empty for texts, stills and manifest rows, which bring their own words.

    Args:
        absent: why there is no transcript.
    """

    absent: str | None = None


@record
class InputPrediction(Record):
    """The prediction for one input: a media file, a manifest row, or a text.

    Args:
        input: path, id of the manifest row, or "text".
        duration: duration of the input, seconds.
        present: modalities that were read in at least one segment.
        absent: reason for each modality that was never read, if known.
        words: source of the words.
        segments: predicted segments, in order of time.
        skipped: segments without any modality.
        people: a timeline for each person, if a film shows more than one.
        notes: remarks on the input as a whole.
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
    """The model that made a prediction.

    Args:
        name: name from its configuration.
        label_set: name of its label set; null for a model without labels.
        labels: its labels, in order; empty for a model without labels.
        dimensions: the dimensions that it has learnt: valence, arousal, dominance.
        modalities: modalities that it can read.
        trained_on: "real", "composite" (modalities of different people paired by label) or "synthetic"; figures from
            the last two say nothing about people.
        validation: figures on the validation part.
        calibration: how probabilities were calibrated on the validation part.
        enrolled: {modality: number of other clips} from which the model knows what is usual for the person.
    """

    name: str
    label_set: str | None
    labels: list[str]
    dimensions: list[str] | None = None
    modalities: list[Modality]
    trained_on: str
    validation: dict[str, float]
    calibration: Calibration
    enrolled: dict[Modality, int] | None = None


@record
class InputFailure(Record):
    """An input that could not be predicted, or one of its output files that could not be written.

    Args:
        input: name of the input, as in "inputs".
        output: path of the output file; left out if the input itself failed.
        error: what went wrong, and what to do.
    """

    input: str
    output: str | None = None
    error: str


@record
class Prediction(Record):
    """The predictions of a model for several inputs.

    Args:
        inputs: a prediction for each input, in the order in which the inputs were named.
        model: the model that made the predictions.
        failures: inputs that could not be predicted and output files that could not be written; left out if there are
            none.
        left_out: files in the named folders that are not media; left out if there are none.
    """

    inputs: list[InputPrediction]
    model: ModelDescription
    failures: list[InputFailure] | None = None
    left_out: list[LeftOut] | None = None


@record
class TimelineDocument(Record):
    """The timeline of one input in a separate file; a reader of the prediction JSON can read it.

    Args:
        inputs: a list of one prediction.
    """

    inputs: list[InputPrediction]


@record
class LivePrediction(Record):
    """The predictions of a model for a camera and a microphone, or for a file that was replayed.

    Args:
        segments: segments in order of time, including those without any modality.
        model: the model that made the predictions.
    """

    segments: list[TimelineSegment]
    model: ModelDescription


def words_of(facts: Mapping[str, str | None]) -> Words | NoWords:
    """The record of the source of an input's words.

    Args:
        facts: ``source`` and ``language``, or ``absent``, as the reader collected them.

    Example:
        >>> words_of({"source": "talk.srt", "language": None}), words_of({})
        (Words(source='talk.srt', language=None), NoWords())
    """
    source = facts.get("source")
    if source is None:
        return NoWords(absent=facts.get("absent"))
    return Words(source=source, language=facts.get("language"))
