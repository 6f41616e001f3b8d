"""The evaluation JSON: what was measured on one part of one split."""

from __future__ import annotations

from dataclasses import field

from typing_extensions import NotRequired, TypedDict

from multiemo.calibration import Calibration, ReliabilityBins, RiskCurve
from multiemo.metrics import Baseline, DimensionFigures, LabelFigures, SubsetComparison, SubsetFigures
from multiemo.records import UNWRITTEN, Record, record
from multiemo.types import CorpusKind, Task


class ClipPrediction(TypedDict):
    """What a model said of one clip: a line of ``predictions.jsonl``.

    Args:
        id: of the clip.
        speaker: ``corpus:speaker``; of a clip without one its group, else its id.
        target: a number a label: one-hot, shares of votes, or several ones; or the rated dimensions, ``null`` where
            unknown. ``null`` for a clip without a label.
        probs: {subset: calibrated probability of each label} of the subsets of which the clip has any modality.
        values: {subset: predicted dimensions}, with the task ``dimensions`` in place of ``probs``.
        said: {subset: the label that is given, by its place in ``label_set``; of several labels a clip ones and zeros}.
        dimensions: {dimension: [truth, prediction]} of a model that learnt them beside labels, where both are known.
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
    """How often a stated confidence comes true.

    Args:
        raw, calibrated: before and after calibration.
    """

    raw: ReliabilityBins
    calibrated: ReliabilityBins


@record
class NoCalibration(Record):
    """Nothing was calibrated: dimensions, or a validation during training."""

    __pydantic_config__ = {**Record.__pydantic_config__, "extra": "forbid"}  # type: ignore[dict-item]  # noqa: RUF012


@record
class CalibrationReport(Calibration):
    """The calibration of the model, and how it does on this part.

    Args:
        reliability: of each single modality and the full subset.
        risk_coverage: likewise.
    """

    reliability: dict[str, ReliabilityDiagram]
    risk_coverage: dict[str, RiskCurve]


@record
class Report(Record):
    """What was measured on one part of one split.

    Args:
        label_set: labels in order; empty with the task ``dimensions``.
        split: which part; ``test`` for another manifest too.
        n, speakers: clips with a label, and their speakers.
        corpus_kind: ``synthetic`` and ``composite`` figures say nothing about people.
        majority: figures of always saying the most frequent train label; of ``dimensions`` their means in train.
        subsets: {key: figures}; keys are made of T, S and F in that order.
        task: ``soft`` learns from votes, ``multi`` has several labels a clip, ``dimensions`` no labels.
        prior: figures to be expected of guessing with the frequencies of train; empty with ``dimensions``.
        per_class: {key: {label or dimension: its figures}}; empty without intervals.
        comparisons: paired tests of the full subset against each smaller one, as ``FULL-KEY``.
        confusion: clips by truth (rows) and given label, of the full subset, in the order of ``label_set``; empty where
            a clip has several labels or none.
        dimensions: {dimension: figures} of those that were learnt and that two clips know.
        calibration: temperatures, thresholds and diagrams.
        absent: {modality: {reason: clips}}.
        notes: what a reader must know.
        predictions: a line for each clip, which ``predictions.jsonl`` keeps.
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
