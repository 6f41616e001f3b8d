"""Which of several faces speaks: the one whose mouth moves when the voice is loud.

Each face's mouth movement is the mean absolute difference of the mouth between consecutive stabilised patches, less
that of the still part of the face, so that neither head motion nor compression nor flicker counts (mouth motion as in
Everingham, Sivic & Zisserman 2006). Its logarithm is correlated with the level of the voice over the same intervals, at
the best of a few lags (audio-visual synchrony, Hershey & Movellan 1999; lip and acoustic envelope, Chandrasekaran et
al. 2009). The best of several faces is taken where its correlation beats the next by more than
chance would (Fisher's z), and where a voice that has nothing to do with the mouths would hardly go so well with any of
them; else nobody is named.

Voices and mouths both change slowly, and the best of several lags and faces is looked for, so that high correlations
also come by chance. What chance gives is seen by turning the level of the voice around in its span, forwards and
backwards, so that the end is followed by the beginning: each turn keeps its autocorrelation and is searched in the same
way (the largest statistic of each; Westfall & Young 1993, "Resampling-Based Multiple Testing"). The turns are further
apart than the lags reach, so none holds the true one, and together they are a group, so the rank of what was heard
among them is exact where the level is stationary. Ten turns, and ten backwards, are the fewest among which the best has
a p-value of 5%: in less than 4 s nobody can be named.

Of spans of 4 to 12 s of real voices (RAVDESS, joined takes) with two or three mouths that know nothing of them, 2.9%
name somebody (13800 spans; 95%: 2.6 to 3.2): 1.0% with the mouths of real films, 4.3% with mouths that drift, 5.8% with
mouths that speak other sentences; without the turns it was 15.4%, up to 30%.

How much that tells depends on the frames: of two drawn people of whom one talks for 4 s (24 films), 12.5 frames a
second name the right one in 13 films, 8 in 4, 6 in 2 and the wrong one in 1, and nobody in the others; for 8 s, 12.5
frames a second name the right one in 21 and the wrong one in none. A syllable lasts about a quarter of a second, so 4
frames a second tell nothing and name nobody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from multiemo.arrays import Array, Pixels
from multiemo.preprocess.faces.crops import EYES_APART, EYES_Y

#: Lags of the voice behind the mouth that are tried, seconds.
LAGS = (-0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2)
#: Fewest movements of a mouth that say anything, and the longest that one of them may take, seconds (their median).
FEWEST = 8
LONGEST = 0.18
#: Lowest correlation of a speaking mouth.
LOWEST = 0.25
#: By how many standard errors the best correlation must beat the next (one-sided 5%).
MARGIN = 1.645
#: Chance that somebody is named whose mouth has nothing to do with the voice.
LEVEL = 0.05
#: Most turns of the voice, each forwards and backwards, that show what chance gives.
TURNS = 50
#: Levels this far below the loudest (dB) are silence.
_RANGE = 40.0
#: Movements below this many grey levels are noise.
_NOISE = 0.3
#: The mouth, and the nose and cheeks, which neither blink nor frown nor talk, as shares of an upright patch: rows,
#: columns.
_MOUTH = ((EYES_Y + 0.28, EYES_Y + 0.58), (0.5 - 0.25, 0.5 + 0.25))
_STILL = ((EYES_Y + 0.08, EYES_Y + 0.24), (0.5 - EYES_APART / 2 - 0.08, 0.5 + EYES_APART / 2 + 0.08))


@dataclass(frozen=True, slots=True)
class Movement:
    """How much a mouth moved between two pictures, grey levels; ``begin`` and ``end`` are their times in seconds."""

    begin: float
    end: float
    amount: float


@dataclass(frozen=True, slots=True)
class ActiveSpeaker:
    """Who speaks.

    Args:
        person: id, or ``None`` where the voice does not tell.
        scores: {id: correlation of mouth and voice}; a face that was seen too briefly has none.
        why: the reason, with the numbers.
    """

    person: int | None
    scores: dict[int, float]
    why: str


def mouth_motion(before: Pixels, after: Pixels) -> float:
    """How much more the mouth changed than the still part of the face, grey levels.

    Args:
        before, after: ``[P, P]`` uint8 patches of one face, upright and aligned by the same rigid points.
    """
    change = after.astype(np.float32) - before
    still = _part(change, _STILL)
    shift = still.mean()
    return float(np.abs(_part(change, _MOUTH) - shift).mean() - np.abs(still - shift).mean())


def synchrony(movements: Sequence[Movement], times: Array, level: Array) -> float | None:
    """Correlation of a mouth's movement with the voice at the best lag, -1..1; ``None`` for too few or too slow ones.

    Args:
        movements: of one mouth, in order of time.
        times: ``[K]`` seconds, ascending.
        level: ``[K]`` of the voice: decibels, or probability.
    """
    if len(times) < 2 or not _tells(movements):
        return None
    return float(_synchronies(movements, times, level[None])[0])


def who_speaks(movements: Mapping[int, Sequence[Movement]], times: Array, level: Array) -> ActiveSpeaker:
    """The face whose mouth goes with the voice.

    Args:
        movements: {id: movements of the mouth in the span}.
        times, level: as in :func:`synchrony`, at even steps.
    """
    telling = [person for person, m in movements.items() if _tells(m)] if len(times) > 1 else []
    if not telling:
        return ActiveSpeaker(None, {}, "too few pictures, or too few a second, to tell who speaks")
    found = np.stack([_synchronies(movements[person], times, turns(times, level)) for person in telling])
    scores = {person: float(r) for person, r in zip(telling, found[:, 0], strict=True)}
    ranked = sorted(scores, key=lambda person: -scores[person])
    first = scores[ranked[0]]
    numbers = f"r {first:.2f}"
    if len(ranked) > 1:
        numbers += f"; next {scores[ranked[1]]:.2f}"
    if found.shape[1] * LEVEL < 1:
        return ActiveSpeaker(None, scores, f"{times[-1] - times[0]:.1f} s are too short to tell who speaks ({numbers})")
    p = float((found.max(0) >= first).mean())  # what was heard is the first of the turns
    numbers += f"; p {p:.2f}"
    clear = (
        p <= LEVEL
        and first >= LOWEST
        and all(
            _standard_errors(first, scores[other], min(len(movements[ranked[0]]), len(movements[other]))) >= MARGIN
            for other in ranked[1:]
        )
    )
    if clear and len(ranked) > 1:
        return ActiveSpeaker(ranked[0], scores, f"mouth moves with the voice ({numbers})")
    return ActiveSpeaker(None, scores, f"no mouth moves clearly with the voice ({numbers})")


def turns(times: Array, level: Array) -> Array:
    """``[S, K]``: the level as it is, then turned around in its span by even steps longer than the lags reach, then all
    of these backwards.

    Args:
        times: ``[K]`` seconds, at even steps.
        level: ``[K]``.
    """
    step = (times[-1] - times[0]) / (len(times) - 1)
    count = min(max(int(len(level) * step / (LAGS[-1] - LAGS[0]) + 1e-6), 1), TURNS)
    forwards = np.stack([np.roll(level, round(k * len(level) / count)) for k in range(count)])
    return np.concatenate([forwards, forwards[:, ::-1]])


def _tells(movements: Sequence[Movement]) -> bool:
    """Whether there are enough movements, none of them as long as a syllable."""
    return len(movements) >= FEWEST and bool(np.median([m.end - m.begin for m in movements]) <= LONGEST)


def _synchronies(movements: Sequence[Movement], times: Array, levels: Array) -> Array:
    """``[S]`` correlations at the best lag of a mouth with each of ``[S, K]`` levels."""
    amount = np.log(np.maximum([m.amount for m in movements], 0.0) + _NOISE)
    begin, end = np.array([m.begin for m in movements]), np.array([m.end for m in movements])
    loud = np.maximum(levels, levels.max() - _RANGE)
    area = np.zeros_like(loud)
    area[:, 1:] = np.cumsum(np.diff(times) * (loud[:, 1:] + loud[:, :-1]) / 2, 1)
    best = np.full(len(levels), -1.0)
    for lag in LAGS:
        low, high = np.clip(begin + lag, times[0], times[-1]), np.clip(end + lag, times[0], times[-1])
        inside = high - low > 0.5 * (end - begin)
        moved = amount[inside] - amount[inside].mean() if inside.sum() >= FEWEST else np.zeros(0)
        if not (moved.size and moved.std() > 1e-6):
            continue
        low, high = low[inside], high[inside]
        heard = (_at(high, times, area) - _at(low, times, area)) / (high - low)
        heard -= heard.mean(1, keepdims=True)
        spread = heard.std(1)
        r = (heard @ moved) / (len(moved) * moved.std() * np.maximum(spread, 1e-6))
        best = np.where(spread > 1e-6, np.maximum(best, r), best)
    return np.where(best > -1.0, best, 0.0)


def _at(wanted: Array, times: Array, values: Array) -> Array:
    """``[S, M]``: ``[S, K]`` values at times, interpolated to the wanted ones."""
    place = np.interp(wanted, times, np.arange(len(times), dtype=np.float64))
    left = np.minimum(place.astype(int), len(times) - 2)
    share = place - left
    between: Array = values[:, left] * (1 - share) + values[:, left + 1] * share
    return between


def _standard_errors(first: float, second: float, count: int) -> float:
    """By how many standard errors two correlations over ``count`` points differ, by Fisher's z."""
    z = [math.atanh(min(max(r, -0.999), 0.999)) for r in (first, second)]
    return (z[0] - z[1]) / math.sqrt(2 / max(count - 3, 1))


def _part(patch: np.ndarray[tuple[int, ...], np.dtype[np.float32]], share: tuple[tuple[float, float], ...]) -> Array:
    (top, bottom), (left, right) = share
    height, width = patch.shape
    return patch[round(top * height) : round(bottom * height), round(left * width) : round(right * width)].astype(float)
