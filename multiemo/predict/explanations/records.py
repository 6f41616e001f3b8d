"""The explanation JSON: ``multiemo explain --json`` writes an :class:`Explanation`, ``model.explain`` returns one."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from multiemo.explanation.faithfulness.records import Faithfulness
from multiemo.explanation.records import Conflict, ModalityAttribution, ModalityEvidence, RuleReading
from multiemo.predict.prediction import InputPrediction, ModelDescription, SegmentPrediction
from multiemo.records import Record, record

#: Why a segment was explained: every segment was (``all``), its label is far from the usual shares (``telling``), its
#: modalities disagree (``conflict``), or the model is undecided (``uncertain``).
Choice: TypeAlias = Literal["all", "telling", "conflict", "uncertain"]


@record
class VoiceTrack(Record):
    """Pitch and level of the voice over time, for the plot.

    Args:
        start: time of the first value, seconds from the start of the input.
        step: seconds between values.
        pitch: Hz, ``null`` where unvoiced.
        level: dBFS.
    """

    start: float
    step: float
    pitch: list[float | None]
    level: list[float]


@record
class SegmentExplanation(Record):
    """Why the model decided for the label of one segment.

    Args:
        prediction: the prediction that is explained, as in the prediction JSON.
        chosen: why this segment was explained.
        explained: the label, or the dimension, that evidence refers to.
        text: the words that evidence refers to.
        attribution: what each modality contributes; left out for a model without labels, whose prediction has
            "contribution_by_dimension".
        conflicts: whether pairs of modalities contradict each other; empty if fewer than two are present or the model
            has no calibrated score.
        evidence: evidence inside each present modality.
        rules: what the transparent rules find in each present modality.
        disagreements: a sentence for each modality whose rules decide for another label than the model.
        voice: pitch and level of the voice; left out without sound.
        limits: what could not be explained, and why.
    """

    prediction: SegmentPrediction
    chosen: Choice
    explained: str
    text: str | None = None
    attribution: ModalityAttribution | None = None
    conflicts: list[Conflict] = field(default_factory=list)
    evidence: list[ModalityEvidence] = field(default_factory=list)
    rules: list[RuleReading] = field(default_factory=list)
    disagreements: list[str] = field(default_factory=list)
    voice: VoiceTrack | None = None
    limits: list[str] = field(default_factory=list)


@record
class Explanation(Record):
    """Why a model decided as it did for one input.

    Args:
        prediction: the prediction for the input, as "model.predict" returns it: every segment, explained or not.
        segments: the explained segments, in order of time.
        language: language of the words: the one that their source states, else "zh" if most letters are Chinese, else
            null.
        model: the model.
        faithfulness: how faithful each kind of evidence was measured to be on this model; left out if not measured.
        notes: remarks, such as how many segments were not explained.
        seconds: {step: time it took, seconds}: "prediction", "modalities", each modality, "rules".
    """

    prediction: InputPrediction
    segments: list[SegmentExplanation]
    language: str | None
    model: ModelDescription
    faithfulness: Faithfulness | None = None
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
