"""Membership inference: the likelihood-ratio attack with shadow models (LiRA; Carlini et al. 2022).

For each clip, shadow models that were trained on it and shadow models that were not give two normal distributions of
how well a model fits the clip. The score of the clip is the log of the likelihood ratio of the attacked model's fit.
With few shadow models the variances are estimated over all clips together, as the paper does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.metrics.intervals import bootstrap_weights, resampled_interval

#: Share of false positives at which the true positives are reported.
FALSE_POSITIVES = 0.01
#: Fewest clips or people that were not trained on for a share of false positives as small as that.
FEWEST_OTHERS = 100
_RESAMPLES = 1000
#: Variances below this count as this, so that a clip that all models fit equally well decides nothing.
_LEAST_VARIANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Inferred:
    """How well members are told from others.

    Args:
        auc: area under the ROC curve; 0.5 is chance.
        auc_interval: 95% interval over people.
        tpr: share of members found at a share of at most :data:`FALSE_POSITIVES` false positives; NaN with fewer than
            :data:`FEWEST_OTHERS` others.
        tpr_interval: 95% interval over people; NaN without ``tpr``.
    """

    auc: float
    auc_interval: tuple[float, float]
    tpr: float
    tpr_interval: tuple[float, float]


def likelihood_ratios(fit: Array, shadows: Array, inside: NDArray[np.bool_]) -> Array:
    """The scores of the attack.

    Args:
        fit: ``[N]`` fit of the attacked model, such as the log-odds of the true label.
        shadows: ``[S, N]`` fit of the shadow models.
        inside: ``[S, N]`` whether a shadow model was trained on the clip; each clip needs one that was and one that was
            not.

    Returns:
        ``[N]``; higher means that the clip is more likely a member.
    """
    logs = []
    for chosen in (inside, ~inside):
        count = chosen.sum(axis=0)
        mean = np.where(chosen, shadows, 0.0).sum(axis=0) / count
        squares = (np.where(chosen, shadows - mean, 0.0) ** 2).sum()
        freedom = max(int((count - 1).sum()), 1)
        # The mean of few models is uncertain itself, which widens the distribution of a further model.
        variance = max(squares / freedom, _LEAST_VARIANCE) * (1 + 1 / count)
        logs.append(-0.5 * ((fit - mean) ** 2 / variance + np.log(variance)))
    return np.asarray(logs[0] - logs[1])


def inference(
    scores: Array, member: NDArray[np.bool_], owner: NDArray[np.int64], *, resamples: int = _RESAMPLES, seed: int = 0
) -> Inferred:
    """Measure how well scores separate members from others.

    Intervals rest on the smaller of the two groups: 12 people in training and 3 outside are 3 trials, not 15.

    Args:
        scores: ``[N]`` of one attacked model, or ``[K, N]`` of several, whose figures are averaged.
        member: whether the model was trained on the clip, of the same shape.
        owner: ``[N]`` person of each clip.
        resamples: number of bootstrap resamples of people.
        seed: random seed of the resamples.

    Returns:
        The figures and their intervals.
    """
    models, inside = np.atleast_2d(scores), np.atleast_2d(member)
    weights = bootstrap_weights(int(owner.max()) + 1, resamples, seed)
    found = np.array([_separation(s, m, weights[:, owner]) for s, m in zip(models, inside, strict=True)])
    with np.errstate(invalid="ignore"):
        auc, tpr = found.mean(axis=0)
    if (~inside).sum(axis=1).min() < FEWEST_OTHERS:
        tpr = np.full_like(tpr, np.nan)
    people = min(len(np.unique(owner[chosen])) for member_of in inside for chosen in (member_of, ~member_of))
    return Inferred(float(auc[0]), resampled_interval(auc, people), float(tpr[0]), resampled_interval(tpr, people))


def _separation(scores: Array, member: NDArray[np.bool_], weights: Array) -> Array:
    """``[2, B]``: area under the ROC curve, and true positives at few false positives.

    Args:
        scores: ``[N]``.
        member: ``[N]``.
        weights: ``[B, N]`` of the clips.
    """
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(-scores[order], prepend=-np.inf) > 0)
    rates = []
    for chosen in (member, ~member):
        sums = np.add.reduceat((weights * chosen)[:, order], starts, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            rates.append(np.cumsum(sums, axis=1) / sums.sum(axis=1, keepdims=True))
    true, false = (np.pad(rate, ((0, 0), (1, 0))) for rate in rates)
    auc = (np.diff(false, axis=1) * (true[:, 1:] + true[:, :-1]) / 2).sum(axis=1)
    allowed = np.where(false <= FALSE_POSITIVES + 1e-12, true, 0.0).max(axis=1)
    undefined = np.isnan(auc)
    return np.stack([auc, np.where(undefined, np.nan, allowed)])
