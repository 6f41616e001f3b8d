"""Every subset of modalities measured: figures, baselines, intervals, labels one by one, and the family of tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
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
    clear_clips,
    guessing,
    mean_loss,
    measure_of,
    scored,
)


@dataclass(frozen=True, slots=True)
class Scores:
    """The labelled clips of a part, and what was said of them.

    Args:
        task: ``single``, ``soft``, ``multi`` or ``dimensions``.
        labels: the label set, in order; of ``dimensions`` their names.
        target: ``[N, C]``; of ``dimensions`` NaN where unknown.
        probabilities: {subset: ``[N, C]``}.
        usable: {subset: ``[N]``}, whether the clip has any modality of the subset.
        speakers: ``[N]``.
        prior: ``[C]`` label frequencies of train, or means of the dimensions.
        said: {subset: labels that are given}, see :func:`scored`; without a key, the most probable ones are.
    """

    task: str
    labels: Sequence[str]
    target: Array
    probabilities: Mapping[str, Array]
    usable: Mapping[str, NDArray[np.bool_]]
    speakers: NDArray[Any]
    prior: Array
    said: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def full(self) -> str:
        """The key of the largest subset."""
        return max(self.probabilities, key=len)

    @property
    def measure(self) -> Measure:
        """Of the task."""
        return measure_of(self.task, len(self.labels))

    def scored(self, key: str, rows: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Truth and predictions of some clips, as the measure wants them."""
        return scored(self.task, self.target[rows], self.probabilities[key][rows], self.given(key, rows))

    def given(self, key: str, rows: NDArray[np.bool_]) -> NDArray[np.int64] | None:
        """The labels that are given to some clips, where they are not simply the most probable ones."""
        return self.said[key][rows] if key in self.said else None


@dataclass(frozen=True, slots=True)
class MeasuredSubsets:
    """What :func:`measure_subsets` found; the fields are those of the report.

    ``unanimous`` are the subsets whose main figure is the same in all speakers.
    """

    majority: Baseline
    prior: Baseline
    subsets: dict[str, SubsetFigures]
    confusion: list[list[float]]
    per_class: dict[str, dict[str, LabelFigures] | dict[str, DimensionFigures]]
    comparisons: dict[str, SubsetComparison]
    unanimous: list[str]


def measure_subsets(scores: Scores, *, intervals: bool = True) -> MeasuredSubsets:
    """Measure every subset on the clips that have any of its modalities.

    Args:
        scores: of one part.
        intervals: also intervals, labels one by one, and paired tests (slower).
    """
    alike: list[str] = []
    return MeasuredSubsets(
        majority=_majority(scores),
        prior=_prior(scores),
        subsets={key: _subset(scores, key, intervals, alike) for key in scores.probabilities},
        confusion=_confusion(scores, scores.full).tolist() if scores.task in ("single", "soft") else [],
        per_class={key: _each_label(scores, key) for key in scores.probabilities} if intervals else {},
        comparisons=compare_subsets(scores) if intervals else {},
        unanimous=alike,
    )


def _prior(scores: Scores) -> Baseline:
    """Drawing labels as train has them; of dimensions there is nothing to draw."""
    if scores.task == "dimensions":
        return Baseline()
    return Baseline.of(guessing(scores.task, scores.target, scores.prior), n=len(scores.target))


def _majority(scores: Scores) -> Baseline:
    """Always the most frequent label of train; with several labels, those that more than half of train has.

    Of dimensions always their means in train.
    """
    constant = np.broadcast_to(scores.prior, scores.target.shape)
    figures = scores.measure.plain(*scored(scores.task, scores.target, constant))
    if scores.task == "soft":  # one label for certain is no distribution
        figures = {name: figures[name] for name in FIGURES}
    if scores.task == "dimensions":
        return Baseline.of(figures, n=len(scores.target))
    return Baseline.of(figures, label=scores.labels[int(scores.prior.argmax())], n=len(scores.target))


def _subset(scores: Scores, key: str, intervals: bool, alike: list[str]) -> SubsetFigures:
    """Figures of one subset; ``alike`` gets its key where all speakers show the same."""
    rows = scores.usable[key]
    values: dict[str, Any] = {"n": int(rows.sum())}
    if not rows.any():
        return SubsetFigures.of(values)
    target, probabilities = scores.target[rows], scores.probabilities[key][rows]
    truth, said = scores.scored(key, rows)
    if intervals:
        found = estimates(scores.measure, truth, said, scores.speakers[rows].tolist())
        values |= {name: estimate.value for name, estimate in found.items()}
        values |= {f"{name}_ci": [estimate.low, estimate.high] for name, estimate in found.items()}
        alike += [key] * (found[MAIN_FIGURE[scores.task]].error == 0)
    else:
        values |= scores.measure.plain(truth, said)
    if scores.task == "soft":
        values["n_clear"] = int(clear_clips(scores.task, target).sum())
    if scores.task != "dimensions":
        values["ece"] = calibration_error(scores.task, target, probabilities, scores.given(key, rows))
    values["loss"] = mean_loss(scores.task, target, probabilities)
    return SubsetFigures.of(values)


def _confusion(scores: Scores, key: str) -> Array:
    rows = scores.usable[key] & clear_clips(scores.task, scores.target)
    truth, said = scored("single", scores.target[rows], scores.probabilities[key][rows], scores.given(key, rows))
    return confusion(truth, said, len(scores.labels))


def _each_label(scores: Scores, key: str) -> dict[str, LabelFigures] | dict[str, DimensionFigures]:
    """{label: its recall, precision, F1 and support}; {dimension: its figures and how many clips know it}."""
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
    """Paired tests of the full subset against each smaller one, on the clips that both are usable on.

    The comparisons of one figure are a family: ``p_holm`` is adjusted within it.

    Returns:
        {``FULL-KEY``: the test of the main figure, and those of the others}.
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
