"""Records of an explanation: the parts that concern one clip or segment, and the measured faithfulness of a model.

Scores of evidence are differences of the calibrated log-odds of a label: positive for it, negative against it. A model
without labels is explained by the predicted dimension itself, so its scores are differences of that value.
"""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from multiemo.records import Record, record
from multiemo.rules.findings import RuleReason
from multiemo.types import Modality

#: What the parts of a view are: words or characters of the text, spans of time, prosody cues, video frames, regions of
#: the face crop, or columns of features (action units).
UnitKind: TypeAlias = Literal["word", "character", "time", "cue", "frame", "region", "column"]
#: Whether a view passed the checks of faithfulness on this model: all of them, not all, or not measured yet.
Trust: TypeAlias = Literal["passed", "failed", "not measured"]


@record
class ModalityAttribution(Record):
    """What each modality contributes to the probability of the decided label, from all subsets of modalities.

    Args:
        label: the label that is explained.
        baseline: its probability without any modality.
        probability: its probability with all present modalities.
        contribution: Shapley value of each present modality; they sum to ``probability - baseline``.
        interaction: {"text+speech": Shapley interaction index of the pair}. Positive: the two together add more than
            each does next to the rest. Negative: they repeat each other. Zero: they add up.
        coalitions: {subset key, "" for none: probability of the label given only these modalities}.
        additive_probs: the prediction without interactions: each modality adds its own evidence to the baseline.
        additive_label: the most probable label of that prediction.
    """

    label: str
    baseline: float
    probability: float
    contribution: dict[Modality, float]
    interaction: dict[str, float]
    coalitions: dict[str, float]
    additive_probs: dict[str, float]
    additive_label: str


@record
class Conflict(Record):
    """Whether two modalities of a segment contradict each other.

    Args:
        first, second: the two modalities.
        first_says, second_says: what each branch finds on its own: ``positive``, ``negative`` or ``neutral``; for label
            sets without valence, the label.
        score: calibrated probability of a contradiction, if contradictions were as frequent as agreement, 0..1.
        false_alarm_rate: share of validation clips, whose modalities belong together, with at least this score.
        flagged: whether the score exceeds the threshold of this model.
    """

    first: Modality
    second: Modality
    first_says: str
    second_says: str
    score: float
    false_alarm_rate: float
    flagged: bool


@record
class EvidencePart(Record):
    """One part of an input and its effect on the explained label.

    Args:
        name: the word, span, cue, frame, region or column.
        score: what it adds to the log-odds of the label.
        start, end: seconds from the start of the input, for parts that have a time.
        first, last: position of the first character in the text, and of the one after the last.
        row, column: position in the grid of the crop, from the upper left.
        value: measured value of a cue or column, in ``unit``.
        unit: unit of ``value``.
        deviation: ``value`` in standard deviations from the baseline named in the view.
        detail: the part in words ("pitch range 2.1 sd above this speaker's own").
    """

    name: str
    score: float
    start: float | None = None
    end: float | None = None
    first: int | None = None
    last: int | None = None
    row: int | None = None
    column: int | None = None
    value: float | None = None
    unit: str | None = None
    deviation: float | None = None
    detail: str | None = None


@record
class EvidenceView(Record):
    """One way to divide the input of a modality into parts, with a score for each part.

    Args:
        unit: what the parts are.
        method: how the scores were computed: ``integrated gradients``, ``Shapley values``, ``Shapley sampling`` or
            ``occlusion``.
        parts: parts in the order of the input.
        trust: whether this view passed the checks of faithfulness on this model.
        baseline: what a removed part is replaced with, and what deviations refer to, in words.
        notes: remarks, for example that only the first seconds were explained.
    """

    unit: UnitKind
    method: str
    parts: list[EvidencePart]
    trust: Trust
    baseline: str
    notes: list[str] = field(default_factory=list)


@record
class EvidenceMap(Record):
    """Scores on a grid: over the spectrogram, or over a face crop.

    Args:
        kind: ``spectrogram`` (rows are bands, lowest first; columns are steps of time) or ``crop`` (rows from the top).
        scores: rows of scores, differences of the log-odds.
        picture: what lies beneath, as a PNG in base64: the crop, or the spectrogram in grey.
        start, end: seconds from the start of the input; for a crop both are the time of its frame.
        low, high: lowest and highest frequency, Hz, for a spectrogram.
        method, trust: as in :class:`EvidenceView`.
        checked_as: unit of the view whose checks decided ``trust``: the cells of the map itself are not checked.
    """

    kind: Literal["spectrogram", "crop"]
    scores: list[list[float]]
    picture: str | None
    start: float
    end: float
    low: float | None = None
    high: float | None = None
    method: str
    trust: Trust
    checked_as: UnitKind | None = None


@record
class Counterfactual(Record):
    """The smallest change of one cue that changes the label, checked by predicting the changed input.

    Args:
        change: the change in words ("without 'great'", "pitch range 3.2 semitones narrower", "AU12 at 0").
        part: name of the part that was changed.
        others: names of the parts that had to be removed together with it, because no single part changes the label.
        amount: size of the change, in ``unit``; left out if the part was removed.
        unit: unit of ``amount``.
        label: label after the change.
        before: probability of the original label before the change.
        after: probability of the original label after it.
    """

    change: str
    part: str
    amount: float | None = None
    unit: str | None = None
    label: str
    before: float
    after: float
    others: list[str] = field(default_factory=list)


@record
class ModalityEvidence(Record):
    """The evidence inside one modality for the explained label.

    Args:
        modality: the modality.
        label: the label that is explained.
        views: scores of words, spans, cues, frames, regions or columns.
        maps: scores over the spectrogram or over face crops.
        counterfactual: smallest change of one part that changes the label; left out if none does.
        tried: number of changes that were tried for the counterfactual.
        hidden: {unit: why this view is not shown}, for views that failed their checks on this model.
        limits: what could not be explained, and why.
    """

    modality: Modality
    label: str
    views: list[EvidenceView]
    maps: list[EvidenceMap] = field(default_factory=list)
    counterfactual: Counterfactual | None = None
    tried: int = 0
    hidden: dict[str, str] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)


@record
class RuleReading(Record):
    """What the transparent rules find in one modality.

    Args:
        modality: the modality.
        label: the label that the rules decide for, of the model's label set; ``None`` if no rule fired.
        probs: share of each label.
        reasons: the rules that fired, strongest first.
        agrees: whether the label is that of the model; ``None`` if no rule fired.
        limits: what the rules cannot know here.
    """

    modality: Modality
    label: str | None
    probs: dict[str, float]
    reasons: list[RuleReason]
    agrees: bool | None
    limits: list[str] = field(default_factory=list)
