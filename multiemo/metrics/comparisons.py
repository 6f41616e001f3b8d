"""Paired tests: two systems, or two subsets of modalities, on the same clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from multiemo.metrics.figures import uar
from multiemo.metrics.intervals import (
    Array,
    Measure,
    as_runs,
    by_run,
    clusters_of,
    label_measure,
    margin,
    random_weights,
    usable_clips,
)

#: Fewest speakers whose predictions are swapped for a p-value: the smallest one that G speakers can give is 2 / 2^G.
SWAP_SPEAKERS = 6


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The difference of a figure between two predictions of the same clips.

    Args:
        difference: first minus second; with several runs, its mean over them.
        low, high: 95% interval of the difference over speakers.
        p: two-sided.
        n: clips.
        speakers: of these clips.
        error: standard error of the difference, over speakers.
        deviation: standard deviation of the difference over runs (n - 1); ``None`` for a single run.
        test: where p is from: ``swaps`` of whole speakers, or Student's ``t`` where they are too few for that.
    """

    difference: float
    low: float
    high: float
    p: float
    n: int
    speakers: int
    error: float
    deviation: float | None
    test: Literal["swaps", "t"]


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
    (randomisation test, Fisher 1935; approximate, Noreen 1989, where not all swaps are tried). Clips of one speaker are
    not independent, so all predictions of a speaker, in all runs, are swapped together. Fewer than ``SWAP_SPEAKERS``
    speakers cannot give a small p that way: theirs is Student's t of the difference over its standard error.

    Args:
        measure: of the task.
        truth: ``[N, ...]``.
        first, second: ``[N, ...]`` of one run or ``[R, N, ...]`` of several, run r against run r; one run (a baseline)
            may stand against several. -1 or NaN where a run has no prediction: both then leave the clip out.
        speakers: ``[N]``; to test the claim about these clips alone, give each clip a name of its own.
        resamples: bootstrap resamples, and most swaps that are tried.
        seed: of both.

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
    if not usable.any(axis=1).all():
        raise ValueError(f"the two have no common clip in run {int(np.argmin(usable.any(axis=1)))}")
    some = usable.any(axis=0)
    truth, one, two, usable = truth[some], one[:, some], two[:, some], usable[:, some]
    names = np.asarray(speakers)[some]
    owner = clusters_of(names.tolist())
    clusters = int(owner.max()) + 1
    weights = np.concatenate([np.ones((1, len(owner))), random_weights(owner, resamples, seed)])
    a, b = by_run(measure, truth, one, usable, weights), by_run(measure, truth, two, usable, weights)
    swapped = (
        _swapped_gaps(measure, truth, one, two, usable, owner, resamples, seed) if clusters >= SWAP_SPEAKERS else {}
    )
    found = {}
    for name in a:
        gaps = a[name] - b[name]
        mean = gaps.mean(axis=0)
        observed = float(mean[0])
        error, half = margin(mean[1:], clusters)
        found[name] = PairedTest(
            observed,
            observed - half,
            observed + half,
            _share_as_large(swapped[name], observed) if swapped else _student_p(observed, error, clusters),
            len(owner),
            len(np.unique(names)),
            error,
            float(gaps[:, 0].std(ddof=1)) if len(gaps) > 1 else None,
            "swaps" if swapped else "t",
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
    """The paired test of one figure of a single-label task; see :func:`paired_tests`."""
    measure = label_measure(classes, {"figure": figure})
    return paired_tests(measure, truth, first, second, speakers, resamples=resamples, seed=seed)["figure"]


def _swaps(clusters: int, most: int, seed: int) -> NDArray[np.bool_]:
    """Which clusters are swapped, ``[B, G]``: every pattern where there are few, else random ones and the identity.

    A pattern and its opposite give the same size of difference, so the first cluster of an exhaustive list stays.
    """
    if 2 ** (clusters - 1) <= most:
        return np.asarray((np.arange(2 ** (clusters - 1))[:, None] >> np.arange(clusters - 1, -1, -1)) % 2 == 1)
    patterns = np.random.default_rng(seed).random((most + 1, clusters)) < 0.5
    patterns[0] = False
    return patterns


def _swapped_gaps(
    measure: Measure,
    truth: NDArray[Any],
    first: NDArray[Any],
    second: NDArray[Any],
    usable: NDArray[np.bool_],
    owner: NDArray[np.int64],
    most: int,
    seed: int,
) -> dict[str, Array]:
    """{figure: ``[B]``}: the difference under every pattern of swaps, averaged over runs."""
    swap = _swaps(int(owner.max()) + 1, most, seed)[:, owner].astype(float)
    kept = 1 - swap
    both, twice = np.concatenate([first, second], axis=1), np.concatenate([usable, usable], axis=1)
    truths = np.concatenate([truth, truth])
    one = by_run(measure, truths, both, twice, np.concatenate([kept, swap], axis=1))
    two = by_run(measure, truths, both, twice, np.concatenate([swap, kept], axis=1))
    return {name: (one[name] - two[name]).mean(axis=0) for name in one}


def _share_as_large(gaps: Array, observed: float) -> float:
    return float((np.abs(gaps) >= abs(observed) - 1e-12).mean())


def _student_p(observed: float, error: float, clusters: int) -> float:
    from scipy.special import stdtr  # type: ignore[import-untyped]

    if clusters < 2 or observed == 0:
        return 1.0
    return float(2 * stdtr(clusters - 1, -abs(observed) / error)) if error > 0 else 0.0
