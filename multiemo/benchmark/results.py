"""Figures of a whole benchmark: pooled over folds, averaged over seeds, with intervals over speakers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo import metrics
from multiemo.arrays import Array
from multiemo.benchmark.document import PooledDimension, SystemComparison, SystemFigures
from multiemo.benchmark.predictions import Predictions
from multiemo.calibration import ReliabilityBins, RiskCurve, risk_coverage, thinned, top_label
from multiemo.metrics import Baseline, Estimate, PairedTest
from multiemo.types import SUBSETS


def summarise(predictions: Predictions, task: str = "single") -> dict[str, SystemFigures]:
    """{subset: its figures}.

    Args:
        predictions: of one system.
        task: ``single``, ``multi`` or ``soft``; of ``dimensions`` there is neither ``ece`` nor ``recall``.
    """
    measure = metrics.measure_of(task, predictions.target.shape[1])
    found: dict[str, SystemFigures] = {}
    for key in predictions.probabilities:
        truth, said = predictions.scored(key, task)
        values: dict[str, Any] = {}
        for name, estimate in metrics.estimates(measure, truth, said, predictions.speakers).items():
            values |= _named(name, estimate)
        if task != "dimensions":
            runs = list(_runs(predictions, key, task))
            values["ece"] = float(np.mean([metrics.calibration_error(task, *run) for run in runs]))
            values["recall"] = np.mean([_recall(*run, task) for run in runs], axis=0).round(4).tolist()
        found[key] = SystemFigures.of(values)
    return found


def _runs(predictions: Predictions, subset: str, task: str) -> Iterator[tuple[Array, Array, NDArray[np.int64]]]:
    """Targets and probabilities ``[n, C]`` of the usable clips of every seed, and the labels that are given."""
    for p, said in zip(predictions.probabilities[subset], predictions.given(subset, task), strict=True):
        rows = ~np.isnan(p).any(axis=1)
        yield predictions.target[rows], p[rows], said[rows]


def _recall(target: Array, probabilities: Array, said: NDArray[np.int64], task: str) -> Array:
    """``[C]`` recall of each label; zero where it does not occur."""
    if task == "multi":
        return metrics.per_label(*metrics.scored(task, target, probabilities, said))["recall"]
    return metrics.per_class(_matrix(target, said))["recall"]


def error_of(bins: ReliabilityBins) -> float:
    """Expected calibration error of the bins of a reliability diagram (Guo et al. 2017)."""
    count = np.asarray(bins.n, dtype=float)
    gaps = np.abs(np.asarray(bins.confidence) - np.asarray(bins.accuracy))
    return float((gaps * count).sum() / max(count.sum(), 1))


def joined_bins(diagrams: Sequence[ReliabilityBins], bins: int = 15) -> ReliabilityBins:
    """The reliability diagram of several sets of clips together, from those of each."""
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
    """{dimension: its figures} over the clips whose truth is known."""
    found: dict[str, PooledDimension] = {}
    measure = metrics.dimension_measure()
    for name, (truth, said) in predictions.dimensions.items():
        known = ~np.isnan(truth)
        speakers = np.asarray(predictions.speakers)[known].tolist()
        estimates = metrics.estimates(measure, truth[known], said[:, known], speakers)
        found[name] = PooledDimension.of(*(_named(figure, estimate) for figure, estimate in estimates.items()))
    return found


def _named(figure: str, estimate: Estimate) -> dict[str, Any]:
    values: dict[str, Any] = {"n": estimate.n, figure: estimate.value, f"{figure}_ci": [estimate.low, estimate.high]}
    return values if estimate.deviation is None else {**values, f"{figure}_sd": estimate.deviation}


def guesses(
    predictions: Predictions, task: str, folds: Mapping[str, tuple[Sequence[str], Array]]
) -> tuple[Baseline, Baseline | None]:
    """Figures of saying the most frequent train label, and of drawing labels with their train frequencies.

    Args:
        predictions: say which clips are tested.
        task: see :func:`summarise`.
        folds: {fold: its test clips, its ``[C]`` train frequencies}.

    Returns:
        Of saying the most frequent label (of dimensions, their means in train), and the expected ones of drawing (of
        dimensions, ``None``).
    """
    prior_by_clip = {name: prior for ids, prior in folds.values() for name in ids}
    priors = np.array([prior_by_clip[name] for name in predictions.ids])
    if task == "dimensions":
        truth, said = metrics.scored(task, predictions.target, priors)
        return Baseline.of(metrics.measure_of(task, 3).plain(truth, said), n=len(priors)), None
    most = priors > 0.5 if task == "multi" else priors.argmax(axis=1)[:, None] == np.arange(priors.shape[1])
    truth, said = metrics.scored(task, predictions.target, most.astype(float))
    majority = metrics.measure_of(task, priors.shape[1]).plain(truth, said)
    if task == "soft":  # one label for certain is no distribution
        majority = {name: majority[name] for name in metrics.FIGURES}
    drawn = metrics.guessing(task, predictions.target, priors.mean(axis=0))
    return Baseline.of(majority, n=len(priors)), Baseline.of(drawn, n=len(priors))


def confusion_of(predictions: Predictions) -> list[list[float]]:
    """``[C, C]`` counts of the full subset, averaged over seeds; rows are the truth."""
    matrices = [_matrix(target, said) for target, _, said in _runs(predictions, predictions.full, "single")]
    return np.mean(matrices, axis=0).round(2).tolist()  # type: ignore[no-any-return]


def _matrix(target: Array, said: NDArray[np.int64]) -> Array:
    """``[C, C]`` of the clips whose label is clear."""
    clear = metrics.has_winner(target)
    return metrics.confusion(target[clear].argmax(axis=1), said[clear], target.shape[1])


def risk_curves(predictions: Predictions, task: str = "single") -> dict[str, RiskCurve]:
    """{subset: risk-coverage curve} over all seeds together."""
    found = {}
    for key in predictions.probabilities:
        runs = [top_label(p, t, task, said) for t, p, said in _runs(predictions, key, task)]
        confidence, right = (np.concatenate(column) for column in zip(*runs, strict=True))
        found[key] = thinned(*risk_coverage(confidence, right))
    return found


def paired(
    first: Predictions, first_subset: str, second: Predictions, second_subset: str, task: str = "single"
) -> dict[str, PairedTest]:
    """{figure: paired test} of two systems or subsets; nothing where they share no clip.

    Args:
        first, second: systems.
        first_subset, second_subset: keys of their subsets.
        task: of both.

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
    """Paired tests that belong together, their p-values adjusted by Holm's method.

    Args:
        pairs: (first system, its subset, second system, its subset).
        task: of all.

    Returns:
        One record a test; pairs that share no clip have none.
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
    """The full subset against every smaller one."""
    return [(model, model.full, model, key) for key in model.probabilities if key != model.full]


def system_pairs(model: Predictions, other: Predictions) -> list[tuple[Predictions, str, Predictions, str]]:
    """The same subset of two systems, for every subset that both have."""
    return [(model, key, other, key) for key in SUBSETS if key in model.probabilities and key in other.probabilities]
