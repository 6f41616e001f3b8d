"""Paired tests of two systems or subsets of modalities on the same clips, and the correction for a family of tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.metrics.figures import label_measure, uar
from multiemo.metrics.intervals import (
    as_runs,
    bootstrap_weights,
    by_run,
    check_usable,
    clusters_of,
    degrees,
    effective,
    quantile,
    standard_error,
    usable_clips,
)
from multiemo.metrics.measures import Measure, Owners, unanimous
from multiemo.metrics.results import AdjustedTest, PairedTest

#: Minimum number of speakers for a swap test; the smallest p-value that G speakers can give is 2 / 2^G.
SWAP_SPEAKERS = 6


def paired_tests(
    measure: Measure,
    truth: NDArray[Any],
    first: NDArray[Any],
    second: NDArray[Any],
    speakers: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, PairedTest]:
    """Compare two sets of predictions of the same clips in every figure of a measure.

    The p-value is the share of swaps of the two predictions whose difference is at least as large as the observed one
    (randomisation test, Fisher 1935; Noreen 1989 if only a sample of the swaps is tried). Clips of one speaker are not
    independent, so all predictions of a speaker, in all runs, are swapped together. Fewer than ``SWAP_SPEAKERS``
    speakers cannot give a small p-value this way; they are tested by Student's t of the difference over its standard
    error.

    Args:
        measure: measure of the task.
        truth: ``[N, ...]``.
        first: predictions ``[N, ...]`` of one run or ``[R, N, ...]`` of several; -1 or NaN where a run has none.
        second: predictions of the same shape. Run r is compared with run r; one run (a baseline) may also be compared
            with several. A clip without a prediction in either is left out of both.
        speakers: ``[N]`` speaker of each clip; distinct names make the test apply to these clips only.
        resamples: number of bootstrap resamples, and maximum number of swaps.
        seed: random seed of both.

    Returns:
        {figure: test}.

    Raises:
        ValueError: the runs differ in number, or a pair of runs has no common clip.
    """
    one, two = as_runs(truth, first), as_runs(truth, second)
    if len(one) != len(two) and 1 not in (len(one), len(two)):
        raise ValueError(f"{len(one)} runs cannot be paired with {len(two)}")
    one, two = np.broadcast_arrays(one, two)
    usable = usable_clips(one) & usable_clips(two)
    check_usable(usable)
    some = usable.any(axis=0)
    truth, one, two, usable = truth[some], one[:, some], two[:, some], usable[:, some]
    names = np.asarray(speakers)[some]
    owner = clusters_of(names)
    clusters, freedom = int(owner.max()) + 1, degrees(owner)
    weights = bootstrap_weights(clusters, resamples, seed)
    a, b = (by_run(measure, truth, predictions, usable, owner, weights) for predictions in (one, two))
    swapped = {}
    if clusters >= SWAP_SPEAKERS:
        swapped = _swapped_differences(measure, truth, one, two, usable, owner, resamples, seed)
    found = {}
    for name in a:
        gaps = a[name] - b[name]
        observed = float(gaps[:, 0].mean())
        error = standard_error(gaps.mean(axis=0)[1:], clusters)
        reach = measure.scale(name).reach
        low, high = unanimous(observed, -reach, reach, effective(owner), 0.95)
        if error > 0:
            half = error * quantile(0.975, freedom)
            low, high = max(observed - half, -reach), min(observed + half, reach)
        found[name] = PairedTest(
            difference=observed,
            low=low,
            high=high,
            p=_swap_p(swapped[name], observed) if swapped else _student_p(observed, error, freedom, clusters),
            n=len(names),
            speakers=len(np.unique(names)),
            error=error,
            freedom=freedom,
            deviation=float(gaps[:, 0].std(ddof=1)) if len(gaps) > 1 else None,
            test="swaps" if swapped else "t",
        )
    return found


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
    """The paired test of one figure of a single-label task; see :func:`paired_tests`.

    Args:
        truth: ``[N]`` label indices.
        first: predicted label indices, ``[N]`` of one run or ``[R, N]`` of several.
        second: likewise, of the predictions to compare with.
        speakers: ``[N]`` speaker of each clip.
        classes: number of labels C.
        figure: maps confusion matrices ``[..., C, C]`` to ``[...]``.
        resamples: number of bootstrap resamples, and maximum number of swaps.
        seed: random seed of both.
    """
    measure = label_measure(classes, {"figure": figure})
    return paired_tests(measure, truth, first, second, speakers, resamples=resamples, seed=seed)["figure"]


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of a family of tests, adjusted so that rejecting those below alpha keeps the family-wise error below it.

    The step-down procedure of Holm (1979): the i-th smallest of m p-values is multiplied by ``m - i + 1``. Adjusted
    values never decrease along this order and never exceed 1.

    Returns:
        Adjusted p-values, in the order given.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03, 0.005])]
        [0.03, 0.06, 0.06, 0.02]
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1)), 1)
    return [float(p) for p in adjusted]


def adjusted(tests: Sequence[PairedTest]) -> list[AdjustedTest]:
    """The tests of a family, each with its Holm-adjusted p-value and its minimum detectable difference."""
    return [
        AdjustedTest.of(test, p_holm=p, mdd=minimum_detectable_difference(test))
        for test, p in zip(tests, holm([test.p for test in tests]), strict=True)
    ]


def minimum_detectable_difference(test: PairedTest, *, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """The smallest true difference that a test on these speakers would detect.

    ``(t[1 - alpha / 2] + t[power]) * error`` (Bloom 1995; 2.80 standard errors with normal quantiles), with the degrees
    of freedom of the test. It applies to a single test; in a family of m, the first step of Holm uses ``alpha / m``.

    Args:
        test: test with the standard error of the difference over speakers.
        alpha: two-sided significance level.
        power: probability of detecting the difference.

    Returns:
        The difference; ``None`` if the variance over speakers is unknown: there is one speaker, or all of them have the
        same difference (for instance none, because both systems predict the same).
    """
    if not 0 < test.error < np.inf:
        return None
    return (quantile(1 - alpha / 2, test.freedom) + quantile(power, test.freedom)) * test.error


# --------------------------------------------------------------------------------------------------------------------


def _patterns(clusters: int, most: int, seed: int) -> NDArray[np.bool_]:
    """Which clusters are swapped, ``[B, G]``: all patterns if there are few, else random ones; the first swaps none.

    A pattern and its complement give the same absolute difference, so an exhaustive list never swaps the first cluster.
    """
    if 2 ** (clusters - 1) <= most:
        bits = np.arange(clusters - 1, -1, -1)
        return np.asarray((np.arange(2 ** (clusters - 1))[:, None] >> bits) % 2 == 1)
    patterns = np.random.default_rng(seed).random((most + 1, clusters)) < 0.5
    patterns[0] = False
    return patterns


def _swapped_differences(
    measure: Measure,
    truth: NDArray[Any],
    first: NDArray[Any],
    second: NDArray[Any],
    usable: NDArray[np.bool_],
    owner: Owners,
    most: int,
    seed: int,
) -> dict[str, Array]:
    """{figure: ``[B]``}: the difference under every pattern of swaps, averaged over runs.

    Both predictions of every clip are concatenated, as two clusters; a pattern gives weight one to one of the two and
    weight zero to the other.
    """
    clusters = int(owner.max()) + 1
    swap = _patterns(clusters, most, seed).astype(float)
    weights_first = np.concatenate([1 - swap, swap], axis=1)
    weights_second = np.concatenate([swap, 1 - swap], axis=1)
    truths, owners = np.concatenate([truth, truth]), np.concatenate([owner, owner + clusters])
    both, known = np.concatenate([first, second], axis=1), np.concatenate([usable, usable], axis=1)
    one, two = (by_run(measure, truths, both, known, owners, weights) for weights in (weights_first, weights_second))
    return {name: (one[name] - two[name]).mean(axis=0) for name in one}


def _swap_p(gaps: Array, observed: float) -> float:
    """Share of swaps with a difference at least as large as the observed one; 1 if the figure is undefined."""
    known = gaps[~np.isnan(gaps)]
    return float((np.abs(known) >= abs(observed) - 1e-12).mean()) if len(known) and np.isfinite(observed) else 1.0


def _student_p(observed: float, error: float, freedom: float, clusters: int) -> float:
    """Two-sided p-value of Student's t; if all speakers have exactly the same difference, that of a sign test."""
    if not np.isfinite(error) or observed == 0 or np.isnan(observed):
        return 1.0
    from scipy.special import stdtr

    return float(2 * stdtr(freedom, -abs(observed) / error)) if error > 0 else 2.0 ** (1 - clusters)
