"""Recognition of people from scores: equal error rate and identification, resampled over people.

Trials of one person depend on each other, and a person is in the trials of all others. So whole people are resampled,
not trials. If person i is drawn ``w_i`` times, trials of the same person count ``w_i`` times, and trials of i against j
count ``w_i * w_j`` times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.metrics.intervals import bootstrap_weights, resampled_interval

#: Resamples of people; each sorts no score again, but weighs all of them.
RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class Recognised:
    """How well people are recognised.

    Args:
        eer: equal error rate; 0 is perfect recognition, 0.5 is chance.
        eer_interval: 95% interval over people.
        accuracy: share of the clips whose person has the highest score among all enrolled people.
        accuracy_interval: 95% interval over people.
    """

    eer: float
    eer_interval: tuple[float, float]
    accuracy: float
    accuracy_interval: tuple[float, float]


def recognition(scores: Array, person: NDArray[np.int64], *, resamples: int = RESAMPLES, seed: int = 0) -> Recognised:
    """Measure how well the scores of trials against enrolled people recognise the people.

    Args:
        scores: ``[T, P]`` score of each trial against each of P >= 2 enrolled people; higher is more alike.
        person: ``[T]`` enrolled person of each trial.
        resamples: number of bootstrap resamples.
        seed: random seed of the resamples.

    Returns:
        The figures and their intervals.
    """
    people = scores.shape[1]
    weights = bootstrap_weights(people, resamples, seed)
    errors = equal_error_rates(scores, person, weights)
    best = scores.max(axis=1, keepdims=True)
    ties = scores == best
    right = ties[np.arange(len(person)), person] / ties.sum(axis=1)
    own = weights[:, person]
    with np.errstate(invalid="ignore"):
        found = (own @ right) / own.sum(axis=1)
    return Recognised(
        float(errors[0]), resampled_interval(errors, people), float(found[0]), resampled_interval(found, people)
    )


def equal_error_rates(scores: Array, person: NDArray[np.int64], weights: Array) -> Array:
    """The error rate at the threshold at which as many trials of a person are rejected as impostors are accepted.

    Between two thresholds the rates are interpolated linearly, so that equal scores of all trials give 0.5.

    Args:
        scores: ``[T, P]``.
        person: ``[T]``.
        weights: ``[B, P]`` how often each person is drawn.

    Returns:
        ``[B]``; NaN where fewer than two people with trials are drawn.
    """
    trials, people = scores.shape
    same = np.zeros((trials, people), dtype=bool)
    same[np.arange(trials), person] = True
    flat = scores.ravel()
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-np.inf) > 0)
    row, column, is_same = person[order // people], order % people, same.ravel()[order]
    found = []
    for drawn in weights:
        counts = np.where(is_same, drawn[row], drawn[row] * drawn[column])
        own = np.add.reduceat(np.where(is_same, counts, 0.0), starts)
        other = np.add.reduceat(np.where(is_same, 0.0, counts), starts)
        if own.sum() == 0 or other.sum() == 0:
            found.append(np.nan)
            continue
        rejected = np.concatenate([[0.0], own.cumsum() / own.sum()])
        accepted = np.concatenate([[1.0], 1 - other.cumsum() / other.sum()])
        found.append(_crossing(rejected, accepted))
    return np.array(found)


def _crossing(rising: Array, falling: Array) -> float:
    """The value at which a rising and a falling curve meet."""
    after = int(np.argmax(rising >= falling))
    gap_before, gap_after = falling[after - 1] - rising[after - 1], rising[after] - falling[after]
    share = gap_before / (gap_before + gap_after)
    return float(rising[after - 1] + share * (rising[after] - rising[after - 1]))
