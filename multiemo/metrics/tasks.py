"""The measure, calibration error and loss of each task, and the expected figures of guessing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array, clear_clips
from multiemo.metrics.figures import FIGURES, calibration_gap, expected_calibration_error, label_measure
from multiemo.metrics.measures import Measure, ratio
from multiemo.metrics.multilabel import counted, multi_measure
from multiemo.metrics.regression import dimension_measure, dimensions_measure
from multiemo.metrics.results import DimensionFigures
from multiemo.metrics.votes import SMALLEST, vote_measure

#: {task: main figure of its tables and comparisons}.
MAIN_FIGURE = {"single": "uar", "soft": "uar", "multi": "macro_f1", "dimensions": "ccc"}


def measure_of(task: str, classes: int) -> Measure:
    """The measure of a task.

    Args:
        task: ``single``, ``soft``, ``multi`` or ``dimensions``.
        classes: number of labels.
    """
    if task == "dimensions":
        return dimensions_measure()
    if task == "multi":
        return multi_measure()
    return vote_measure(classes) if task == "soft" else label_measure(classes)


def scored(
    task: str, target: Array, probabilities: Array, decided: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Truth and predictions in the form that the measure of the task takes.

    Args:
        task: ``single``, ``soft``, ``multi`` or ``dimensions``.
        target: ``[N, C]``.
        probabilities: ``[N, C]``, or ``[R, N, C]`` of several runs; NaN where a run has no prediction.
        decided: decided labels, as :func:`multiemo.calibration.decide` returns them: label indices ``[...]``, for
            ``multi`` ``[..., C]``; by default the most probable label, or for ``multi`` those above 0.5.

    Returns:
        For ``single``, label indices, -1 where a prediction is missing. For ``soft`` and ``multi``, the targets, and
        the probabilities with the decided labels in further columns. For ``dimensions``, the columns that have both
        ratings and predictions.
    """
    if task == "dimensions":
        predicted = ~np.isnan(probabilities).reshape(-1, target.shape[1]).all(axis=0)
        kept = predicted & ~np.isnan(target).all(axis=0)
        return target[:, kept], probabilities[..., kept]
    if task == "single":
        missing = np.isnan(probabilities).any(axis=-1)
        columns = np.nan_to_num(probabilities).argmax(axis=-1) if decided is None else decided
        return target.argmax(axis=-1), np.where(missing, -1, columns)
    if decided is None:
        return target, probabilities
    columns = decided[..., None] if task == "soft" else decided
    return target, np.concatenate([probabilities, columns], axis=-1)


def by_dimension(target: Array, values: Array, names: Sequence[str]) -> dict[str, DimensionFigures]:
    """{dimension: figures} of the dimensions for which two or more clips have a rating and a prediction.

    Args:
        target: ``[N, K]`` ratings; NaN where unknown.
        values: ``[N, K]`` predictions; NaN where missing.
        names: names of the K dimensions.
    """
    found: dict[str, DimensionFigures] = {}
    for name, truth, predicted in zip(names, target.T, values.T, strict=True):
        known = ~np.isnan(truth + predicted)
        if known.sum() > 1:
            plain = dimension_measure().plain(truth[known], predicted[known])
            found[name] = DimensionFigures.of(plain, n=int(known.sum()))
    return found


def means_of(target: Array) -> Array:
    """``[C]`` means of the columns of ``[N, C]`` over the known values; NaN for a column without any."""
    known = ~np.isnan(target)
    return ratio(np.where(known, target, 0.0).sum(axis=0), known.sum(axis=0).astype(float), np.nan)


def guessing(task: str, target: Array, prior: Array) -> dict[str, float]:
    """Expected figures of labels drawn at random with their frequencies in train.

    F1 is computed from the expected counts, which approximates its expectation for many clips. With votes, the
    distances are those of the frequencies themselves.

    Args:
        task: ``single``; ``soft`` (drawn labels are compared with the label that has the most votes); or ``multi``
            (labels are drawn independently; the average precision of a random order is about the label's frequency).
        target: ``[N, C]``.
        prior: ``[C]`` label frequencies of train.

    Returns:
        {figure: value}.
    """
    if task == "multi":
        has = target > 0.5
        support = has.sum(0).astype(float)
        found = counted((support * prior)[None], (len(target) * prior)[None], support[None])
        shares = support[support > 0] / max(len(target), 1)
        return {
            "map": float(shares.mean()) if len(shares) else float("nan"),
            **{name: float(value[0]) for name, value in found.items()},
            "accuracy": float(np.where(has, prior, 1 - prior).prod(axis=1).mean()),
        }
    truth = target[clear_clips(task, target)].argmax(axis=1)
    matrix = np.outer(np.bincount(truth, minlength=len(prior)), prior)
    drawn = {name: float(figure(matrix)) for name, figure in FIGURES.items()}
    constant = np.broadcast_to(prior, target.shape)
    return {**vote_measure(len(prior)).plain(target, constant), **drawn} if task == "soft" else drawn


def calibration_error(task: str, target: Array, probabilities: Array, decided: NDArray[Any] | None = None) -> float:
    """Expected calibration error of the decided label; for ``multi``, over every label of every clip.

    Args:
        task: with ``soft``, only clips in which one label has the most votes are used.
        target: ``[N, C]``.
        probabilities: ``[N, C]``.
        decided: ``[N]`` indices of the decided labels; by default the most probable ones.

    Returns:
        The error, 0..1; NaN if no clip can be used.
    """
    if task == "multi":
        return calibration_gap(probabilities.ravel(), target.ravel() > 0.5)
    clear = clear_clips(task, target)
    if not clear.any():
        return float("nan")
    p, truth = probabilities[clear], target[clear].argmax(axis=1)
    if decided is None:
        return expected_calibration_error(p, truth)
    given = decided[clear]
    return calibration_gap(p[np.arange(len(p)), given], given == truth)


def mean_loss(task: str, target: Array, probabilities: Array) -> float:
    """Mean loss, in nats: cross-entropy per clip; for ``multi``, binary cross-entropy per label.

    For ``dimensions``, the mean over dimensions of the squared error plus one minus the concordance, as in training.

    Args:
        task: ``single``, ``soft``, ``multi`` or ``dimensions``.
        target: ``[N, C]``; with ``dimensions``, NaN where unknown.
        probabilities: ``[N, C]``; with ``dimensions``, their values.
    """
    if task == "dimensions":
        truth, predicted = scored(task, target, probabilities)
        figures = dimensions_measure().plain(truth, predicted)
        return float(np.nanmean(np.nanmean((truth - predicted) ** 2, axis=0)) + 1 - figures["ccc"])
    p = np.clip(probabilities, SMALLEST, 1)
    if task != "multi":
        return float(-(target * np.log(p)).sum(axis=1).mean())
    rest = np.clip(1 - probabilities, SMALLEST, 1)
    return float(-(target * np.log(p) + (1 - target) * np.log(rest)).mean())
