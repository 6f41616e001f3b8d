"""What was said of each segment on its own becomes a steady timeline: a hidden Markov model with a fixed lag.

The hidden label stays, or is drawn anew from the prior, as a Markov chain in continuous time: over ``t`` seconds

    P(j | i) = exp(-t / stay) [i = j] + (1 - exp(-t / stay)) prior_j,

whose stationary distribution is the prior (Felsenstein 1981, "Evolutionary trees from DNA sequences", has the same
chain), so that segments of any length and spacing are treated alike. A segment speaks through its scaled likelihood,
calibrated probability over prior (Bourlard & Morgan 1994, "Connectionist Speech Recognition"). The posterior of each
segment comes from the forward-backward recursions (Rabiner 1989, "A tutorial on hidden Markov models and selected
applications in speech recognition"), backward over a fixed number of later segments only (Anderson & Moore 1979,
"Optimal Filtering", ch. 7), so that a file and a live stream say the same.
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

#: Mean seconds until the label is drawn anew: longer than an expression (half a second to four seconds, Ekman 2003,
#: "Emotions Revealed"), so that one odd segment needs good reasons, and shorter than an episode (minutes, Verduyn et
#: al. 2009, "Predicting the duration of emotional experience"), so that a change is followed.
STAY_SECONDS = 10.0
#: Later segments that are waited for; what the next but two says of this one is weak by then.
LAG_SEGMENTS = 2
#: Mean seconds that are tried on dialogues of validation.
_STAYS = (2.5, 5.0, 10.0, 20.0, 40.0)
#: Smallest probability of a label.
_LEAST = 1e-12


@dataclass(slots=True)
class _Step:
    """One segment.

    Args:
        stay: probability that the label was not drawn anew since the segment before.
        evidence: ``[K, S]`` scaled likelihoods; ones where nothing was said.
        past: ``[K, S]`` posterior given this segment and all before.
        silent: nothing was said of it.
    """

    stay: float
    evidence: Array
    past: Array
    silent: bool


class Smoother:
    """Smooths the probabilities of segments that come one after the other.

    A segment of which nothing is said (``None``) stays so; time passes over it. Where segments overlap, each counts for
    the share of it that is new, so that no second is heard twice. What is alone is not changed: a file of one segment
    keeps its probabilities.

    The evidence of neighbours is taken as independent, which that of one face and one voice is not: smoothed
    probabilities are surer than calibrated ones.

    Args:
        prior: ``[C]`` label frequencies of training.
        stay_seconds: mean seconds until the label is drawn anew.
        lag: how many later segments a segment waits for; 0 looks back only.
        task: ``multi``: each label comes and goes on its own; otherwise one label holds at a time.

    Raises:
        ConfigError: ``stay_seconds`` or ``lag`` out of range.

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
        self._past = self._prior  # of the last segment
        self._middle = self._end = -math.inf

    def push(self, probs: Array | None, start: float, end: float) -> list[Array | None]:
        """The next segment.

        Args:
            probs: ``[C]`` calibrated probabilities, or ``None`` where nothing is said.
            start, end: seconds.

        Returns:
            ``[C]`` of each segment that is final now, in the order they came; ``None`` for a ``None``.
        """
        stay = math.exp(-max((start + end) / 2 - self._middle, 0.0) / self.stay_seconds)
        evidence = np.ones_like(self._prior)
        if probs is not None:
            said = np.clip(self._chains(np.asarray(probs, dtype=np.float64)), _LEAST, None)
            fresh = (end - max(start, self._end)) / (end - start) if end > start else 1.0
            evidence = (said / self._prior) ** min(max(fresh, 0.0), 1.0)
            self._end = max(end, self._end)
        self._middle = max((start + end) / 2, self._middle)
        self._past = _normal((stay * self._past + (1 - stay) * self._prior) * evidence)
        self._steps.append(_Step(stay, evidence, self._past, probs is None))
        if len(self._steps) <= self.lag:
            return []
        final = self._smoothed()[0]
        self._steps.popleft()
        return [final]

    def close(self) -> list[Array | None]:
        """The segments that still waited; after it nothing may be pushed."""
        rest = self._smoothed() if self._steps else []
        self._steps.clear()
        return rest

    def _smoothed(self) -> list[Array | None]:
        """Posteriors of all segments held, by one pass backward from the newest."""
        future = np.ones_like(self._prior)
        found: list[Array | None] = []
        for step in reversed(self._steps):
            posterior = _normal(step.past * future)
            found.append(None if step.silent else posterior[:, 1] if self._multi else posterior[0])
            seen = step.evidence * future
            future = step.stay * seen + (1 - step.stay) * (seen * self._prior).sum(-1, keepdims=True)
            future = _normal(future)
        return found[::-1]

    def _chains(self, values: Array) -> Array:
        """``[K, S]``: one chain over all labels, or for each label one over absent and present."""
        return np.stack([1 - values, values], axis=1) if self._multi else values[None]


def _normal(weights: Array) -> Array:
    """Each row scaled to sum to one."""
    return np.asarray(weights / weights.sum(-1, keepdims=True))


# --------------------------------------------------------------------------------------------------------------------
# Whether, and for how long


@dataclass(frozen=True, slots=True)
class Turn:
    """A labelled clip of a dialogue.

    Args:
        row: of the probabilities.
        start, end: seconds.
    """

    row: int
    start: float
    end: float


@record
class SmoothingFigures(Record):
    """What smoothing does on dialogues of validation.

    Args:
        dialogues, clips: that were measured.
        accuracy, loss: without smoothing; of several labels a clip, the accuracy is that of each label.
        smoothed_accuracy, smoothed_loss: with it, by the duration that was chosen, or by the likeliest one where none
            is good enough.
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
    """For how long a label lasts, so that smoothing helps on validation dialogues; zero where it does not.

    Of a few durations the one is taken under which the true labels are most likely, if they are more so than without
    smoothing, among those that lose no accuracy.

    Args:
        dialogues: turns in order, at least one with two.
        probabilities: ``[N, C]``, calibrated.
        target: ``[N, C]``.
        prior: ``[C]`` label frequencies of train.
        decide: from probabilities ``[K, C]`` and their K rows to the labels that are given: columns ``[K]``, or for
            ``multi`` ``[K, C]`` ones and zeros.
        task: ``single``, ``soft`` or ``multi``.

    Returns:
        Mean seconds that a label lasts, or zero; and the figures on which that was decided.
    """
    rows = [turn.row for turns in dialogues for turn in turns]

    def measured(values: Array) -> tuple[float, float]:
        said = decide(values, rows)
        if task == "multi":
            right = float((said == (target[rows] > 0.5)).mean())
            p = np.where(target[rows] > 0.5, values, 1 - values)
            return right, float(-np.log(np.clip(p, _LEAST, None)).mean())
        right = float((said == target[rows].argmax(axis=1)).mean())
        return right, float(-(target[rows] * np.log(np.clip(values, _LEAST, None))).sum(axis=1).mean())

    plain, unlikely = measured(probabilities[rows])
    tried = {stay: measured(smoothed_dialogues(dialogues, probabilities, prior, stay, task)) for stay in _STAYS}
    best = min(tried, key=lambda s: tried[s][1])
    good = [stay for stay, (right, loss) in tried.items() if right >= plain and loss <= unlikely]
    stay = min(good, key=lambda s: tried[s][1]) if good else 0.0
    reached, loss = tried[stay if good else best]
    return stay, SmoothingFigures(
        dialogues=len(dialogues),
        clips=len(rows),
        accuracy=plain,
        loss=unlikely,
        smoothed_accuracy=reached,
        smoothed_loss=loss,
    )


def smoothed_dialogues(
    dialogues: Sequence[Sequence[Turn]], probabilities: Array, prior: Array, stay: float, task: str
) -> Array:
    """``[K, C]``: the turns of all dialogues, each smoothed.

    Args:
        dialogues: turns in order; K in all.
        probabilities: ``[N, C]``, calibrated.
        prior: ``[C]`` label frequencies of train.
        stay: mean seconds until the label is drawn anew.
        task: ``single``, ``soft`` or ``multi``.
    """
    found: list[Array | None] = []
    for turns in dialogues:
        smoother = Smoother(prior, stay_seconds=stay, task=task)
        for turn in turns:
            found += smoother.push(probabilities[turn.row], turn.start, turn.end)
        found += smoother.close()
    return np.array(found)
