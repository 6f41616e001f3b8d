"""Figures for crowd votes: distances between the predicted distribution and the distribution of votes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array, has_winner
from multiemo.metrics.figures import FIGURES, confusions
from multiemo.metrics.measures import POSITIVE, Measure, Owners, ratio, weighted_sums

#: Probabilities are clipped to this minimum, so a vote for a label with probability 0 costs 28 nats, not infinity.
SMALLEST = 1e-12


def vote_measure(classes: int) -> Measure:
    """The measure of a soft-label task.

    The truth is ``[N, C]`` shares of votes. Predictions are probabilities ``[N, C]``, or ``[N, C + 1]`` with the index
    of the decided label in the last column. These figures are means over clips:

    - ``cross_entropy``: in nats (Peterson et al. 2019; the soft evaluation of Uma et al. 2021).
    - ``kl``: Kullback-Leibler divergence of the prediction from the votes, nats: the cross-entropy minus the entropy of
      the votes, so that it can reach 0.
    - ``js``: Jensen-Shannon divergence, bits, 0..1 (Lin 1991, Uma et al. 2021).
    - ``cosine``: cosine similarity, 0..1 (Geng 2016).

    The single-label figures (``uar`` and others) compare the decided label (by default the most probable one) with the
    label that has the most votes, on the clips in which votes are not tied; they are NaN without such clips.

    Args:
        classes: number of labels C.
    """

    def measure(truth: NDArray[Any], predicted: NDArray[Any], owner: Owners, weights: Array) -> dict[str, Array]:
        decided = predicted[:, classes].astype(np.int64) if predicted.shape[1] > classes else predicted.argmax(1)
        predicted = predicted[:, :classes]
        sums = weighted_sums(
            np.concatenate([_distances(truth, predicted), np.ones((len(truth), 1))], 1), owner, weights
        )
        means = ratio(sums[:, :-1].T, sums[:, -1], np.nan)
        clear = has_winner(truth)
        matrices = confusions(truth[clear].argmax(1), decided[clear], classes, owner[clear], weights)
        some = matrices.sum((1, 2)) > 0
        return {
            **{name: np.where(some, figure(matrices), np.nan) for name, figure in FIGURES.items()},
            **dict(zip(("cross_entropy", "kl", "js", "cosine"), means, strict=True)),
        }

    return Measure(measure, {"cross_entropy": POSITIVE, "kl": POSITIVE})


def _distances(votes: Array, predicted: Array) -> Array:
    """``[N, 4]``: cross-entropy, Kullback-Leibler, Jensen-Shannon, cosine."""
    p = np.clip(predicted, SMALLEST, None)
    cross, own = -(votes * np.log(p)).sum(1), -_plogp(votes).sum(1)
    middle = (votes + p) / 2
    shared = (_plogp(votes) + _plogp(p) - 2 * _plogp(middle)).sum(1) / (2 * np.log(2))
    cosine = ratio((votes * p).sum(1), np.linalg.norm(votes, axis=1) * np.linalg.norm(p, axis=1))
    return np.stack([cross, np.maximum(cross - own, 0), np.clip(shared, 0, 1), np.minimum(cosine, 1)], axis=1)


def _plogp(p: Array) -> Array:
    return p * np.log(np.where(p > 0, p, 1))
