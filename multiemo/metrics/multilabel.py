"""Figures for clips with several labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.metrics.measures import Measure, Owners, ratio, weighted_counts, weighted_sums

#: A label is predicted if its probability is above this, unless decided labels are passed with the probabilities.
GIVEN_ABOVE = 0.5


def multi_measure() -> Measure:
    """The measure of a multi-label task.

    The truth is ``[N, C]`` (above 0.5: the clip has the label). Predictions are probabilities ``[N, C]``, or ``[N, 2
    C]`` with the decided labels in the last C columns.

    - ``map``: mean average precision over the labels that occur (area under the precision-recall steps, as in
      scikit-learn and torchmetrics).
    - ``macro_f1``: mean over the labels that occur in truth or prediction.
    - ``micro_f1``: F1 over all decisions.
    - ``wf1``: F1 weighted by the number of clips with each label.
    - ``uar``: mean recall of the labels that occur.
    - ``accuracy``: share of clips with every label right.
    """
    return Measure(_figures)


def _parts(predicted: NDArray[Any], classes: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Probabilities and decided labels, ``[N, C]`` each."""
    probabilities = predicted[:, :classes]
    return probabilities, (predicted[:, classes:] if predicted.shape[1] > classes else probabilities) > GIVEN_ABOVE


def _figures(truth: NDArray[Any], predicted: NDArray[Any], owner: Owners, weights: Array) -> dict[str, Array]:
    has = truth > 0.5
    predicted, given = _parts(predicted, truth.shape[1])
    right = (has == given).all(axis=1, keepdims=True)
    rows = np.concatenate([has & given, given, has, right, np.ones_like(right)], axis=1).astype(float)
    sums = weighted_sums(rows, owner, weights)
    hits, predictions, support = np.split(sums[:, :-2], 3, axis=1)
    return {
        "map": _mean_average_precision(has, predicted, owner, weights),
        **counted(hits, predictions, support),
        "accuracy": ratio(sums[:, -2], sums[:, -1]),
    }


def counted(hits: Array, predictions: Array, support: Array) -> dict[str, Array]:
    """The figures that depend only on counts per label.

    Args:
        hits: ``[B, C]`` correct predictions of each label.
        predictions: ``[B, C]`` predictions of each label.
        support: ``[B, C]`` clips with each label.

    Returns:
        {figure: ``[B]``}.
    """
    f1 = ratio(2 * hits, predictions + support)
    return {
        "macro_f1": ratio(f1.sum(1), (predictions + support > 0).sum(1).astype(float)),
        "micro_f1": ratio(2 * hits.sum(1), (predictions + support).sum(1)),
        "wf1": ratio((f1 * support).sum(1), support.sum(1)),
        "uar": ratio(ratio(hits, support).sum(1), (support > 0).sum(1).astype(float)),
    }


def per_label(truth: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Array]:
    """As :func:`multiemo.metrics.per_class`, with the average precision (``ap``, NaN for a label that never occurs).

    Args:
        truth: ``[N, C]``, as in :func:`multi_measure`.
        predicted: ``[N, C]`` or ``[N, 2 C]``, as in :func:`multi_measure`.

    Returns:
        {figure: ``[C]``}.
    """
    has = truth > 0.5
    predicted, given = _parts(predicted, truth.shape[1])
    hits, predictions, support = (has & given).sum(0), given.sum(0), has.sum(0).astype(float)
    once = np.zeros(len(truth), dtype=np.int64), np.ones((1, 1))
    return {
        "recall": ratio(hits, support, np.nan),
        "precision": ratio(hits, predictions, np.nan),
        "f1": ratio(2 * hits, predictions + support, np.nan),
        "support": support,
        "ap": np.array([average_precision(has[:, c], predicted[:, c], *once)[0] for c in range(truth.shape[1])]),
    }


def average_precision(truth: NDArray[np.bool_], scores: Array, owner: Owners, weights: Array) -> Array:
    """Average precision of one label: mean precision at the scores of the clips with the label.

    Clips with equal scores are ranked together.

    Args:
        truth: ``[N]``, whether a clip has the label.
        scores: ``[N]`` scores of the label.
        owner: ``[N]`` cluster of each clip.
        weights: ``[B, G]`` weights of the clusters, whole numbers.

    Returns:
        ``[B]``; NaN if no clip has the label.
    """
    steps = np.unique(-scores[truth])  # thresholds at which precision is computed, from the highest score down
    if not len(steps):
        return np.full(len(weights), np.nan)
    place = np.searchsorted(steps, -scores)  # the first threshold that includes the clip
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
