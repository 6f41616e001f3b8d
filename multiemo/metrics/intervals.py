"""Figures with their intervals over speakers, of one run or averaged over runs of several seeds.

The interval is about speakers like these, not about these alone: whole speakers are drawn with replacement (cluster
bootstrap; Davison & Hinkley 1997, section 3.8), and the spread of the figure over the draws is its standard error. The
percentiles of the draws would make far too narrow an interval where speakers are few (three speakers: 69% to 76% of
nominal 95% intervals hold the truth). So the interval is Student's t times the standard error, on the figure's own
scale (a logit for shares), with as many degrees of freedom as there are effective speakers less one (Carter, Schnepel &
Steigerwald 2017): speakers of very different size are worth fewer. Where all speakers show the same (all clips right),
there is no spread to go by, and the interval is what so few can rule out
(:func:`multiemo.metrics.measures.unanimous`). ``tests/metrics/test_intervals.py`` measures the coverage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.metrics.figures import label_measure, uar
from multiemo.metrics.measures import Measure, Owners, Scale, unanimous

#: With fewer speakers than this a report says how few its intervals rest on.
FEW_SPEAKERS = 20
#: Figures of resamples that differ by less are the same.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and how sure it is.

    Args:
        value: the figure; with several runs, its mean over them.
        low, high: interval over speakers. It is about other speakers and these trained models: with several runs, about
            the mean of these runs.
        error: standard error of the value over speakers; 0 where all show the same.
        deviation: standard deviation over runs (n - 1); ``None`` for a single run.
        runs, n, speakers: runs, clips usable in any of them, and speakers of these clips.
    """

    value: float
    low: float
    high: float
    error: float
    deviation: float | None
    runs: int
    n: int
    speakers: int


def estimates(
    measure: Measure,
    truth: NDArray[Any],
    predicted: NDArray[Any],
    speakers: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Every figure of a measure with its interval over speakers.

    Where a benchmark tests each clip once per seed (K folds, R seeds), hand in the predictions pooled over the folds,
    ``[R, N]``: speakers are resampled, and the runs averaged within each resample as repeated measures of one clip.
    A single speaker cannot be resampled: the interval is then over the clips, and about that speaker alone.

    Args:
        measure: of the task.
        truth: ``[N, ...]``.
        predicted: ``[N, ...]`` of one run, or ``[R, N, ...]`` of several on the same clips; -1 or NaN where a run has
            no prediction for a clip.
        speakers: ``[N]``.
        level: of the interval.
        resamples: bootstrap resamples.
        seed: of the resamples.

    Returns:
        {figure: estimate}.

    Raises:
        ValueError: a run has no usable clip.
    """
    runs = as_runs(truth, predicted)
    usable = usable_clips(runs)
    some = usable.any(axis=0)
    check_usable(usable)
    names = np.asarray(speakers)[some]
    owner = clusters_of(names)
    weights = bootstrap_weights(int(owner.max()) + 1, resamples, seed)
    values = by_run(measure, truth[some], runs[:, some], usable[:, some], owner, weights)
    found = {}
    for name, value in values.items():
        each, mean = value[:, 0], value.mean(axis=0)
        error = standard_error(mean[1:], len(weights[0]))
        low, high = _ends(measure.scale(name), float(mean[0]), error, owner, level)
        deviation = float(each.std(ddof=1)) if len(each) > 1 else None
        found[name] = Estimate(
            float(mean[0]), low, high, error, deviation, len(each), len(names), len(np.unique(names))
        )  # fmt: skip
    return found


def _ends(scale: Scale, value: float, error: float, owner: Owners, level: float) -> tuple[float, float]:
    """Low and high; NaN where the figure is not defined."""
    if np.isnan(value):
        return value, value
    if error == 0 or scale.is_end(value):
        return unanimous(value, scale.low, scale.high, effective(owner), level)
    return scale.around(value, error * quantile((1 + level) / 2, degrees(owner)))


def interval(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    speakers: Sequence[str],
    classes: int,
    figure: Callable[[Array], Array] = uar,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """The interval of one figure of a single-label task; see :func:`estimates`.

    Args:
        truth: ``[N]`` columns.
        predicted: ``[N]``, or ``[R, N]`` of several runs.
        speakers: ``[N]``.
        classes: C.
        figure: maps confusion matrices ``[..., C, C]`` to ``[...]``.
        level: of the interval, 0..1.
        resamples: bootstrap draws.
        seed: of the draws.
    """
    measure = label_measure(classes, {"figure": figure})
    found = estimates(measure, truth, predicted, speakers, level=level, resamples=resamples, seed=seed)["figure"]
    return found.low, found.high


# --------------------------------------------------------------------------------------------------------------------
# What intervals and tests share


def as_runs(truth: NDArray[Any], predicted: NDArray[Any]) -> NDArray[Any]:
    """Predictions of one run ``[N, ...]`` or several ``[R, N, ...]`` as ``[R, N, ...]``."""
    return predicted[None] if predicted.ndim == truth.ndim else predicted


def usable_clips(predicted: NDArray[Any]) -> NDArray[np.bool_]:
    """``[R, N]``: false where a prediction is missing, -1 (columns) or NaN (scores)."""
    known = predicted >= 0 if np.issubdtype(predicted.dtype, np.integer) else ~np.isnan(predicted)
    return np.asarray(known.all(axis=tuple(range(2, known.ndim))))


def check_usable(usable: NDArray[np.bool_]) -> None:
    """Refuse a run without a clip.

    Raises:
        ValueError: names the run.
    """
    if not usable.any(axis=1).all():
        raise ValueError(f"run {int(np.argmin(usable.any(axis=1)))} has no usable clip")


def clusters_of(speakers: NDArray[Any]) -> Owners:
    """``[N]`` which cluster each clip belongs to: its speaker; its own where there is only one speaker."""
    names, owner = np.unique(speakers, return_inverse=True)
    return np.arange(len(owner)) if len(names) == 1 else owner.astype(np.int64)


def bootstrap_weights(clusters: int, resamples: int, seed: int) -> Array:
    """How often each cluster is drawn, ``[1 + B, G]``; the first row is the sample itself.

    Args:
        clusters: G.
        resamples: draws.
        seed: of the draws.
    """
    drawn = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
    return np.concatenate([np.ones((1, clusters)), drawn])


def by_run(
    measure: Measure,
    truth: NDArray[Any],
    predicted: NDArray[Any],
    usable: NDArray[np.bool_],
    owner: Owners,
    weights: Array,
) -> dict[str, Array]:
    """{figure: ``[R, B]``}: the measure of every run on the clips that are usable in it; NaN where none is drawn.

    Args:
        measure: of the task.
        truth: ``[N, ...]``.
        predicted: ``[R, N, ...]``.
        usable: ``[R, N]``, whether a run has a prediction of the clip.
        owner: ``[N]`` cluster of each clip.
        weights: ``[B, G]``.
    """
    runs = []
    for said, rows in zip(predicted, usable, strict=True):
        drawn = weights @ np.bincount(owner[rows], minlength=weights.shape[1]) > 0
        figures = measure.figures(truth[rows], said[rows], owner[rows], weights)
        runs.append({name: np.where(drawn, values, np.nan) for name, values in figures.items()})
    return {name: np.stack([run[name] for run in runs]) for name in runs[0]}


def standard_error(values: Array, clusters: int) -> float:
    """From the figure in every resample; infinite where one cluster is all there is, 0 where all show the same.

    Drawing G clusters shows (G - 1) / G of the unbiased variance of a mean of G.
    """
    known = values[~np.isnan(values)]
    if clusters < 2 or not len(known):
        return float("inf")
    if np.ptp(known) < _ROUNDING:
        return 0.0
    return float(known.std() * np.sqrt(clusters / (clusters - 1)))


def degrees(owner: Owners) -> float:
    """Degrees of freedom: the effective number of clusters less one; at least one.

    Example:
        >>> degrees(np.array([0, 0, 1, 1, 2, 2])), round(degrees(np.array([0, 0, 0, 0, 1, 2, 2])), 2)
        (2.0, 1.33)
    """
    return max(effective(owner) - 1, 1.0)


def effective(owner: Owners) -> float:
    """Effective number of clusters, ``n^2 / sum of squared sizes``: as many as there are, where all are of one size."""
    sizes = np.bincount(owner).astype(float)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def quantile(share: float, freedom: float) -> float:
    """Of Student's t distribution."""
    from scipy.special import stdtrit  # slow to import, and a model that predicts has no interval

    return float(stdtrit(freedom, share))
