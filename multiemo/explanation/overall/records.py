"""Records of the explanation of a model as a whole."""

from __future__ import annotations

from dataclasses import field

from multiemo.evaluation.groups import GroupErrors
from multiemo.explanation.emap import AdditiveComparison
from multiemo.explanation.faithfulness.records import Difference, Faithfulness
from multiemo.explanation.modality_summary import ModalitySummary
from multiemo.explanation.records import Trust, UnitKind
from multiemo.records import Record, record
from multiemo.types import CorpusKind, Modality, Task


@record
class LabelCue(Record):
    """A part of the input, and what it adds to a label on average.

    Args:
        name: the word, prosody cue, region or column.
        clips: number of explained clips of the label in which it occurs.
        score: what it adds to the log-odds of the label in these clips, with its interval over speakers.
        strongest: number of these clips in which nothing else adds more.
    """

    name: str
    clips: int
    score: Difference
    strongest: int


@record
class LabelCues(Record):
    """The parts of one modality that speak for and against one label.

    Args:
        label: the label that the model decided for.
        modality: the modality.
        unit: what the parts are.
        method: how the scores were computed.
        trust: whether this kind of evidence passed the checks of faithfulness on this model.
        clips: number of explained clips for which the model decided for the label.
        cues_for: parts that add to the label, strongest first.
        cues_against: parts that speak against it, strongest first.
    """

    label: str
    modality: Modality
    unit: UnitKind
    method: str
    trust: Trust
    clips: int
    cues_for: list[LabelCue]
    cues_against: list[LabelCue]


@record
class ConfusionExample(Record):
    """One clip that the model got wrong, and why.

    Args:
        id: id of the clip.
        speaker: its speaker.
        text: its words, if it has any.
        probs: {label: probability} of the true and the decided label.
        contribution: Shapley value of each modality for the decided label.
        evidence: {modality: parts that add most to the decided label}.
    """

    id: str
    speaker: str
    text: str | None
    probs: dict[str, float]
    contribution: dict[Modality, float]
    evidence: dict[Modality, list[str]]


@record
class Confusion(Record):
    """Clips of one label for which the model decided for another.

    Args:
        truth: their label.
        said: the label that the model decided for.
        clips: number of such clips.
        share: their share among the clips of the label ``truth``.
        examples: those with the highest probability of the wrong label.
    """

    truth: str
    said: str
    clips: int
    share: float
    examples: list[ConfusionExample]


@record
class ModelExplanation(Record):
    """A model as a whole, on one part of its split.

    Args:
        name: name from its configuration.
        task: task of the model.
        labels: its labels, or dimensions, in order.
        modalities: modalities that it reads.
        corpus: name of the manifest.
        corpus_kind: ``real``, ``composite`` or ``synthetic``; the last two say nothing about people.
        part: part of the split.
        clips, speakers: number of evaluated clips and of their speakers.
        explained: number of clips whose evidence was computed.
        seed: seed of the draw.
        effects: what the modalities and their pairs contribute, overall and to each label; left out for a single
            branch.
        additive: the model beside its additive projection (EMAP), which has no interactions between modalities; left
            out for a single branch, or unless clips have one label.
        cues: parts of each modality that each label relies on.
        confusions: the most frequent confusions; empty unless a clip has one label.
        groups: errors by group of clips, worst group first.
        faithfulness: how faithful the evidence was measured to be; left out if it was not measured.
        hidden: {"MODALITY: UNIT": why this kind of evidence is not shown}.
        notes: remarks.
    """

    name: str
    task: Task
    labels: list[str]
    modalities: list[Modality]
    corpus: str
    corpus_kind: CorpusKind
    part: str
    clips: int
    speakers: int
    explained: int
    seed: int
    effects: ModalitySummary | None = None
    additive: AdditiveComparison | None = None
    cues: list[LabelCues]
    confusions: list[Confusion]
    groups: GroupErrors
    faithfulness: Faithfulness | None = None
    hidden: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
