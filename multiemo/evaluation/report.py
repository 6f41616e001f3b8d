"""Records of the evaluation JSON."""

from __future__ import annotations

from dataclasses import field

from typing_extensions import NotRequired, TypedDict

from multiemo.calibration import Calibration, ReliabilityBins, RiskCurve
from multiemo.metrics import Baseline, DimensionFigures, LabelFigures, SubsetComparison, SubsetFigures
from multiemo.records import UNWRITTEN, Record, record
from multiemo.types import CorpusKind, Task


class ClipPrediction(TypedDict):
    """The prediction of a model for one clip: a line of ``predictions.jsonl``.

    Args:
        id: clip id.
        speaker: ``corpus:speaker``; for a clip without a speaker its group, else its id.
        target: one number per label: one-hot, shares of votes, or several ones; or the rated dimensions, ``null`` where
            unknown. ``null`` for a clip without a label.
        probs: {subset: calibrated probability of each label}, for the subsets of which the clip has any modality.
        values: {subset: predicted dimensions}, in place of ``probs`` with the task ``dimensions``.
        said: {subset: decided label, as its index in ``label_set``; with several labels per clip, ones and zeros}.
        dimensions: {dimension: [truth, prediction]}, for a model that learnt dimensions besides labels, where both are
            known.
    """

    id: str
    speaker: str
    target: list[float | None] | None
    probs: NotRequired[dict[str, list[float | None]]]
    values: NotRequired[dict[str, list[float | None]]]
    said: NotRequired[dict[str, int | list[int]]]
    dimensions: NotRequired[dict[str, list[float]]]


@record
class ReliabilityDiagram(Record):
    """Reliability of the predicted confidence.

    Args:
        raw: before calibration.
        calibrated: after calibration.
    """

    raw: ReliabilityBins
    calibrated: ReliabilityBins


@record
class NoCalibration(Record):
    """No calibration: the task is ``dimensions``, or the report is a validation during training."""

    __pydantic_config__ = {**Record.__pydantic_config__, "extra": "forbid"}  # type: ignore[dict-item]  # noqa: RUF012


@record
class CalibrationReport(Calibration):
    """The calibration of the model, and its quality on this part.

    Args:
        reliability: {subset: reliability diagram} of each single modality and the full subset.
        risk_coverage: {subset: risk-coverage curve} of the same subsets.
    """

    reliability: dict[str, ReliabilityDiagram]
    risk_coverage: dict[str, RiskCurve]


@record
class Report(Record):
    """The evaluation of a model on one part of a split.

    Args:
        label_set: labels in order; empty with the task ``dimensions``.
        split: name of the part; ``test`` for another manifest too.
        n: number of clips with a label.
        speakers: number of their speakers.
        corpus_kind: ``real``, ``synthetic`` or ``composite``; figures of the last two do not apply to real people.
        majority: figures of always predicting the most frequent train label; with ``dimensions``, their means in train.
        subsets: {subset: figures}; keys consist of T, S and F in that order.
        task: ``single`` (one label per clip), ``soft`` (votes), ``multi`` (several labels) or ``dimensions`` (none).
        prior: expected figures of guessing with the label frequencies of train; empty with ``dimensions``.
        per_class: {subset: {label or dimension: figures}}; empty without intervals.
        comparisons: {``FULL-KEY``: paired test of the full subset against a smaller one}.
        confusion: clips by true label (rows) and decided label (columns) of the full subset, in the order of
            ``label_set``; empty with the tasks ``multi`` and ``dimensions``.
        dimensions: {dimension: figures}, for learnt dimensions that at least two clips have.
        calibration: temperatures, thresholds and diagrams.
        absent: {modality: {reason: number of clips}}.
        notes: what a reader must know to interpret the figures.
        predictions: one prediction per clip, written to ``predictions.jsonl``.
    """

    label_set: list[str]
    split: str
    n: int
    speakers: int
    corpus_kind: CorpusKind
    majority: Baseline
    subsets: dict[str, SubsetFigures]
    task: Task = "single"
    prior: Baseline = field(default_factory=Baseline)
    per_class: dict[str, dict[str, LabelFigures] | dict[str, DimensionFigures]] = field(default_factory=dict)
    comparisons: dict[str, SubsetComparison] = field(default_factory=dict)
    confusion: list[list[float]] = field(default_factory=list)
    dimensions: dict[str, DimensionFigures] = field(default_factory=dict)
    calibration: CalibrationReport | NoCalibration = field(default_factory=NoCalibration)
    absent: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    predictions: list[ClipPrediction] = field(default_factory=list, metadata=UNWRITTEN)

    @property
    def full(self) -> str:
        """The key of the largest subset."""
        return max(self.subsets, key=len)
