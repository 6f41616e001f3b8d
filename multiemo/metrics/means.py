"""The mean of any value over clips, with its interval over speakers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multiemo.arrays import Array
from multiemo.metrics.intervals import (
    Estimate,
    bootstrap_weights,
    clusters_of,
    degrees,
    effective,
    quantile,
    standard_error,
)
from multiemo.metrics.measures import ratio, unanimous, weighted_sums


def mean_estimate(
    values: Array,
    speakers: Sequence[str],
    *,
    low: float = -np.inf,
    high: float = np.inf,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Mean of a value over clips, with an interval over speakers as in :func:`multiemo.metrics.estimates`.

    With a single speaker, the interval is over its clips and applies to that speaker only. If all speakers have the
    same mean, the interval is an exact binomial bound, whose ends are infinite if the value has no bounds: nothing is
    known of the other people.

    Args:
        values: ``[N]``; NaN where a clip has no value.
        speakers: ``[N]`` speaker of each clip.
        low: smallest possible value.
        high: largest possible value.
        level: confidence level of the interval, 0..1.
        resamples: number of bootstrap resamples.
        seed: random seed of the resamples.

    Raises:
        ValueError: no clip has a value.

    Example:
        >>> found = mean_estimate(np.array([1.0, 3.0, 2.0, 4.0]), ["a", "a", "b", "b"])
        >>> found.value, found.n, found.speakers
        (2.5, 4, 2)
    """
    known = ~np.isnan(values)
    if not known.any():
        raise ValueError("no clip has a value")
    kept, names = values[known].astype(float), np.asarray(speakers)[known]
    owner = clusters_of(names)
    clusters = int(owner.max()) + 1
    sums = weighted_sums(
        np.stack([kept, np.ones_like(kept)], axis=1), owner, bootstrap_weights(clusters, resamples, seed)
    )
    means = ratio(sums[:, 0], sums[:, 1], np.nan)
    value, error = float(means[0]), standard_error(means[1:], clusters)
    if error > 0:
        half = error * quantile((1 + level) / 2, degrees(owner))
        ends = max(value - half, low), min(value + half, high)
    else:
        ends = unanimous(value, low, high, effective(owner), level)
    return Estimate(value, *ends, error, None, 1, len(kept), len(np.unique(names)))
