"""Figures where a clip may have several labels at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.metrics.measures import Measure, Owners, ratio, weighted_counts, weighted_sums

#: A label is given where its probability is above this, unless it is said beside the probabilities which are given.
GIVEN_ABOVE = 0.5


def multi_measure() -> Measure:
    """The measure of a multi-label task, truth ``[N, C]`` (above a half: the clip has it) and probabilities ``[N, C]``,
    or beside them ``[N, 2 C]`` which labels are given.

    ``map``: mean over the labels that occur of their average precision (the area under the precision-recall steps, as
    scikit-learn and torchmetrics have it); ``macro_f1`` over the labels that occur in truth or prediction;
    ``micro_f1``; ``wf1``, weighted by how often a label occurs; ``uar``, mean recall of the labels that occur;
    ``accuracy``, share of clips whose labels are all right.
    """
    return Measure(_figures)


def _parts(predicted: NDArray[Any], classes: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Probabilities, and which labels are given, ``[N, C]`` each."""
    probabilities = predicted[:, :classes]
    return probabilities, (predicted[:, classes:] if predicted.shape[1] > classes else probabilities) > GIVEN_ABOVE


def _figures(truth: NDArray[Any], predicted: NDArray[Any], owner: Owners, weights: Array) -> dict[str, Array]:
    has = truth > 0.5
    predicted, given = _parts(predicted, truth.shape[1])
    right = (has == given).all(axis=1, keepdims=True)
    rows = np.concatenate([has & given, given, has, right, np.ones_like(right)], axis=1).astype(float)
    sums = weighted_sums(rows, owner, weights)
    hits, said, support = np.split(sums[:, :-2], 3, axis=1)
    return {
        "map": _mean_average_precision(has, predicted, owner, weights),
        **counted(hits, said, support),
        "accuracy": ratio(sums[:, -2], sums[:, -1]),
    }


def counted(hits: Array, said: Array, support: Array) -> dict[str, Array]:
    """The figures of counts a label: rightly given, given, and occurring, each ``[B, C]``; every result ``[B]``.

    Args:
        hits, said, support: ``[B, C]``.
    """
    f1 = ratio(2 * hits, said + support)
    return {
        "macro_f1": ratio(f1.sum(1), (said + support > 0).sum(1).astype(float)),
        "micro_f1": ratio(2 * hits.sum(1), (said + support).sum(1)),
        "wf1": ratio((f1 * support).sum(1), support.sum(1)),
        "uar": ratio(ratio(hits, support).sum(1), (support > 0).sum(1).astype(float)),
    }


def per_label(truth: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Array]:
    """As :func:`multiemo.metrics.per_class`, and the average precision (``ap``, NaN for a label that never occurs)."""
    has = truth > 0.5
    predicted, given = _parts(predicted, truth.shape[1])
    hits, said, support = (has & given).sum(0), given.sum(0), has.sum(0).astype(float)
    once = np.zeros(len(truth), dtype=np.int64), np.ones((1, 1))
    return {
        "recall": ratio(hits, support),
        "precision": ratio(hits, said),
        "f1": ratio(2 * hits, said + support),
        "support": support,
        "ap": np.array([average_precision(has[:, c], predicted[:, c], *once)[0] for c in range(truth.shape[1])]),
    }


def average_precision(truth: NDArray[np.bool_], scores: Array, owner: Owners, weights: Array) -> Array:
    """Mean precision at the scores of the clips that have the label; clips of one score come in together.

    Args:
        truth: ``[N]``, which clips have the label.
        scores: ``[N]``.
        owner: ``[N]`` cluster of each clip.
        weights: ``[B, G]``, whole numbers.

    Returns:
        ``[B]``; NaN where no clip has the label.
    """
    steps = np.unique(-scores[truth])  # where precision is read, from the highest score down
    if not len(steps):
        return np.full(len(weights), np.nan)
    place = np.searchsorted(steps, -scores)  # the first step that holds the clip
    shape = (weights.shape[1], len(steps) + 1)
    cell = owner * shape[1] + place
    every, having = (np.bincount(c, minlength=shape[0] * shape[1]).reshape(shape)[:, :-1] for c in (cell, cell[truth]))
    own = weighted_counts(having, weights)
    total = weighted_counts(every.cumsum(axis=1), weights)
    precision = ratio(own.cumsum(axis=1), total)
    return ratio((own * precision).sum(1), own.sum(1), np.nan)


def _mean_average_precision(has: NDArray[np.bool_], scores: Array, owner: Owners, weights: Array) -> Array:
    each = np.stack([average_precision(has[:, c], scores[:, c], owner, weights) for c in range(has.shape[1])])
    known = ~np.isnan(each)
    return ratio(np.where(known, each, 0).sum(0), known.sum(0).astype(float), np.nan)
