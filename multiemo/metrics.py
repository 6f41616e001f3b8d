"""Figures of merit, their speaker-clustered bootstrap intervals, and paired tests.

Every figure of a single-label task is a function of a confusion matrix ``[..., C, C]`` (rows: truth), so that a
bootstrap resample is one weighted sum of per-clip matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: With fewer speakers than this, clips are resampled within the drawn speakers too: so few clusters alone would make
#: the interval far too narrow.
FEW_SPEAKERS = 20


def confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> Array:
    """``[C, C]`` counts; rows are the truth.

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
        array([[1., 1.],
               [0., 1.]])
    """
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes).astype(float)


def _ratio(a: Array, b: Array) -> Array:
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b > 0)


def uar(matrix: Array) -> Array:
    """Unweighted average recall over the labels that occur: ``[..., C, C]`` to ``[...]``."""
    support = matrix.sum(-1)
    recall = _ratio(np.diagonal(matrix, axis1=-2, axis2=-1), support)
    return _ratio(recall.sum(-1), (support > 0).sum(-1).astype(float))


def _f1(matrix: Array) -> Array:
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    return _ratio(2 * hits, matrix.sum(-1) + matrix.sum(-2))


def macro_f1(matrix: Array) -> Array:
    """Mean F1 over the labels that occur in truth or prediction."""
    seen = (matrix.sum(-1) + matrix.sum(-2)) > 0
    return _ratio(_f1(matrix).sum(-1), seen.sum(-1).astype(float))


def wf1(matrix: Array) -> Array:
    """F1 weighted by how often each label occurs."""
    support = matrix.sum(-1)
    return _ratio((_f1(matrix) * support).sum(-1), support.sum(-1))


def accuracy(matrix: Array) -> Array:
    """Share of clips that are right."""
    return _ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum((-2, -1)))


FIGURES: dict[str, Callable[[Array], Array]] = {
    "uar": uar,
    "macro_f1": macro_f1,
    "wf1": wf1,
    "accuracy": accuracy,
}


def expected_calibration_error(probabilities: Array, truth: NDArray[np.int64], bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins (Guo et al. 2017).

    Args:
        probabilities: ``[N, C]``.
        truth: ``[N]`` columns.
        bins: number of bins.
    """
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    value = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(truth), num_classes=probabilities.shape[1], n_bins=bins
    )
    return float(value)


def concordance(predicted: Array, truth: Array) -> float:
    """Concordance correlation coefficient (Lin 1989) over pairs that are known; NaN with fewer than two."""
    known = ~np.isnan(truth)
    x, y = predicted[known], truth[known]
    if len(x) < 2:
        return float("nan")
    spread = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    return float(2 * ((x - x.mean()) * (y - y.mean())).mean() / spread) if spread > 0 else float("nan")


# --------------------------------------------------------------------------------------------------------------------
# Intervals and tests


def bootstrap_counts(speakers: Sequence[str], resamples: int = 1000, seed: int = 0) -> Array:
    """How often each clip stands in each bootstrap resample, ``[R, N]``.

    Whole speakers are drawn with replacement; with fewer than ``FEW_SPEAKERS`` of them, clips are then drawn again
    within each drawn speaker (two-stage bootstrap, Davison & Hinkley 1997, section 3.8).
    """
    names, owner = np.unique(np.asarray(speakers), return_inverse=True)
    rng = np.random.default_rng(seed)
    clusters = len(names)
    drawn = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
    if clusters >= FEW_SPEAKERS:
        return drawn[:, owner].astype(float)
    counts = np.zeros((resamples, len(owner)))
    for k in range(clusters):
        members = np.flatnonzero(owner == k)
        share = np.full(len(members), 1 / len(members))
        counts[:, members] = rng.multinomial(drawn[:, k] * len(members), share)
    return counts


def _resampled(counts: Array, truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> Array:
    """``[R, C, C]`` confusion matrices of the resamples."""
    cells = np.zeros((len(truth), classes * classes))
    cells[np.arange(len(truth)), truth * classes + predicted] = 1.0
    return (counts @ cells).reshape(-1, classes, classes)


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
    """Percentile bootstrap interval of one figure, resampling whole speakers."""
    counts = bootstrap_counts(speakers, resamples, seed)
    values = figure(_resampled(counts, truth, predicted, classes))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The difference of a figure between two predictions of the same clips.

    Args:
        difference: first minus second.
        low, high: 95% bootstrap interval of the difference, clustered by speaker.
        p: two-sided, permutation of the two predictions clip by clip.
        n: clips.
    """

    difference: float
    low: float
    high: float
    p: float
    n: int


def paired_test(
    truth: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    speakers: Sequence[str],
    classes: int,
    figure: Callable[[Array], Array] = uar,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> PairedTest:
    """Compare two sets of predictions of the same clips.

    The interval resamples speakers; the p-value is the share of random swaps of the two predictions, clip by clip,
    whose difference is at least as large (approximate randomisation, Noreen 1989), counting the observed one.

    Args:
        truth, first, second: ``[N]`` columns.
    """
    counts = bootstrap_counts(speakers, resamples, seed)
    gaps = figure(_resampled(counts, truth, first, classes)) - figure(_resampled(counts, truth, second, classes))
    low, high = np.quantile(gaps, [0.025, 0.975])
    observed = float(figure(confusion(truth, first, classes)) - figure(confusion(truth, second, classes)))
    rng = np.random.default_rng(seed)
    swap = (rng.random((resamples, len(truth))) < 0.5).astype(float)
    one = _resampled(1 - swap, truth, first, classes) + _resampled(swap, truth, second, classes)
    two = _resampled(swap, truth, first, classes) + _resampled(1 - swap, truth, second, classes)
    extreme = np.abs(figure(one) - figure(two)) >= abs(observed) - 1e-12
    p = (1 + int(extreme.sum())) / (1 + resamples)
    return PairedTest(observed, float(low), float(high), p, len(truth))
