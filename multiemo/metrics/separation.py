"""How well a score separates two kinds of pairs of clips, with an interval over speakers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.metrics.intervals import bootstrap_weights, clusters_of, degrees, effective, quantile, standard_error
from multiemo.metrics.measures import SHARE, unanimous


def separation(
    low_scores: Array,
    low_speakers: NDArray[np.str_],
    high_scores: Array,
    high_speakers: tuple[NDArray[np.str_], NDArray[np.str_]],
    *,
    resamples: int = 200,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Area under the ROC curve, and the ends of its 95% interval over speakers.

    The area is the probability that a score of the second kind exceeds one of the first (ties count half). A pair that
    combines clips of two speakers counts in a resample as often as the product of how often each was drawn. The
    interval rests on the smallest of three groups: speakers of the first kind, and those of the first and of the second
    clips of the second kind.

    Args:
        low_scores: ``[N]`` scores that should be low.
        low_speakers: ``[N]`` their speakers.
        high_scores: ``[K]`` scores that should be high.
        high_speakers: ``[K]`` speakers of the first and of the second clip of each.
        resamples: number of bootstrap resamples.
        seed: random seed of the resamples.

    Returns:
        Area, lower end, upper end.
    """
    count, (first, second) = len(low_scores), high_speakers
    if len(np.unique(low_speakers)) > 1:
        owner = clusters_of(np.concatenate([low_speakers, first, second]))
    else:  # one speaker: the interval is over clips of each kind
        owner = np.arange(count + 2 * len(first))
        owner[count + len(first) :] = owner[count : count + len(first)]
    own, a, b = owner[:count], owner[count : count + len(first)], owner[count + len(first) :]
    order = np.argsort(low_scores, kind="stable")
    ranked = low_scores[order]
    below = np.searchsorted(ranked, high_scores, "left"), np.searchsorted(ranked, high_scores, "right")
    values = []
    for weights in bootstrap_weights(int(owner.max()) + 1, resamples, seed):
        sums = np.concatenate([[0.0], np.cumsum(weights[own][order])])
        pairs = np.where(a == b, weights[a], weights[a] * weights[b])
        total = pairs.sum() * sums[-1]
        values.append(float(pairs @ (sums[below[0]] + sums[below[1]]) / 2 / total) if total > 0 else np.nan)
    value, fewest = values[0], min((own, a, b), key=effective)
    error = standard_error(np.array(values[1:]), len(np.unique(fewest)))
    if error == 0 or SHARE.is_end(value):
        return (value, *unanimous(value, 0.0, 1.0, effective(fewest), 0.95))
    if not np.isfinite(error):
        return value, 0.0, 1.0
    return (value, *SHARE.around(value, error * quantile(0.975, degrees(fewest))))
