"""What a checkpoint keeps of its calibration, and how that is fitted on validation."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.calibration.confidence import abstention_threshold, top_label
from multiemo.calibration.decision import DEFAULT_THRESHOLD, decide, fit_thresholds
from multiemo.calibration.scaling import change_of_prior, fit_scaling, temper
from multiemo.records import Record, nothing, record
from multiemo.types import SUBSETS, Modality, subset_key

#: The label of a clip whose confidence is below the threshold.
UNCERTAIN = "uncertain"


@record
class Calibration(Record):
    """How one model's logits become probabilities, and probabilities labels. The empty one changes nothing.

    Args:
        temperatures: {subset key: T of the logits when a clip has, or shows, just that set of modalities}.
        biases: {subset key: what is added to the logits then, ``[C]``}; the empty key is of clips with nothing.
        branches: {modality: T of the branch's own head}.
        branch_biases: {modality: ``[C]``, likewise}.
        costs: {subset key, or modality for a branch's own head: ``[C]`` cost of missing each label}, for
            heads trained with label weights. The given label has the largest probability times cost. It is the label
            that the uncalibrated head finds most likely, which is what the head was trained and selected for.
        label_thresholds: {subset key: ``[C]`` probabilities above which each label is given}, where several can be.
        max_error: allowed error rate among the answered clips; ``None`` always answers.
        thresholds: {subset key: lowest confidence that is answered; ``None`` where none assures ``max_error``, so
            that nothing is}; empty without ``max_error``.
        clips: {subset key: validation clips that have all of its modalities, by which it was fitted}.
        stay_seconds: by which a timeline is smoothed (see ``predict.smoothing``): 0 where smoothing made labels of
            validation dialogues worse; ``None`` where there were none to tell.
        smoothing: what was found on them (:func:`multiemo.smoothing.fit_stay`): ``dialogues``, ``clips``, ``accuracy``
            without and ``smoothed_accuracy`` with.
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

    def temperature(self, key: str) -> float:
        """Of a set of modalities; one where none was fitted."""
        return self.temperatures.get(key, 1.0)

    def answers(self, key: str, confidence: float) -> bool:
        """Whether a label of this confidence is given, for a clip that shows just this set of modalities."""
        if self.max_error is None:
            return True
        threshold = self.thresholds.get(key)
        return threshold is not None and confidence >= threshold

    def apply(
        self, key: str, probabilities: Array, presence: Mapping[Modality, NDArray[np.bool_]], task: str = "single"
    ) -> Array:
        """Calibrate ``[N, C]`` probabilities of one subset, each clip by what it has of it.

        Args:
            key: of the subset.
            probabilities: ``[N, C]``.
            presence: {modality: ``[N]``}.
            task: ``single``, ``soft`` or ``multi``.
        """
        return self.scaled(shown_keys(key, presence), probabilities, task)

    def scaled(self, keys: Sequence[str], probabilities: Array, task: str = "single") -> Array:
        """Calibrate ``[N, C]`` probabilities of clips that show, one by one, these sets of modalities.

        Args:
            keys: N subset keys.
            probabilities: ``[N, C]``.
            task: ``single``, ``soft`` or ``multi``.
        """
        nothing = np.zeros(probabilities.shape[1])
        bias = np.array([self.biases.get(k, nothing) for k in keys]).reshape(probabilities.shape)
        return temper(probabilities, np.array([self.temperature(k) for k in keys]), task, bias)

    def scaled_branch(self, m: Modality, probabilities: Array, task: str = "single") -> Array:
        """Calibrate ``[N, C]`` probabilities of a branch's own head.

        Args:
            m: the modality.
            probabilities: ``[N, C]``.
            task: ``single``, ``soft`` or ``multi``.
        """
        bias = self.branch_biases.get(m)
        return temper(probabilities, self.branches.get(m, 1.0), task, None if bias is None else np.asarray(bias))

    def decide(self, keys: Sequence[str], probabilities: Array, task: str = "single") -> NDArray[np.int64]:
        """The labels given to clips that show, one by one, these sets of modalities; see :func:`decide`.

        Args:
            keys: N subset keys, or modalities for what branches say by themselves.
            probabilities: ``[N, C]``, calibrated.
            task: ``multi`` gives ``[N, C]``, the others ``[N]`` columns.
        """
        if task == "multi":
            half = np.full(probabilities.shape[1], DEFAULT_THRESHOLD)
            limits = np.array([self.label_thresholds.get(k, half) for k in keys]).reshape(probabilities.shape)
            return decide(probabilities, task, thresholds=limits)
        alike = np.ones(probabilities.shape[1])
        return decide(
            probabilities, task, costs=np.array([self.costs.get(k, alike) for k in keys]).reshape(probabilities.shape)
        )

    def notes(self) -> list[str]:
        """What a reader must know: sets that never answer, sets without validation clips, and smoothing."""
        found = []
        never = [k for k, threshold in self.thresholds.items() if threshold is None]
        if never:
            counts = sorted({self.clips.get(k, 0) for k in never})
            span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
            found.append(
                f"max_error {self.max_error:g} cannot be assured for {', '.join(never)} by {span} validation clips: "
                f"every label given by just these is {UNCERTAIN!r}; allow a larger max_error, or validate on more clips"
            )
        blank = [k for k, count in self.clips.items() if not count]
        if blank:
            found.append(f"no validation clip has all modalities of {', '.join(blank)}: not calibrated")
        return found + self.smoothing_notes()

    def smoothing_notes(self) -> list[str]:
        """Why timelines are not smoothed, where they are not."""
        told = self.smoothing
        if self.stay_seconds != 0 or not told:
            return []
        return [
            f"timelines are not smoothed: on {told['dialogues']} dialogues of validation that does not help (accuracy "
            f"{told['accuracy']:.3f} without, {told['smoothed_accuracy']:.3f} with; loss of the true label "
            f"{told['loss']:.3f}, {told['smoothed_loss']:.3f})"
        ]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """The calibration that a checkpoint keeps; members it does not know are refused.

        Raises:
            ValueError: not such values; says which.
        """
        try:
            made = cls(**values)
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
    """For each clip the key of what it has of a subset; empty where it has nothing of it.

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
    """Fit everything on validation clips, each subset on those that have all of it.

    Args:
        probabilities: {subset key: ``[N, C]``}, not calibrated.
        branches: {modality: ``[N, C]``} of the branches' own heads.
        presence: {modality: ``[N]``}.
        target: ``[N, C]``.
        task: ``single``, ``soft`` or ``multi``.
        max_error: allowed error rate among the answered clips.
        prior: ``[C]`` label frequencies of train; ``None``: even ones.
        learnt: ``[C]`` label frequencies under which ``probabilities`` are posteriors; ``None``: ``prior``.
        branch_priors: {modality: ``[C]``}, the same of the branches' heads.
        weighted_heads: heads trained with label weights: ``fused``, or a modality for a branch's own head.
        speakers: ``[N]``, whose clip each is.
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
            said = None if task == "multi" else decide(calibrated, task, costs=own)
            sure = top_label(calibrated, target[rows], task, said)
            thresholds[key] = abstention_threshold(*sure, max_error)
    heads = {}
    for m, values in branches.items():
        rows, theirs = presence[m], (branch_priors or {}).get(m, learnt)
        groups = None if names is None else names[rows]
        heads[m] = fit_scaling(values[rows], target[rows], task, learnt=theirs, prior=prior, groups=groups)
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
    """Costs that undo a bias, so that the label is the one that was most likely before it; mean one over clips."""
    costs = np.exp(bias.min() - bias)
    return np.asarray(costs / (prior @ costs))
