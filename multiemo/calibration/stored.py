"""The calibration stored in a checkpoint, and its fit on validation."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array, clear_clips
from multiemo.calibration.confidence import abstention_threshold, top_label
from multiemo.calibration.conflict import ConflictCalibration
from multiemo.calibration.decision import DEFAULT_THRESHOLD, decide, fit_thresholds
from multiemo.calibration.scaling import change_of_prior, fit_scaling, temper
from multiemo.records import Record, nothing, record
from multiemo.types import SUBSETS, Modality, subset_key

#: Label of a clip whose confidence is below the threshold.
UNCERTAIN = "uncertain"


@record
class Calibration(Record):
    """Parameters that map a model's logits to probabilities, and probabilities to labels; empty ones change nothing.

    Args:
        temperatures: {subset key: temperature of the logits of a clip with exactly this set of modalities}.
        biases: {subset key: ``[C]`` added to these logits}; the empty key is for clips without any modality.
        branches: {modality: temperature of the branch's own head}.
        branch_biases: {modality: ``[C]`` bias of the branch's own head}.
        costs: {subset key, or modality for a branch's own head: ``[C]`` cost of missing each label}, for
            heads trained with label weights. The given label has the largest probability times cost. It is the label
            that the uncalibrated head finds most likely, which is what the head was trained and selected for.
        label_thresholds: {subset key: ``[C]`` probabilities above which each label is given}, with several labels per
            clip.
        max_error: allowed error rate among the labels that are given; ``None`` gives every label.
        thresholds: {subset key: lowest confidence at which a label is given; ``None`` if no threshold assures
            ``max_error``, so that no label is given}; empty without ``max_error``.
        clips: {subset key: number of validation clips with all of its modalities, on which it was fitted}.
        stay_seconds: mean duration of a label, by which a timeline is smoothed (see ``predict.smoothing``); 0 if
            smoothing made the labels of validation dialogues worse; ``None`` without such dialogues.
        smoothing: figures of smoothing on these dialogues (:func:`multiemo.smoothing.fit_stay`): ``dialogues``,
            ``clips``, ``accuracy`` without and ``smoothed_accuracy`` with smoothing, ``loss`` and ``smoothed_loss``.
        conflict: scores of contradictions between two modalities; left out for models without any.
    """

    temperatures: Mapping[str, float] = field(default_factory=dict)
    branches: Mapping[Modality, float] = field(default_factory=dict)
    max_error: float | None = field(default_factory=nothing)
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    clips: Mapping[str, int] = field(default_factory=dict)
    biases: Mapping[str, Sequence[float]] = field(default_factory=dict)
    branch_biases: Mapping[Modality, Sequence[float]] = field(default_factory=dict)
    costs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    label_thresholds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    stay_seconds: float | None = field(default_factory=nothing)
    smoothing: Mapping[str, float] = field(default_factory=dict)
    conflict: ConflictCalibration | None = None

    def temperature(self, key: str) -> float:
        """The temperature for a set of modalities; 1 if none was fitted."""
        return self.temperatures.get(key, 1.0)

    def answers(self, key: str, confidence: float) -> bool:
        """Whether a label is given.

        Args:
            key: subset key of the modalities that the clip has.
            confidence: confidence of the label, 0..1.
        """
        if self.max_error is None:
            return True
        threshold = self.thresholds.get(key)
        return threshold is not None and confidence >= threshold

    def apply(
        self, key: str, probabilities: Array, presence: Mapping[Modality, NDArray[np.bool_]], task: str = "single"
    ) -> Array:
        """Calibrate the probabilities of one subset, each clip by the modalities of the subset that it has.

        Args:
            key: key of the subset.
            probabilities: ``[N, C]``.
            presence: {modality: ``[N]``}, whether the clip has the modality.
            task: ``single``, ``soft`` or ``multi``.
        """
        return self.scaled(shown_keys(key, presence), probabilities, task)

    def scaled(self, keys: Sequence[str], probabilities: Array, task: str = "single") -> Array:
        """Calibrate the probabilities of clips with the given sets of modalities.

        Args:
            keys: N subset keys, one per clip.
            probabilities: ``[N, C]``.
            task: ``single``, ``soft`` or ``multi``.
        """
        nothing = np.zeros(probabilities.shape[1])
        bias = np.array([self.biases.get(k, nothing) for k in keys]).reshape(probabilities.shape)
        return temper(probabilities, np.array([self.temperature(k) for k in keys]), task, bias)

    def scaled_branch(self, m: Modality, probabilities: Array, task: str = "single") -> Array:
        """Calibrate the probabilities of a branch's own head.

        Args:
            m: modality of the branch.
            probabilities: ``[N, C]``.
            task: ``single``, ``soft`` or ``multi``.
        """
        bias = self.branch_biases.get(m)
        return temper(probabilities, self.branches.get(m, 1.0), task, None if bias is None else np.asarray(bias))

    def decide(self, keys: Sequence[str], probabilities: Array, task: str = "single") -> NDArray[np.int64]:
        """Decide the labels of clips with the given sets of modalities; see :func:`decide`.

        Args:
            keys: N subset keys, one per clip; or modalities, for the branches' own heads.
            probabilities: ``[N, C]``, calibrated.
            task: ``single``, ``soft`` or ``multi``.

        Returns:
            ``[N]`` label indices; for ``multi`` ``[N, C]`` ones and zeros.
        """
        if task == "multi":
            half = np.full(probabilities.shape[1], DEFAULT_THRESHOLD)
            limits = np.array([self.label_thresholds.get(k, half) for k in keys]).reshape(probabilities.shape)
            return decide(probabilities, task, thresholds=limits)
        equal = np.ones(probabilities.shape[1])
        costs = np.array([self.costs.get(k, equal) for k in keys]).reshape(probabilities.shape)
        return decide(probabilities, task, costs=costs)

    def notes(self) -> list[str]:
        """Notes on subsets without labels or without validation clips, on smoothing, and on missing conflict scores."""
        found = []
        never = [k for k, threshold in self.thresholds.items() if threshold is None]
        if never:
            counts = sorted({self.clips.get(k, 0) for k in never})
            span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
            found.append(
                f"max_error {self.max_error:g} cannot be assured for {', '.join(never)} with {span} validation clips: "
                f"every label from just these modalities is {UNCERTAIN!r}; allow a larger max_error, or validate on "
                "more clips"
            )
        unfitted = [k for k, count in self.clips.items() if not count]
        if unfitted:
            found.append(f"no validation clip has all modalities of {', '.join(unfitted)}: not calibrated")
        return found + self.smoothing_notes() + ([] if self.conflict is None else self.conflict.notes())

    def smoothing_notes(self) -> list[str]:
        """A note if timelines are not smoothed because smoothing did not help on validation."""
        figures = self.smoothing
        if self.stay_seconds != 0 or not figures:
            return []
        return [
            f"timelines are not smoothed: it does not help on {figures['dialogues']} dialogues of validation (accuracy "
            f"{figures['accuracy']:.3f} without, {figures['smoothed_accuracy']:.3f} with; loss of the true label "
            f"{figures['loss']:.3f}, {figures['smoothed_loss']:.3f})"
        ]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """The calibration stored in a checkpoint.

        Raises:
            ValueError: a member is unknown or has an invalid value; the message names it.
        """
        try:
            conflict = values.get("conflict")
            fitted = None if conflict is None else ConflictCalibration.from_json(conflict)
            made = cls(**{**values, "conflict": fitted})
            temperatures = [*made.temperatures.values(), *made.branches.values()]
            shares = [v for v in (made.max_error, made.stay_seconds, *made.thresholds.values()) if v is not None]
            shares += [v for rows in (made.costs, made.label_thresholds) for row in rows.values() for v in row]
            biases = [v for rows in (made.biases, made.branch_biases) for row in rows.values() for v in row]
            dict(made.clips), dict(made.smoothing)
        except (TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"calibration: {error}") from None
        for value in (*temperatures, *shares, *biases):
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"calibration: {value!r} is not a finite number")
        for value in (*temperatures, *shares):
            if value < 0:
                raise ValueError(f"calibration: {value!r} is neither a temperature nor a confidence")
        if 0 in temperatures:
            raise ValueError("calibration: a temperature is zero")
        return made


def shown_keys(key: str, presence: Mapping[Modality, NDArray[np.bool_]]) -> list[str]:
    """For each clip, the key of the modalities of a subset that it has; empty if it has none of them.

    Args:
        key: key of the subset.
        presence: {modality: ``[N]``}, whether the clip has the modality.

    Example:
        >>> shown_keys("TS", {"text": np.array([True, False]), "speech": np.array([True, True])})
        ['TS', 'S']
    """
    members = [m for m in SUBSETS[key] if m in presence]
    patterns = zip(*(presence[m] for m in members), strict=True)
    return [subset_key([m for m, here in zip(members, pattern, strict=True) if here]) for pattern in patterns]


def fit_calibration(
    probabilities: Mapping[str, Array],
    branches: Mapping[Modality, Array],
    presence: Mapping[Modality, NDArray[np.bool_]],
    target: Array,
    *,
    task: str = "single",
    max_error: float | None = None,
    prior: Array | None = None,
    learnt: Array | None = None,
    branch_priors: Mapping[Modality, Array] | None = None,
    weighted_heads: Collection[str] = (),
    speakers: Sequence[str] | None = None,
) -> Calibration:
    """Fit a calibration on validation clips, each subset on the clips that have all of its modalities.

    Args:
        probabilities: {subset key: ``[N, C]``}, not calibrated.
        branches: {modality: ``[N, C]``} of the branches' own heads, not calibrated.
        presence: {modality: ``[N]``}, whether the clip has the modality.
        target: ``[N, C]``.
        task: ``single``, ``soft`` or ``multi``.
        max_error: allowed error rate among the labels that are given; ``None`` fits no confidence thresholds.
        prior: ``[C]`` label frequencies of train; ``None`` = uniform.
        learnt: ``[C]`` label frequencies under which ``probabilities`` are posteriors; ``None`` = ``prior``.
        branch_priors: {modality: ``[C]``}, the same for the branches' heads.
        weighted_heads: heads trained with label weights: ``fused``, or a modality for a branch's own head.
        speakers: ``[N]`` speaker of each clip; ``None`` treats every clip as another speaker's.
    """
    classes = target.shape[1]
    prior = np.full(classes, 0.5 if task == "multi" else 1 / classes) if prior is None else prior
    learnt = prior if learnt is None else learnt
    names = None if speakers is None else np.asarray(speakers)
    scalings: dict[str, tuple[float, Array]] = {}
    costs: dict[str, list[float]] = {}
    thresholds: dict[str, float | None] = {}
    label_thresholds: dict[str, list[float]] = {}
    clips: dict[str, int] = {}
    for key, values in probabilities.items():
        rows = np.logical_and.reduce([presence[m] for m in SUBSETS[key]])
        groups = None if names is None else names[rows]
        clips[key] = int(rows.sum())
        scaling = fit_scaling(values[rows], target[rows], task, learnt=learnt, prior=prior, groups=groups)
        scalings[key] = scaling
        calibrated = temper(values[rows], scaling[0], task, scaling[1])
        own = _costs(scaling[1], prior) if "fused" in weighted_heads and task != "multi" else None
        if own is not None:
            costs[key] = own.tolist()
        if task == "multi":
            label_thresholds[key] = fit_thresholds(calibrated, target[rows]).tolist()
        if max_error is not None:
            decided = None if task == "multi" else decide(calibrated, task, costs=own)
            confidence, correct = top_label(calibrated, target[rows], task, decided)
            clear = clear_clips(task, target[rows])
            people = None if groups is None else groups[clear]
            thresholds[key] = abstention_threshold(confidence[clear], correct[clear], max_error, people=people)
    heads = {}
    for m, values in branches.items():
        rows, branch_prior = presence[m], (branch_priors or {}).get(m, learnt)
        groups = None if names is None else names[rows]
        heads[m] = fit_scaling(values[rows], target[rows], task, learnt=branch_prior, prior=prior, groups=groups)
        if m in weighted_heads and task != "multi":
            costs[m] = _costs(heads[m][1], prior).tolist()
    nothing = change_of_prior(learnt, prior, 1.0, task)
    if "fused" in weighted_heads and task != "multi":
        costs[""] = _costs(nothing, prior).tolist()
    return Calibration(
        temperatures={k: t for k, (t, _) in scalings.items()},
        biases={k: b.tolist() for k, (_, b) in scalings.items()} | {"": nothing.tolist()},
        branches={m: t for m, (t, _) in heads.items()},
        branch_biases={m: b.tolist() for m, (_, b) in heads.items()},
        costs=costs,
        max_error=max_error,
        thresholds=thresholds,
        label_thresholds=label_thresholds,
        clips=clips,
    )


def _costs(bias: Array, prior: Array) -> Array:
    """Costs that cancel a bias, so that the decided label is the most likely one without it; mean 1 over clips."""
    costs = np.exp(bias.min() - bias)
    return np.asarray(costs / (prior @ costs))
