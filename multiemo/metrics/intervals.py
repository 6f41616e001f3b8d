"""Figures with their intervals over speakers, of one run or averaged over runs of several seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from multiemo.metrics.figures import FIGURES, uar, weighted_confusion

Array = NDArray[np.float64]
#: ``(truth [N, ...], predicted [N, ...], weights [B, N]) -> {figure: [B]}``.
Measure: TypeAlias = Callable[[NDArray[Any], NDArray[Any], Array], dict[str, Array]]
#: With fewer speakers than this a report says that its intervals say little about other people.
FEW_SPEAKERS = 20


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and how sure it is.

    Args:
        value: the figure; with several runs, its mean over them.
        low, high: interval over speakers. It is about new speakers and these trained models: with several runs, about
            the mean of these runs.
        error: standard error of the value, over speakers.
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


def label_measure(classes: int, figures: Mapping[str, Callable[[Array], Array]] = FIGURES) -> Measure:
    """The measure of a single-label task: truth and predictions are columns ``[N]`` of the label set."""

    def measure(truth: NDArray[Any], predicted: NDArray[Any], weights: Array) -> dict[str, Array]:
        matrix = weighted_confusion(truth, predicted, classes, weights)
        return {name: figure(matrix) for name, figure in figures.items()}

    return measure


def clusters_of(speakers: Sequence[str]) -> NDArray[np.int64]:
    """``[N]`` which cluster each clip belongs to: its speaker; its own where there is only one speaker."""
    names, owner = np.unique(np.asarray(speakers), return_inverse=True)
    return np.arange(len(owner)) if len(names) == 1 else owner.astype(np.int64)


def random_weights(owner: NDArray[np.int64], resamples: int, seed: int) -> Array:
    """Clip weights of fractional-random-weight bootstrap resamples.

    Each resample weighs whole clusters by draws of a flat Dirichlet distribution (Rubin 1981; Xu et al. 2020,
    doi:10.1080/00031305.2020.1731599), so that no label vanishes from a resample, as it does when clusters are drawn
    with replacement and one speaker alone has it.

    Args:
        owner: ``[N]`` cluster of each clip, 0..G-1.
        resamples: B.
        seed: of the draws.

    Returns:
        ``[B, N]``, with mean one over clusters.
    """
    clusters = int(owner.max()) + 1
    drawn = np.random.default_rng(seed).standard_exponential((resamples, clusters))
    drawn *= clusters / drawn.sum(axis=1, keepdims=True)
    return np.take(drawn, owner, axis=1)


def margin(values: Array, clusters: int, level: float = 0.95) -> tuple[float, float]:
    """Standard error and half-width of the interval, from the figure in every resample.

    The variance over flat Dirichlet weights is (G - 1) / (G + 1) of the unbiased variance of a mean of G clusters; the
    width takes Student's t with G - 1 degrees of freedom (Cameron & Miller 2015, section VI.D).
    """
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    if clusters < 2:
        return float("nan"), float("nan")
    error = float(values.std() * np.sqrt((clusters + 1) / (clusters - 1)))
    return error, error * float(stdtrit(clusters - 1, (1 + level) / 2))


def as_runs(truth: NDArray[Any], predicted: NDArray[Any]) -> NDArray[Any]:
    """Predictions of one run ``[N, ...]`` or several ``[R, N, ...]`` as ``[R, N, ...]``."""
    return predicted[None] if predicted.ndim == truth.ndim else predicted


def usable_clips(predicted: NDArray[Any]) -> NDArray[np.bool_]:
    """``[R, N]``: false where a prediction is missing, -1 (columns) or NaN (scores)."""
    known = predicted >= 0 if np.issubdtype(predicted.dtype, np.integer) else ~np.isnan(predicted)
    return np.asarray(known.all(axis=tuple(range(2, known.ndim))))


def by_run(
    measure: Measure, truth: NDArray[Any], predicted: NDArray[Any], usable: NDArray[np.bool_], weights: Array
) -> dict[str, Array]:
    """{figure: ``[R, B]``}: the measure of every run on the clips that are usable in it."""
    runs = [measure(truth[rows], said[rows], weights[:, rows]) for said, rows in zip(predicted, usable, strict=True)]
    return {name: np.stack([run[name] for run in runs]) for name in runs[0]}


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
        {figure: estimate}; intervals stay within 0..1 only where the measure's figures do.

    Raises:
        ValueError: a run has no usable clip.
    """
    runs = as_runs(truth, predicted)
    usable = usable_clips(runs)
    some = _checked(usable)
    owner = clusters_of(np.asarray(speakers)[some].tolist())
    clusters = int(owner.max()) + 1
    weights = np.concatenate([np.ones((1, len(owner))), random_weights(owner, resamples, seed)])
    values = by_run(measure, truth[some], runs[:, some], usable[:, some], weights)
    found = {}
    for name, value in values.items():
        each, mean = value[:, 0], value.mean(axis=0)
        error, half = margin(mean[1:], clusters, level)
        found[name] = Estimate(
            float(mean[0]),
            float(mean[0]) - half,
            float(mean[0]) + half,
            error,
            float(each.std(ddof=1)) if len(each) > 1 else None,
            len(each),
            int(some.sum()),
            len(np.unique(np.asarray(speakers)[some])),
        )
    return found


def _checked(usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``[N]`` clips usable in any run."""
    if not usable.any(axis=1).all():
        raise ValueError(f"run {int(np.argmin(usable.any(axis=1)))} has no usable clip")
    return np.asarray(usable.any(axis=0))


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
    """The interval of one figure of a single-label task; see :func:`estimates`."""
    measure = label_measure(classes, {"figure": figure})
    found = estimates(measure, truth, predicted, speakers, level=level, resamples=resamples, seed=seed)["figure"]
    return found.low, found.high
