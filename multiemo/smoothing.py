"""Smooths the probabilities of consecutive segments over time with a hidden Markov model and a fixed lag.

The hidden label is a Markov chain in continuous time: it stays, or is drawn again from the prior. Over ``t`` seconds

    P(j | i) = exp(-t / stay) [i = j] + (1 - exp(-t / stay)) prior_j.

Its stationary distribution is the prior (Felsenstein 1981, "Evolutionary trees from DNA sequences", uses the same
chain), so segments of any length and spacing are treated alike. The evidence of a segment is its scaled likelihood:
calibrated probability over prior (Bourlard & Morgan 1994, "Connectionist Speech Recognition"). The posterior of each
segment comes from the forward-backward recursions (Rabiner 1989, "A tutorial on hidden Markov models and selected
applications in speech recognition"). The backward pass covers a fixed number of later segments (Anderson & Moore 1979,
"Optimal Filtering", ch. 7), so that a file and a live stream give the same result.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.errors import ConfigError
from multiemo.records import Record, record
from multiemo.types import SMALLEST_PRIOR

#: Mean seconds until the label is drawn again. Longer than an expression (half a second to four seconds, Ekman 2003,
#: "Emotions Revealed"), so that a single deviating segment needs strong evidence. Shorter than an episode (minutes,
#: Verduyn et al. 2009, "Predicting the duration of emotional experience"), so that changes are followed.
STAY_SECONDS = 10.0
#: Number of later segments used for a segment; evidence from segments further ahead is weak.
LAG_SEGMENTS = 2
#: Candidate mean seconds, tried on dialogues of validation.
_STAY_CANDIDATES = (2.5, 5.0, 10.0, 20.0, 40.0)
#: Probabilities are clipped to this minimum.
_SMALLEST_PROBABILITY = 1e-12


@dataclass(slots=True)
class _Step:
    """One segment.

    Args:
        stay: probability that the label was not drawn again since the previous segment.
        evidence: ``[K, S]`` scaled likelihoods; ones without a prediction.
        past: ``[K, S]`` posterior given this segment and all previous ones.
        skipped: whether the segment has no prediction.
    """

    stay: float
    evidence: Array
    past: Array
    skipped: bool


class Smoother:
    """Smooths the probabilities of consecutive segments.

    A segment without a prediction (``None``) keeps none, but its time counts. If segments overlap, the evidence of each
    is weighted by its share of new time, so that no second counts twice. A single segment is not changed.

    The evidence of neighbouring segments is treated as independent. That of the same face and voice is not, so smoothed
    probabilities are more confident than calibrated ones.

    Args:
        prior: ``[C]`` label frequencies of train.
        stay_seconds: mean seconds until the label is drawn again; above 0.
        lag: number of later segments used for each segment; 0 uses only previous ones.
        task: with ``multi``, each label is smoothed on its own; otherwise exactly one label holds at a time.

    Raises:
        ConfigError: ``stay_seconds`` or ``lag`` is out of range.

    Example:
        >>> smoother = Smoother(np.array([0.5, 0.5]), stay_seconds=10.0, lag=0)
        >>> for probs, start in (([0.9, 0.1], 0.0), ([0.4, 0.6], 4.0), ([0.1, 0.9], 8.0)):
        ...     print(smoother.push(np.array(probs), start, start + 4.0)[0].round(2))
        [0.9 0.1]
        [0.69 0.31]
        [0.16 0.84]
    """

    def __init__(
        self, prior: Array, *, stay_seconds: float = STAY_SECONDS, lag: int = LAG_SEGMENTS, task: str = "single"
    ) -> None:
        if not (stay_seconds > 0 and math.isfinite(stay_seconds)):
            raise ConfigError(f"smoothing: stay_seconds is {stay_seconds}; give a positive number of seconds")
        if lag < 0:
            raise ConfigError(f"smoothing: lag is {lag}; give 0 or more segments")
        self.stay_seconds, self.lag, self._multi = stay_seconds, lag, task == "multi"
        bounded = np.clip(np.asarray(prior, dtype=np.float64), SMALLEST_PRIOR, 1 - SMALLEST_PRIOR)
        chains = self._chains(bounded)
        self._prior = chains / chains.sum(-1, keepdims=True)
        self._steps: deque[_Step] = deque()
        self._past = self._prior  # posterior after the last segment
        self._middle = self._end = -math.inf

    def push(self, probs: Array | None, start: float, end: float) -> list[Array | None]:
        """Add the next segment.

        Args:
            probs: ``[C]`` calibrated probabilities; ``None`` without a prediction.
            start: start of the segment, seconds.
            end: end of the segment, seconds.

        Returns:
            The smoothed probabilities ``[C]`` of each segment that is now final, in order; ``None`` for a segment
            without a prediction.
        """
        stay = math.exp(-max((start + end) / 2 - self._middle, 0.0) / self.stay_seconds)
        evidence = np.ones_like(self._prior)
        if probs is not None:
            chains = np.clip(self._chains(np.asarray(probs, dtype=np.float64)), _SMALLEST_PROBABILITY, None)
            new_share = (end - max(start, self._end)) / (end - start) if end > start else 1.0
            evidence = (chains / self._prior) ** min(max(new_share, 0.0), 1.0)
            self._end = max(end, self._end)
        self._middle = max((start + end) / 2, self._middle)
        self._past = _normalised((stay * self._past + (1 - stay) * self._prior) * evidence)
        self._steps.append(_Step(stay, evidence, self._past, probs is None))
        if len(self._steps) <= self.lag:
            return []
        final = self._smoothed()[0]
        self._steps.popleft()
        return [final]

    def close(self) -> list[Array | None]:
        """Return the remaining segments, as :meth:`push` does; no segment may be added afterwards."""
        rest = self._smoothed() if self._steps else []
        self._steps.clear()
        return rest

    def _smoothed(self) -> list[Array | None]:
        """Posteriors of all stored segments, by one backward pass from the newest."""
        future = np.ones_like(self._prior)
        found: list[Array | None] = []
        for step in reversed(self._steps):
            posterior = _normalised(step.past * future)
            found.append(None if step.skipped else posterior[:, 1] if self._multi else posterior[0])
            backward = step.evidence * future
            future = step.stay * backward + (1 - step.stay) * (backward * self._prior).sum(-1, keepdims=True)
            future = _normalised(future)
        return found[::-1]

    def _chains(self, values: Array) -> Array:
        """``[K, S]``: one chain over all labels, or, for ``multi``, one chain over absent and present per label."""
        return np.stack([1 - values, values], axis=1) if self._multi else values[None]


def _normalised(weights: Array) -> Array:
    """Each row scaled to sum to one."""
    return np.asarray(weights / weights.sum(-1, keepdims=True))


# --------------------------------------------------------------------------------------------------------------------
# Fitting the strength of smoothing


@dataclass(frozen=True, slots=True)
class Turn:
    """A labelled clip of a dialogue.

    Args:
        row: its row in the probabilities.
        start: start of the turn, seconds.
        end: end of the turn, seconds.
    """

    row: int
    start: float
    end: float


@record
class SmoothingFigures(Record):
    """The effect of smoothing on dialogues of validation.

    Args:
        dialogues: number of dialogues.
        clips: number of their clips.
        accuracy: accuracy without smoothing; with several labels per clip, over all labels of all clips.
        loss: mean loss of the true labels without smoothing, nats.
        smoothed_accuracy: accuracy with the selected duration, or with the one of the lowest loss if none helps.
        smoothed_loss: mean loss with the same duration, nats.
    """

    dialogues: int
    clips: int
    accuracy: float
    loss: float
    smoothed_accuracy: float
    smoothed_loss: float


def fit_stay(
    dialogues: Sequence[Sequence[Turn]],
    probabilities: Array,
    target: Array,
    prior: Array,
    decide: Callable[[Array, Sequence[int]], NDArray[np.int64]],
    *,
    task: str = "single",
) -> tuple[float, SmoothingFigures]:
    """Select the mean duration of a label on validation dialogues, or 0 if smoothing does not help.

    Of a few candidate durations, those are considered that reduce neither the accuracy nor the likelihood of the true
    labels compared with no smoothing. The one with the lowest loss is selected.

    Args:
        dialogues: turns of each dialogue in order; at least one dialogue has two.
        probabilities: ``[N, C]``, calibrated.
        target: ``[N, C]``.
        prior: ``[C]`` label frequencies of train.
        decide: maps probabilities ``[K, C]`` and their K rows to decided labels: label indices ``[K]``, or for
            ``multi`` ``[K, C]`` ones and zeros.
        task: ``single``, ``soft`` or ``multi``.

    Returns:
        Mean seconds until a label is drawn again, or 0; and the figures behind this selection.
    """
    rows = [turn.row for turns in dialogues for turn in turns]

    def accuracy_and_loss(values: Array) -> tuple[float, float]:
        decided = decide(values, rows)
        if task == "multi":
            right = float((decided == (target[rows] > 0.5)).mean())
            p = np.where(target[rows] > 0.5, values, 1 - values)
            return right, float(-np.log(np.clip(p, _SMALLEST_PROBABILITY, None)).mean())
        right = float((decided == target[rows].argmax(axis=1)).mean())
        p = np.clip(values, _SMALLEST_PROBABILITY, None)
        return right, float(-(target[rows] * np.log(p)).sum(axis=1).mean())

    accuracy, loss = accuracy_and_loss(probabilities[rows])
    tried = {
        stay: accuracy_and_loss(smoothed_dialogues(dialogues, probabilities, prior, stay, task))
        for stay in _STAY_CANDIDATES
    }
    best = min(tried, key=lambda s: tried[s][1])
    helpful = [s for s, (smoothed, smoothed_loss) in tried.items() if smoothed >= accuracy and smoothed_loss <= loss]
    stay = min(helpful, key=lambda s: tried[s][1]) if helpful else 0.0
    smoothed_accuracy, smoothed_loss = tried[stay if helpful else best]
    return stay, SmoothingFigures(
        dialogues=len(dialogues),
        clips=len(rows),
        accuracy=accuracy,
        loss=loss,
        smoothed_accuracy=smoothed_accuracy,
        smoothed_loss=smoothed_loss,
    )


def smoothed_dialogues(
    dialogues: Sequence[Sequence[Turn]], probabilities: Array, prior: Array, stay: float, task: str
) -> Array:
    """Smoothed probabilities of the turns of all dialogues.

    Args:
        dialogues: turns of each dialogue in order; K turns in total.
        probabilities: ``[N, C]``, calibrated.
        prior: ``[C]`` label frequencies of train.
        stay: mean seconds until the label is drawn again.
        task: ``single``, ``soft`` or ``multi``.

    Returns:
        ``[K, C]``.
    """
    found: list[Array | None] = []
    for turns in dialogues:
        smoother = Smoother(prior, stay_seconds=stay, task=task)
        for turn in turns:
            found += smoother.push(probabilities[turn.row], turn.start, turn.end)
        found += smoother.close()
    return np.array(found)
