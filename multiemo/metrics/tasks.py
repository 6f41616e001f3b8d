"""What each task is measured by, and what guessing gets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.metrics.figures import FIGURES, label_measure
from multiemo.metrics.measures import Array, Measure
from multiemo.metrics.multilabel import counted, multi_measure
from multiemo.metrics.votes import has_winner, vote_measure

#: The figure that a table is read by and a comparison tests, by task.
MAIN_FIGURE = {"single": "uar", "soft": "uar", "multi": "macro_f1"}


def measure_of(task: str, classes: int) -> Measure:
    """The measure of a task (``single``, ``soft`` or ``multi``) with so many labels."""
    if task == "multi":
        return multi_measure()
    return vote_measure(classes) if task == "soft" else label_measure(classes)


def scored(task: str, target: Array, probabilities: Array) -> tuple[NDArray[Any], NDArray[Any]]:
    """Truth and predictions as the measure of the task wants them.

    Args:
        task: ``single`` takes columns, -1 where a prediction is missing; the others the values themselves.
        target: ``[N, C]``.
        probabilities: ``[N, C]``, or ``[R, N, C]`` of several runs; NaN where a run has no prediction.
    """
    if task != "single":
        return target, probabilities
    missing = np.isnan(probabilities).any(axis=-1)
    return target.argmax(axis=-1), np.where(missing, -1, np.nan_to_num(probabilities).argmax(axis=-1))


def guessing(task: str, target: Array, prior: Array) -> dict[str, float]:
    """Figures to be expected of labels drawn at random with their frequencies in train.

    F1 is that of the expected counts, which its expectation approaches with the number of clips.

    Args:
        task: ``single``, ``soft`` (labels are drawn, against the label with most votes) or ``multi`` (each label is
            drawn by itself; the expected average precision of a random order is how often the label occurs).
        target: ``[N, C]``.
        prior: ``[C]``.
    """
    if task == "multi":
        has = target > 0.5
        support = has.sum(0).astype(float)
        found = counted((support * prior)[None], (len(target) * prior)[None], support[None])
        right = np.where(has, prior, 1 - prior).prod(axis=1).mean()
        shares = support[support > 0] / max(len(target), 1)
        return {"map": float(shares.mean()), **{k: float(v[0]) for k, v in found.items()}, "accuracy": float(right)}
    truth = target[has_winner(target)].argmax(axis=1)
    matrix = np.outer(np.bincount(truth, minlength=len(prior)), prior)
    return {name: float(figure(matrix)) for name, figure in FIGURES.items()}
