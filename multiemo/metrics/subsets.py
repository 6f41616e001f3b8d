"""Computes figures, baselines, intervals, figures per label and paired tests of every subset of modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array, clear_clips
from multiemo.metrics.comparisons import adjusted, paired_tests
from multiemo.metrics.figures import FIGURES, confusion, per_class
from multiemo.metrics.intervals import estimates
from multiemo.metrics.measures import Measure
from multiemo.metrics.multilabel import per_label
from multiemo.metrics.results import (
    AdjustedTest,
    Baseline,
    DimensionFigures,
    LabelFigures,
    SubsetComparison,
    SubsetFigures,
)
from multiemo.metrics.tasks import (
    MAIN_FIGURE,
    by_dimension,
    calibration_error,
    guessing,
    mean_loss,
    measure_of,
    scored,
)


@dataclass(frozen=True, slots=True)
class Scores:
    """The labelled clips of a part, and their predictions.

    Args:
        task: ``single``, ``soft``, ``multi`` or ``dimensions``.
        labels: label set, in order; with ``dimensions``, their names.
        target: ``[N, C]``; with ``dimensions``, NaN where unknown.
        probabilities: {subset: ``[N, C]``}.
        usable: {subset: ``[N]``}, whether the clip has any modality of the subset.
        speakers: ``[N]`` speaker of each clip.
        prior: ``[C]`` label frequencies of train, or means of the dimensions.
        decided: {subset: decided labels}, see :func:`scored`; a subset without an entry uses the most probable label.
    """

    task: str
    labels: Sequence[str]
    target: Array
    probabilities: Mapping[str, Array]
    usable: Mapping[str, NDArray[np.bool_]]
    speakers: NDArray[Any]
    prior: Array
    decided: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def full(self) -> str:
        """The key of the largest subset."""
        return max(self.probabilities, key=len)

    @property
    def measure(self) -> Measure:
        """The measure of the task."""
        return measure_of(self.task, len(self.labels))

    def scored(self, key: str, rows: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Truth and predictions of some clips, in the form that the measure takes.

        Args:
            key: subset.
            rows: ``[N]``, the clips.
        """
        return scored(self.task, self.target[rows], self.probabilities[key][rows], self.given(key, rows))

    def given(self, key: str, rows: NDArray[np.bool_]) -> NDArray[np.int64] | None:
        """The decided labels of some clips; ``None`` if they are the most probable ones.

        Args:
            key: subset.
            rows: ``[N]``, the clips.
        """
        return self.decided[key][rows] if key in self.decided else None


@dataclass(frozen=True, slots=True)
class MeasuredSubsets:
    """The result of :func:`measure_subsets`; the fields are members of the report.

    ``unanimous`` lists the subsets whose main figure is the same for all speakers.
    """

    majority: Baseline
    prior: Baseline
    subsets: dict[str, SubsetFigures]
    confusion: list[list[float]]
    per_class: dict[str, dict[str, LabelFigures] | dict[str, DimensionFigures]]
    comparisons: dict[str, SubsetComparison]
    unanimous: list[str]


def measure_subsets(scores: Scores, *, intervals: bool = True) -> MeasuredSubsets:
    """Compute the figures of every subset on the clips that have any of its modalities.

    Args:
        scores: clips and predictions of one part.
        intervals: also compute intervals, figures per label and paired tests (slower).
    """
    unanimous: list[str] = []
    return MeasuredSubsets(
        majority=_majority(scores),
        prior=_prior(scores),
        subsets={key: _subset(scores, key, intervals, unanimous) for key in scores.probabilities},
        confusion=_confusion(scores, scores.full).tolist() if scores.task in ("single", "soft") else [],
        per_class={key: _each_label(scores, key) for key in scores.probabilities} if intervals else {},
        comparisons=compare_subsets(scores) if intervals else {},
        unanimous=unanimous,
    )


def _prior(scores: Scores) -> Baseline:
    """Baseline of labels drawn with their frequencies in train; empty for dimensions."""
    if scores.task == "dimensions":
        return Baseline()
    return Baseline.of(guessing(scores.task, scores.target, scores.prior), n=len(scores.target))


def _majority(scores: Scores) -> Baseline:
    """Baseline of the most frequent label of train; with several labels, those that more than half of train has.

    For dimensions, their means in train.
    """
    constant = np.broadcast_to(scores.prior, scores.target.shape)
    figures = scores.measure.plain(*scored(scores.task, scores.target, constant))
    if scores.task == "soft":  # a single certain label is not a distribution
        figures = {name: figures[name] for name in FIGURES}
    if scores.task == "dimensions":
        return Baseline.of(figures, n=len(scores.target))
    return Baseline.of(figures, label=scores.labels[int(scores.prior.argmax())], n=len(scores.target))


def _subset(scores: Scores, key: str, intervals: bool, unanimous: list[str]) -> SubsetFigures:
    """Figures of one subset; its key is appended to ``unanimous`` if all speakers have the same main figure."""
    rows = scores.usable[key]
    values: dict[str, Any] = {"n": int(rows.sum())}
    if not rows.any():
        return SubsetFigures.of(values)
    target, probabilities = scores.target[rows], scores.probabilities[key][rows]
    truth, predicted = scores.scored(key, rows)
    if intervals:
        found = estimates(scores.measure, truth, predicted, scores.speakers[rows].tolist())
        values |= {name: estimate.value for name, estimate in found.items()}
        values |= {f"{name}_ci": [estimate.low, estimate.high] for name, estimate in found.items()}
        if found[MAIN_FIGURE[scores.task]].error == 0:
            unanimous.append(key)
    else:
        values |= scores.measure.plain(truth, predicted)
    if scores.task == "soft":
        values["n_clear"] = int(clear_clips(scores.task, target).sum())
    if scores.task != "dimensions":
        values["ece"] = calibration_error(scores.task, target, probabilities, scores.given(key, rows))
    values["loss"] = mean_loss(scores.task, target, probabilities)
    return SubsetFigures.of(values)


def _confusion(scores: Scores, key: str) -> Array:
    rows = scores.usable[key] & clear_clips(scores.task, scores.target)
    truth, predicted = scored("single", scores.target[rows], scores.probabilities[key][rows], scores.given(key, rows))
    return confusion(truth, predicted, len(scores.labels))


def _each_label(scores: Scores, key: str) -> dict[str, LabelFigures] | dict[str, DimensionFigures]:
    """{label: recall, precision, F1 and support}, or {dimension: figures and number of rated clips}."""
    if scores.task == "dimensions":
        rows = scores.usable[key]
        return by_dimension(scores.target[rows], scores.probabilities[key][rows], scores.labels)
    if scores.task == "multi":
        rows = scores.usable[key]
        columns = per_label(*scores.scored(key, rows))
    else:
        columns = per_class(_confusion(scores, key))
    return {
        label: LabelFigures(**{k: float(v[c]) for k, v in columns.items()}) for c, label in enumerate(scores.labels)
    }


def compare_subsets(scores: Scores) -> dict[str, SubsetComparison]:
    """Paired tests of the full subset against each smaller one, on the clips that both can predict.

    The comparisons of one figure form a family, within which ``p_holm`` is adjusted.

    Returns:
        {``FULL-KEY``: the test of the main figure, with those of the other figures}.
    """
    full, found = scores.full, {}
    for key in scores.probabilities:
        rows = scores.usable[full] & scores.usable[key]
        if key != full and rows.any():
            (truth, one), (_, two) = scores.scored(full, rows), scores.scored(key, rows)
            found[f"{full}-{key}"] = paired_tests(scores.measure, truth, one, two, scores.speakers[rows].tolist())
    families: dict[str, dict[str, AdjustedTest]] = {pair: {} for pair in found}
    for figure in next(iter(found.values()), {}):
        tests = adjusted([tests[figure] for tests in found.values()])
        for pair, test in zip(found, tests, strict=True):
            families[pair][figure] = test
    main = MAIN_FIGURE[scores.task]
    return {pair: SubsetComparison.of(tests.pop(main), figure=main, others=tests) for pair, tests in families.items()}
