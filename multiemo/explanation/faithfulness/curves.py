"""Checks of the scores of one view of one clip: parts are removed in the order of the scores, and the model is asked.

All removals of a check go through the encoder together; equal ones only once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multiemo.arrays import Array
from multiemo.explanation.attribution import scores_without
from multiemo.explanation.evidence.base import PartView
from multiemo.explanation.target import ClipTarget

#: Points of a curve besides the unchanged input; a view with fewer parts has one point per part.
STEPS = 10
#: Random orders whose mean is the control.
RANDOM_ORDERS = 5
#: Shares of the parts that comprehensiveness and sufficiency remove or keep (a subset of those of DeYoung et al. 2020).
SHARES = (0.1, 0.2, 0.5)
#: Up to this many parts, all orders are enumerated.
_ENUMERATED = 7


@dataclass(frozen=True, slots=True)
class CurveFigures:
    """How scores fare when parts are removed; the members are those of :class:`ViewFaithfulness`, for one clip."""

    deletion: float
    deletion_over_magnitude: float
    insertion: float
    insertion_over_magnitude: float
    comprehensiveness: float
    sufficiency: float


def curve_figures(view: PartView, target: ClipTarget, scores: Tensor, seed: int) -> CurveFigures:
    """Remove parts of a view in the order of its scores, in random orders and in that of the magnitudes.

    The *deletion curve* of an order is the log-odds of the label by the share of parts that have been removed, the
    first of the order first (Petsiuk et al. 2018; Samek et al. 2017). The *insertion curve* is that by the share of
    parts that are kept. Areas under them are trapezoids over 0..1. ::

        deletion  = mean over random orders of area(order) - area(highest score first)
        insertion = area of insertion(highest score first) - mean over random orders of the same

    Keeping the first k parts of an order is the same as removing all others, so the insertion curve of an order is the
    deletion curve of its reverse, read backwards, with the same area. The same random orders serve both.

    *Comprehensiveness* and *sufficiency* (ERASER, DeYoung et al. 2020) are the falls of the label's probability
    without, and with only, the highest 10, 20 and 50% of the parts (at least one), averaged over the three.

    Args:
        view: its parts; at least two.
        target: what is explained.
        scores: ``[U]`` score of each part.
        seed: seed of the random orders, and of the order among equal scores.
    """
    count = len(view.parts)
    random = np.random.default_rng(seed)
    ties = random.permutation(count)
    ours, largest = ranking(_array(scores), ties), ranking(_array(view.magnitude()), ties)
    orders = [ours, ours[::-1], largest, largest[::-1], *(random.permutation(count) for _ in range(RANDOM_ORDERS))]
    sizes = np.unique(np.round(np.linspace(0, count, min(count, STEPS) + 1)).astype(int))
    tops = [min(max(1, int(np.ceil(share * count - 1e-9))), count - 1) for share in SHARES]
    gone = np.zeros((len(orders) * len(sizes) + 2 * len(tops), count), dtype=bool)
    for i, order in enumerate(orders):
        for j, size in enumerate(sizes):
            gone[i * len(sizes) + j, order[:size]] = True
    for i, top in enumerate(tops):
        gone[-1 - 2 * i, ours[:top]] = True
        gone[-2 - 2 * i, ours[top:]] = True
    values = removal_scores(view, target, torch.from_numpy(gone))
    curves = values[: len(orders) * len(sizes)].reshape(len(orders), len(sizes))
    first, last, large, small, *drawn = torch.trapezoid(curves, torch.from_numpy(sizes / count), dim=1).tolist()
    chance = float(np.mean(drawn))
    falls = target.probability(values[0]) - target.probability(values[len(orders) * len(sizes) :])
    return CurveFigures(
        deletion=chance - first,
        deletion_over_magnitude=large - first,
        insertion=last - chance,
        insertion_over_magnitude=last - small,
        comprehensiveness=float(falls[1::2].mean()),
        sufficiency=float(falls[0::2].mean()),
    )


def removal_scores(view: PartView, target: ClipTarget, gone: Tensor) -> Tensor:
    """Scores ``[K]`` float64 of the label after some parts were removed, in bounded memory.

    Args:
        view: makes the changed inputs.
        target: scores them.
        gone: ``[K, U]`` bool, true for removed parts.
    """
    distinct, place = torch.unique(gone, dim=0, return_inverse=True)
    return scores_without(view, target, distinct)[place].double()


def ranking(scores: Array, ties: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the parts, highest score first.

    Args:
        scores: ``[U]``.
        ties: ``[U]`` permutation; among equal scores, the lower number comes first.

    Example:
        >>> ranking(np.array([0.1, 0.5, 0.5]), np.array([0, 2, 1])).tolist()
        [2, 1, 0]
    """
    return np.lexsort((ties, -scores))


def rank_correlation(first: Array, second: Array) -> float:
    """Spearman's rank correlation of two lists of scores; 0 if either is constant, as it then ranks nothing.

    Example:
        >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0]))
        0.5
    """
    ranks = [_mean_ranks(first), _mean_ranks(second)]
    if any(np.ptp(r) == 0 for r in ranks):
        return 0.0
    return round(float(np.corrcoef(ranks[0], ranks[1])[0, 1]), 12)


@cache
def chance_correlation(parts: int) -> float:
    """Mean absolute rank correlation of two random orders of some parts.

    Up to seven parts, the mean over all permutations; beyond, that of the normal distribution with the variance
    ``1 / (parts - 1)`` of Spearman's coefficient.

    Example:
        >>> chance_correlation(2), round(chance_correlation(3), 3), round(chance_correlation(50), 3)
        (1.0, 0.667, 0.114)
    """
    if parts > _ENUMERATED:
        return float(np.sqrt(2 / (np.pi * (parts - 1))))
    distances = ((np.array(list(permutations(range(parts)))) - np.arange(parts)) ** 2).sum(axis=1)
    return float(np.abs(1 - 6 * distances / (parts * (parts**2 - 1))).mean())


def _mean_ranks(values: Array) -> Array:
    """Ranks from 0; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts + 1) / 2)[place])


def _array(values: Tensor) -> Array:
    return values.detach().double().cpu().numpy()
