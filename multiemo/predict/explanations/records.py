"""The explanation JSON: ``multiemo explain --json`` writes an :class:`Explanation`, ``model.explain`` returns one."""

from __future__ import annotations

from dataclasses import field

from multiemo.explanation.faithfulness.records import Faithfulness
from multiemo.explanation.records import Conflict, ModalityAttribution, ModalityEvidence, RuleReading
from multiemo.predict.prediction import ModelDescription, NoWords, SegmentPrediction, Words
from multiemo.records import Record, record
from multiemo.types import Modality


@record
class SegmentExplanation(Record):
    """Why the model decided for the label of one segment.

    Args:
        prediction: the prediction that is explained, as in the prediction JSON.
        attribution: what each modality contributes; left out for a model without labels, whose prediction has
            "contribution_by_dimension".
        explained: the label, or the dimension, that evidence refers to.
        conflicts: whether pairs of modalities contradict each other; empty if fewer than two are present or the model
            has no calibrated score.
        evidence: evidence inside each present modality.
        rules: what the transparent rules find in each present modality.
        disagreements: a sentence for each modality whose rules decide for another label than the model.
    """

    prediction: SegmentPrediction
    attribution: ModalityAttribution | None = None
    explained: str
    conflicts: list[Conflict]
    evidence: list[ModalityEvidence]
    rules: list[RuleReading]
    disagreements: list[str]


@record
class VoiceTrack(Record):
    """Pitch and level of the voice over time, for the plot.

    Args:
        step: seconds between values.
        pitch: Hz, ``null`` where unvoiced.
        level: dBFS.
    """

    step: float
    pitch: list[float | None]
    level: list[float]


@record
class Explanation(Record):
    """Why a model decided as it did for one input.

    Args:
        input: path, id of the manifest row, or "text".
        duration: seconds.
        words: source of the words.
        segments: the explained segments, in order of time.
        predicted: every predicted segment, for the timeline; those that were not explained have no evidence.
        voice: pitch and level over the explained part; left out without sound.
        absent: reason for each modality that was never read.
        model: the model.
        faithfulness: how faithful each kind of evidence was measured to be on this model; left out if not measured.
        notes: remarks, such as how many segments were left out.
    """

    input: str
    duration: float
    words: Words | NoWords
    segments: list[SegmentExplanation]
    predicted: list[SegmentPrediction]
    voice: VoiceTrack | None = None
    absent: dict[Modality, str]
    model: ModelDescription
    faithfulness: Faithfulness | None = None
    notes: list[str] = field(default_factory=list)
