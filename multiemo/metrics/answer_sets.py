"""Figures for answers that are sets of groups: the measures of open-vocabulary emotion recognition."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.metrics.measures import Measure, Owners, ratio, weighted_sums

#: The figures of :func:`set_measure`, in order.
SET_FIGURES = ("hit", "precision", "recall", "f1")


def set_measure() -> Measure:
    """The measure of answers that are sets of groups.

    Truth and predictions are ``[N, G]`` (above 0.5: the group is in the set), with at least one true group for every
    clip. Precision, recall and F are those of OV-MER (Lian et al. 2024), the hit rate is that of MER-UniBench (Lian et
    al. 2025):

    - ``hit``: share of clips of which a true group is predicted.
    - ``precision``: mean share of the predicted groups that are true; 0 for an empty set.
    - ``recall``: mean share of the true groups that are predicted.
    - ``f1``: harmonic mean of these two means.
    """
    return Measure(_figures)


def _figures(truth: NDArray[Any], predicted: NDArray[Any], owner: Owners, weights: Array) -> dict[str, Array]:
    has, given = truth > 0.5, predicted > 0.5
    shared, true, said = ((has & given).sum(1), has.sum(1), given.sum(1))
    rows = np.stack([shared > 0, ratio(shared, said), ratio(shared, true), np.ones(len(has))], axis=1).astype(float)
    sums = weighted_sums(rows, owner, weights)
    hit, precision, recall = ratio(sums[:, :3], sums[:, 3:]).T
    f1 = ratio(2 * precision * recall, precision + recall)
    return dict(zip(SET_FIGURES, (hit, precision, recall, f1), strict=True))
