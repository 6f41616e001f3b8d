"""Figures of a benchmark: pooled over folds, averaged over seeds, with intervals over speakers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo import metrics
from multiemo.arrays import Array, has_winner
from multiemo.benchmark.document import PooledDimension, SystemComparison, SystemFigures
from multiemo.benchmark.predictions import Predictions
from multiemo.calibration import ReliabilityBins, RiskCurve, risk_coverage, thinned, top_label
from multiemo.metrics import Baseline, Estimate, PairedTest
from multiemo.types import SUBSETS

#: Figures that need probabilities, besides the calibration error.
_OF_PROBABILITIES = ("map", "cross_entropy", "kl", "js", "cosine")


def summarise(predictions: Predictions, task: str = "single") -> dict[str, SystemFigures]:
    """Measure every subset of a system.

    Args:
        predictions: predictions of the system.
        task: ``single``, ``multi``, ``soft`` or ``dimensions``; the last has neither ``ece`` nor ``recall``.

    Returns:
        {subset: its figures}.
    """
    measure = metrics.measure_of(task, predictions.target.shape[1])
    found: dict[str, SystemFigures] = {}
    for key in predictions.probabilities:
        truth, predicted = predictions.scored(key, task)
        values: dict[str, Any] = {}
        for name, estimate in metrics.estimates(measure, truth, predicted, predictions.speakers).items():
            if predictions.stated or name not in _OF_PROBABILITIES:
                values |= _named(name, estimate)
        if task != "dimensions":
            runs = list(_runs(predictions, key, task))
            if predictions.stated:
                values["ece"] = float(np.mean([metrics.calibration_error(task, *run) for run in runs]))
            values["recall"] = np.mean([_recall(*run, task) for run in runs], axis=0).round(4).tolist()
        found[key] = SystemFigures.of(values)
    return found


def _runs(predictions: Predictions, subset: str, task: str) -> Iterator[tuple[Array, Array, NDArray[np.int64]]]:
    """For every seed, targets and probabilities ``[n, C]`` of the usable clips, and their predicted labels."""
    for p, labels in zip(predictions.probabilities[subset], predictions.labels(subset, task), strict=True):
        rows = ~np.isnan(p).any(axis=1)
        yield predictions.target[rows], p[rows], labels[rows]


def _recall(target: Array, probabilities: Array, labels: NDArray[np.int64], task: str) -> Array:
    """``[C]`` recall of each label; NaN for a label that does not occur."""
    if task == "multi":
        return metrics.per_label(*metrics.scored(task, target, probabilities, labels))["recall"]
    return metrics.per_class(_matrix(target, labels))["recall"]


def error_of(bins: ReliabilityBins) -> float:
    """Expected calibration error (Guo et al. 2017) from the bins of a reliability diagram."""
    count = np.asarray(bins.n, dtype=float)
    gaps = np.abs(np.asarray(bins.confidence) - np.asarray(bins.accuracy))
    return float((gaps * count).sum() / max(count.sum(), 1))


def joined_bins(diagrams: Sequence[ReliabilityBins], bins: int = 15) -> ReliabilityBins:
    """Join the reliability diagrams of several sets of clips into one with ``bins`` bins."""
    total = np.zeros((3, bins))
    for diagram in diagrams:
        for confidence, accuracy, n in zip(diagram.confidence, diagram.accuracy, diagram.n, strict=True):
            total[:, min(int(confidence * bins), bins - 1)] += np.array([confidence, accuracy, 1.0]) * n
    some = total[2] > 0
    means = (total[:2, some] / total[2, some]).round(4)
    return ReliabilityBins(
        confidence=means[0].tolist(), accuracy=means[1].tolist(), n=total[2, some].astype(int).tolist()
    )


def summarise_dimensions(predictions: Predictions) -> dict[str, PooledDimension]:
    """Measure every dimension on the clips for which it is rated: {dimension: its figures}."""
    found: dict[str, PooledDimension] = {}
    measure = metrics.dimension_measure()
    for name, (truth, predicted) in predictions.dimensions.items():
        known = ~np.isnan(truth)
        speakers = np.asarray(predictions.speakers)[known].tolist()
        estimates = metrics.estimates(measure, truth[known], predicted[:, known], speakers)
        found[name] = PooledDimension.of(*(_named(figure, estimate) for figure, estimate in estimates.items()))
    return found


def _named(figure: str, estimate: Estimate) -> dict[str, Any]:
    """The members of a record for one figure: value, interval, and the deviation over several seeds."""
    values: dict[str, Any] = {"n": estimate.n, figure: estimate.value, f"{figure}_ci": [estimate.low, estimate.high]}
    return values if estimate.deviation is None else {**values, f"{figure}_sd": estimate.deviation}


def guesses(
    predictions: Predictions, task: str, folds: Mapping[str, tuple[Sequence[str], Array]]
) -> tuple[Baseline, Baseline | None]:
    """Figures of the two baselines that see no input.

    Args:
        predictions: predictions on the tested clips; only their ids and targets are read.
        task: see :func:`summarise`.
        folds: {fold: (ids of its test clips, its ``[C]`` train frequencies)}.

    Returns:
        Figures of always predicting the most frequent train label (for dimensions, their train means), and expected
        figures of drawing labels with their train frequencies (``None`` for dimensions).
    """
    prior_by_clip = {name: prior for ids, prior in folds.values() for name in ids}
    priors = np.array([prior_by_clip[name] for name in predictions.ids])
    if task == "dimensions":
        truth, predicted = metrics.scored(task, predictions.target, priors)
        return Baseline.of(metrics.measure_of(task, 3).plain(truth, predicted), n=len(priors)), None
    most = priors > 0.5 if task == "multi" else priors.argmax(axis=1)[:, None] == np.arange(priors.shape[1])
    truth, predicted = metrics.scored(task, predictions.target, most.astype(float))
    majority = metrics.measure_of(task, priors.shape[1]).plain(truth, predicted)
    if task == "soft":  # figures of distributions are meaningless for a single certain label
        majority = {name: majority[name] for name in metrics.FIGURES}
    drawn = metrics.guessing(task, predictions.target, priors.mean(axis=0))
    return Baseline.of(majority, n=len(priors)), Baseline.of(drawn, n=len(priors))


def confusion_of(predictions: Predictions) -> list[list[float]]:
    """Confusion matrix of the full subset: ``[C, C]`` counts, averaged over seeds; rows are the truth."""
    matrices = [_matrix(target, labels) for target, _, labels in _runs(predictions, predictions.full, "single")]
    return np.mean(matrices, axis=0).round(2).tolist()  # type: ignore[no-any-return]


def _matrix(target: Array, labels: NDArray[np.int64]) -> Array:
    """``[C, C]`` confusion matrix of the clips with one most frequent label."""
    clear = has_winner(target)
    return metrics.confusion(target[clear].argmax(axis=1), labels[clear], target.shape[1])


def risk_curves(predictions: Predictions, task: str = "single") -> dict[str, RiskCurve]:
    """{subset: risk-coverage curve}, all seeds together."""
    found = {}
    for key in predictions.probabilities:
        runs = [top_label(p, t, task, labels) for t, p, labels in _runs(predictions, key, task)]
        confidence, correct = (np.concatenate(column) for column in zip(*runs, strict=True))
        found[key] = thinned(*risk_coverage(confidence, correct))
    return found


def paired(
    first: Predictions, first_subset: str, second: Predictions, second_subset: str, task: str = "single"
) -> dict[str, PairedTest]:
    """Test two systems, or two subsets of one system, against each other.

    Args:
        first, second: predictions of the systems.
        first_subset, second_subset: keys of their subsets.
        task: task of both.

    Returns:
        {figure: paired test}; empty if the two have no clip in common.

    Raises:
        ValueError: the two were not tested on the same clips.
    """
    if first.ids != second.ids or not np.array_equal(first.target, second.target, equal_nan=True):
        raise ValueError(f"{first.name} and {second.name} were tested on different clips")
    truth, one = first.scored(first_subset, task)
    _, two = second.scored(second_subset, task)
    if not (metrics.usable_clips(one) & metrics.usable_clips(two)).any(axis=1).all():
        return {}
    measure = metrics.measure_of(task, first.target.shape[1])
    return metrics.paired_tests(measure, truth, one, two, first.speakers)


def family(
    pairs: Sequence[tuple[Predictions, str, Predictions, str]],
    task: str = "single",
) -> list[SystemComparison]:
    """Run a family of paired tests and adjust their p-values by Holm's method.

    Args:
        pairs: (first system, its subset, second system, its subset) of each test.
        task: task of all systems.

    Returns:
        One record per test; pairs without a common clip are left out.
    """
    main = metrics.MAIN_FIGURE[task]
    tests = [(pair, paired(*pair, task).get(main)) for pair in pairs]
    known = [(pair, test) for pair, test in tests if test is not None]
    adjusted = metrics.adjusted([test for _, test in known])
    return [
        SystemComparison.of(test, first=f"{first.name} {one}", second=f"{second.name} {two}", subset=one, figure=main)
        for ((first, one, second, two), _), test in zip(known, adjusted, strict=True)
    ]


def modality_pairs(model: Predictions) -> list[tuple[Predictions, str, Predictions, str]]:
    """Pairs of the full subset with every smaller one."""
    return [(model, model.full, model, key) for key in model.probabilities if key != model.full]


def system_pairs(model: Predictions, other: Predictions) -> list[tuple[Predictions, str, Predictions, str]]:
    """Pairs of the same subset in two systems, for every subset that both have."""
    return [(model, key, other, key) for key in SUBSETS if key in model.probabilities and key in other.probabilities]
