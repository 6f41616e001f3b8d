"""Figures with confidence intervals over speakers, of one run or averaged over runs with several seeds.

The interval generalises to other speakers. Whole speakers are drawn with replacement (cluster bootstrap; Davison &
Hinkley 1997, section 3.8), and the standard deviation of the figure over the resamples is its standard error.
Percentiles of the resamples would give far too narrow an interval with few speakers: with three, 69% to 76% of nominal
95% intervals contain the truth. So the interval is Student's t times the standard error, on a transformed scale (logit
for shares). Its degrees of freedom are the effective number of speakers minus one (Carter, Schnepel & Steigerwald
2017), which is smaller if speakers differ much in size. If all speakers have the same figure (all clips right), the
bootstrap has no variance, and the interval is an exact binomial bound (:func:`multiemo.metrics.measures.unanimous`).
``tests/metrics/test_intervals.py`` measures the coverage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.metrics.figures import label_measure, uar
from multiemo.metrics.measures import SHARE, Measure, Owners, Scale, unanimous

#: With fewer speakers than this, a report notes that its intervals rest on few speakers.
FEW_SPEAKERS = 20
#: Figures of resamples that differ by less count as equal.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its uncertainty.

    Args:
        value: the figure; with several runs, its mean over them.
        low: lower end of the interval over speakers. The interval generalises to other speakers, but not to other
            trained models: with several runs it is that of their mean.
        high: upper end of the interval.
        error: standard error of the value over speakers; 0 if all have the same figure.
        deviation: standard deviation over runs (n - 1); ``None`` for a single run.
        runs: number of runs.
        n: number of clips usable in any run.
        speakers: number of speakers of these clips.
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

    If a benchmark tests each clip once per seed (K folds, R seeds), pass the predictions pooled over the folds,
    ``[R, N]``. Speakers are resampled, and runs are averaged within each resample as repeated measures of one clip.
    With a single speaker, the interval is over its clips and applies to that speaker only.

    Args:
        measure: measure of the task.
        truth: ``[N, ...]``.
        predicted: ``[N, ...]`` of one run, or ``[R, N, ...]`` of several on the same clips; -1 or NaN where a run has
            no prediction for a clip.
        speakers: ``[N]`` speaker of each clip.
        level: confidence level of the interval, 0..1.
        resamples: number of bootstrap resamples.
        seed: random seed of the resamples.

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


def resampled_interval(values: Array, people: int, *, level: float = 0.95) -> tuple[float, float]:
    """The interval of a share, from its values in resamples of people.

    Args:
        values: ``[1 + B]`` figure within 0..1, of the original sample and of each resample; NaN = undefined.
        people: number of people that were resampled.
        level: confidence level of the interval, 0..1.

    Returns:
        Lower and upper end; NaN if the figure is undefined.
    """
    error = standard_error(values[1:], people)
    return _ends(SHARE, float(values[0]), error, np.arange(people), level)


def _ends(scale: Scale, value: float, error: float, owner: Owners, level: float) -> tuple[float, float]:
    """Lower and upper end of an interval; NaN if the figure is undefined."""
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
        truth: ``[N]`` label indices.
        predicted: label indices, ``[N]`` of one run or ``[R, N]`` of several.
        speakers: ``[N]`` speaker of each clip.
        classes: number of labels C.
        figure: maps confusion matrices ``[..., C, C]`` to ``[...]``.
        level: confidence level of the interval, 0..1.
        resamples: number of bootstrap resamples.
        seed: random seed of the resamples.

    Returns:
        Lower and upper end.
    """
    measure = label_measure(classes, {"figure": figure})
    found = estimates(measure, truth, predicted, speakers, level=level, resamples=resamples, seed=seed)["figure"]
    return found.low, found.high


# --------------------------------------------------------------------------------------------------------------------
# Shared by intervals and tests


def as_runs(truth: NDArray[Any], predicted: NDArray[Any]) -> NDArray[Any]:
    """Predictions of one run ``[N, ...]`` or several ``[R, N, ...]`` as ``[R, N, ...]``."""
    return predicted[None] if predicted.ndim == truth.ndim else predicted


def usable_clips(predicted: NDArray[Any]) -> NDArray[np.bool_]:
    """``[R, N]``: false where a prediction is missing, which is -1 for label indices and NaN for scores."""
    known = predicted >= 0 if np.issubdtype(predicted.dtype, np.integer) else ~np.isnan(predicted)
    return np.asarray(known.all(axis=tuple(range(2, known.ndim))))


def check_usable(usable: NDArray[np.bool_]) -> None:
    """Check that every run has a usable clip.

    Raises:
        ValueError: a run has none.
    """
    if not usable.any(axis=1).all():
        raise ValueError(f"run {int(np.argmin(usable.any(axis=1)))} has no usable clip")


def clusters_of(speakers: NDArray[Any]) -> Owners:
    """``[N]`` cluster of each clip: its speaker, or the clip itself if there is only one speaker."""
    names, owner = np.unique(speakers, return_inverse=True)
    return np.arange(len(owner)) if len(names) == 1 else owner.astype(np.int64)


def bootstrap_weights(clusters: int, resamples: int, seed: int) -> Array:
    """How often each cluster is drawn in each resample, ``[1 + B, G]``; the first row is the original sample.

    Args:
        clusters: number of clusters G.
        resamples: number of resamples B.
        seed: random seed.
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
    """The figures of every run on its usable clips.

    Args:
        measure: measure of the task.
        truth: ``[N, ...]``.
        predicted: ``[R, N, ...]``.
        usable: ``[R, N]``, whether a run has a prediction for the clip.
        owner: ``[N]`` cluster of each clip.
        weights: ``[B, G]`` weights of the clusters.

    Returns:
        {figure: ``[R, B]``}; NaN for a resample without a usable clip.
    """
    runs = []
    for predictions, rows in zip(predicted, usable, strict=True):
        drawn = weights @ np.bincount(owner[rows], minlength=weights.shape[1]) > 0
        figures = measure.figures(truth[rows], predictions[rows], owner[rows], weights)
        runs.append({name: np.where(drawn, values, np.nan) for name, values in figures.items()})
    return {name: np.stack([run[name] for run in runs]) for name in runs[0]}


def standard_error(values: Array, clusters: int) -> float:
    """Standard error of a figure from its bootstrap resamples.

    The variance over resamples of G clusters is (G - 1) / G of the unbiased variance of a mean of G; this is corrected.

    Args:
        values: ``[B]`` figure in every resample; NaN = undefined.
        clusters: number of clusters G.

    Returns:
        The standard error; infinite with fewer than two clusters, 0 if all resamples have the same figure.
    """
    known = values[~np.isnan(values)]
    if clusters < 2 or not len(known):
        return float("inf")
    if np.ptp(known) < _ROUNDING:
        return 0.0
    return float(known.std() * np.sqrt(clusters / (clusters - 1)))


def degrees(owner: Owners) -> float:
    """Degrees of freedom: the effective number of clusters minus one, but at least 1.

    Example:
        >>> degrees(np.array([0, 0, 1, 1, 2, 2])), round(degrees(np.array([0, 0, 0, 0, 1, 2, 2])), 2)
        (2.0, 1.33)
    """
    return max(effective(owner) - 1, 1.0)


def effective(owner: Owners) -> float:
    """Effective number of clusters, ``n^2 / sum of squared sizes``; equals their number if all have the same size."""
    sizes = np.bincount(owner).astype(float)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def quantile(share: float, freedom: float) -> float:
    """Quantile of Student's t distribution.

    Args:
        share: probability, 0..1.
        freedom: degrees of freedom.
    """
    from scipy.special import stdtrit  # slow to import, and prediction does not need it

    return float(stdtrit(freedom, share))
