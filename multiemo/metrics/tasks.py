"""What each task is measured by, and what guessing gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.metrics.figures import FIGURES, calibration_gap, expected_calibration_error, label_measure
from multiemo.metrics.measures import Measure, ratio
from multiemo.metrics.multilabel import counted, multi_measure
from multiemo.metrics.regression import dimension_measure, dimensions_measure
from multiemo.metrics.results import DimensionFigures
from multiemo.metrics.votes import SMALLEST, has_winner, vote_measure

#: The figure that a table is read by and a comparison tests, by task.
MAIN_FIGURE = {"single": "uar", "soft": "uar", "multi": "macro_f1", "dimensions": "ccc"}


def measure_of(task: str, classes: int) -> Measure:
    """The measure of a task (``single``, ``soft``, ``multi`` or ``dimensions``) with so many labels."""
    if task == "dimensions":
        return dimensions_measure()
    if task == "multi":
        return multi_measure()
    return vote_measure(classes) if task == "soft" else label_measure(classes)


def scored(
    task: str, target: Array, probabilities: Array, said: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Truth and predictions as the measure of the task wants them.

    Args:
        task: ``single`` takes columns, -1 where a prediction is missing; ``soft`` and ``multi`` probabilities, beside
            them what is said; ``dimensions`` values, of those that somebody knows and something is said of.
        target: ``[N, C]``.
        probabilities: ``[N, C]``, or ``[R, N, C]`` of several runs; NaN where a run has no prediction.
        said: the labels that are given, as :func:`multiemo.calibration.decide` has them: columns ``[...]``, for
            ``multi`` ``[..., C]``; left out, the most probable one, or those above a half.
    """
    if task == "dimensions":
        said_of = ~np.isnan(probabilities).reshape(-1, target.shape[1]).all(axis=0)
        kept = said_of & ~np.isnan(target).all(axis=0)
        return target[:, kept], probabilities[..., kept]
    if task == "single":
        missing = np.isnan(probabilities).any(axis=-1)
        columns = np.nan_to_num(probabilities).argmax(axis=-1) if said is None else said
        return target.argmax(axis=-1), np.where(missing, -1, columns)
    if said is None:
        return target, probabilities
    beside = said[..., None] if task == "soft" else said
    return target, np.concatenate([probabilities, beside], axis=-1)


def clear_clips(task: str, target: Array) -> NDArray[np.bool_]:
    """``[N]``: clips whose label can be told; with votes, those where one label has most."""
    return has_winner(target) if task == "soft" else np.ones(len(target), dtype=bool)


def by_dimension(target: Array, values: Array, names: Sequence[str]) -> dict[str, DimensionFigures]:
    """{dimension: ``n`` clips that know it, and its figures} of those that are known and said.

    Args:
        target, values: ``[N, K]``; NaN where unknown.
        names: of the K dimensions.
    """
    found: dict[str, DimensionFigures] = {}
    for name, truth, said in zip(names, target.T, values.T, strict=True):
        known = ~np.isnan(truth + said)
        if known.sum() > 1:
            plain = dimension_measure().plain(truth[known], said[known])
            found[name] = DimensionFigures.of(plain, n=int(known.sum()))
    return found


def means_of(target: Array) -> Array:
    """``[C]`` means of the columns of ``[N, C]`` over what is known; NaN where nothing is."""
    known = ~np.isnan(target)
    return ratio(np.where(known, target, 0.0).sum(axis=0), known.sum(axis=0).astype(float), np.nan)


def guessing(task: str, target: Array, prior: Array) -> dict[str, float]:
    """Figures to be expected of labels drawn at random with their frequencies in train.

    F1 is that of the expected counts, which its expectation approaches with the number of clips. With votes, the
    distances are those of the frequencies themselves.

    Args:
        task: ``single``, ``soft`` (labels are drawn, against the label with most votes) or ``multi`` (each label is
            drawn by itself; the average precision of a random order is about how often the label occurs).
        target: ``[N, C]``.
        prior: ``[C]``.
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


def calibration_error(task: str, target: Array, probabilities: Array, said: NDArray[Any] | None = None) -> float:
    """Expected calibration error of the label that is given; for ``multi`` of every label of every clip.

    Args:
        task: with ``soft`` only clips count where one label has most votes; NaN where there is none.
        target, probabilities: ``[N, C]``.
        said: ``[N]`` columns of the labels that are given; left out, the most probable ones.
    """
    if task == "multi":
        return calibration_gap(probabilities.ravel(), target.ravel() > 0.5)
    clear = clear_clips(task, target)
    if not clear.any():
        return float("nan")
    p, truth = probabilities[clear], target[clear].argmax(axis=1)
    if said is None:
        return expected_calibration_error(p, truth)
    given = said[clear]
    return calibration_gap(p[np.arange(len(p)), given], given == truth)


def mean_loss(task: str, target: Array, probabilities: Array) -> float:
    """Cross-entropy a clip; for ``multi`` binary cross-entropy a label. Nats.

    For ``dimensions`` the mean over these of the squared error and one minus the concordance, as they are trained.

    Args:
        task: ``single``, ``soft``, ``multi`` or ``dimensions``.
        target: ``[N, C]``; of dimensions NaN where unknown.
        probabilities: ``[N, C]``, or values of dimensions.
    """
    if task == "dimensions":
        truth, said = scored(task, target, probabilities)
        figures = dimensions_measure().plain(truth, said)
        return float(np.nanmean(np.nanmean((truth - said) ** 2, axis=0)) + 1 - figures["ccc"])
    p = np.clip(probabilities, SMALLEST, 1)
    if task != "multi":
        return float(-(target * np.log(p)).sum(axis=1).mean())
    rest = np.clip(1 - probabilities, SMALLEST, 1)
    return float(-(target * np.log(p) + (1 - target) * np.log(rest)).mean())
