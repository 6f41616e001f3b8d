"""Figures of answers as sets of groups of emotion words, for free words beside the labels of runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.benchmark.imported.reading import ImportedPredictions
from multiemo.benchmark.imported.records import AnswerSetFigures
from multiemo.benchmark.predictions import Predictions
from multiemo.metrics import clear_clips, estimates, set_measure
from multiemo.types import Task


def answer_set_figures(
    runs: Sequence[Predictions],
    imported: Sequence[ImportedPredictions],
    labels: Sequence[str],
    task: Task,
    answered: NDArray[np.bool_],
) -> dict[str, AnswerSetFigures]:
    """Measure every system's answers as sets; a label is a set of one group.

    Args:
        runs: predictions of runs, on all test clips.
        imported: predictions of other systems, on the same clips.
        labels: labels of the set, in order.
        task: ``single``, ``soft`` (the label with most votes is the truth) or ``multi``.
        answered: ``[N]``, the clips to compare.

    Returns:
        {system: figures of its largest subset, over the clips with a true label}.
    """
    target = runs[0].target
    truth = np.asarray(target > 0.5 if task == "multi" else target.argmax(1)[:, None] == np.arange(len(labels)))
    rows = answered & clear_clips(task, target) & truth.any(axis=1)
    others = sorted({g for found in imported for groups in (found.groups or {}).values() for g in groups} - set(labels))
    found = {run.name: _sets_of_labels(run, len(labels), task) for run in runs}
    for system in imported:
        own = _sets_of_labels(system.predictions, len(labels), task)
        extra = np.zeros((*own.shape[:2], len(others)))
        sets = np.concatenate([own, extra], axis=2)
        if system.groups is not None:
            _fill(sets[0], system.predictions.ids, system.groups, [*labels, *others])
        found[system.predictions.name] = sets
    speakers = [name for name, kept in zip(runs[0].speakers, rows, strict=True) if kept]
    return {name: _figures(truth[rows], sets[:, rows], speakers) for name, sets in found.items()}


def _sets_of_labels(system: Predictions, classes: int, task: Task) -> Array:
    """``[R, N, C]`` zeros and ones of the decided labels; NaN where a clip has no prediction."""
    decided = system.labels(system.full, task)
    sets = np.asarray(decided if task == "multi" else np.equal(decided[..., None], np.arange(classes)), dtype=float)
    missing = np.asarray(np.isnan(system.probabilities[system.full]).any(axis=2))
    return np.where(missing[..., None], np.nan, sets)


def _fill(sets: Array, ids: Sequence[str], groups: Mapping[str, Collection[str]], names: Sequence[str]) -> None:
    """Replace the sets of the clips whose answers are sets, in place.

    Args:
        sets: ``[N, G]``.
        ids: the N clips.
        groups: {clip: its groups}.
        names: the G groups.
    """
    for row, clip in enumerate(ids):
        if clip in groups:
            sets[row] = [name in groups[clip] for name in names]


def _figures(truth: NDArray[np.bool_], sets: Array, speakers: Sequence[str]) -> AnswerSetFigures:
    """The figures of one system.

    Args:
        truth: ``[N, C]``.
        sets: ``[R, N, G]``, whose first C groups are the labels.
        speakers: speaker of each clip.
    """
    padded = np.pad(truth.astype(float), ((0, 0), (0, sets.shape[2] - truth.shape[1])))
    found = estimates(set_measure(), padded, sets, speakers)
    values: dict[str, Any] = {name: estimate.value for name, estimate in found.items()}
    values |= {f"{name}_ci": [estimate.low, estimate.high] for name, estimate in found.items()}
    sizes = sets.sum(axis=2)
    known = ~np.isnan(sizes)
    return AnswerSetFigures.of(
        values,
        n=next(iter(found.values())).n,
        size=round(float(sizes[known].mean()), 4),
        empty=int((sizes[0] == 0).sum()),
    )
