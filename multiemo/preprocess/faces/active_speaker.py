"""Active speaker detection: the face whose mouth moves when the voice is loud.

The movement of a mouth is the mean absolute difference of the mouth region between consecutive stabilised patches,
minus that of the still part of the face. Head motion, compression and flicker therefore cancel (mouth motion as in
Everingham, Sivic & Zisserman 2006). Its logarithm is correlated with the level of the voice over the same intervals, at
the best of a few lags (audio-visual synchrony, Hershey & Movellan 1999; lip and acoustic envelope, Chandrasekaran et
al. 2009). The best of several faces is chosen if two conditions hold: its correlation exceeds the next one by more than
chance would (Fisher's z), and an unrelated voice would rarely reach this correlation with any of the faces. Otherwise
nobody is chosen.

Voices and mouths both change slowly, and the best of several lags and faces is used, so high correlations also occur by
chance. Their distribution is estimated from circular shifts of the voice level within its span, forwards and backwards.
Each shift keeps the autocorrelation and is evaluated in the same way (the largest statistic of each; Westfall & Young
1993, "Resampling-Based Multiple Testing"). The shifts are further apart than the lags reach, so none contains the true
alignment. Together they form a group, so the rank of the unshifted level among them is exact if the level is
stationary. Ten shifts, and ten backwards, are the fewest for which the best has a p-value of 5%, so no speaker can be
chosen in less than 4 s.

For spans of 4 to 12 s of real voices (RAVDESS, joined takes) with two or three unrelated mouths, a speaker is chosen in
2.9% (13800 spans; 95%: 2.6 to 3.2): 1.0% with the mouths of real films, 4.3% with mouths that drift, 5.8% with mouths
that speak other sentences. Without the shifts it was 15.4%, up to 30%.

The power depends on the frame rate. With two drawn people of whom one talks for 4 s (24 films), 12.5 frames per second
find the right one in 13 films; 8 in 4; 6 in 2, and the wrong one in 1; nobody is chosen in the others. For 8 s, 12.5
frames per second find the right one in 21 films and never the wrong one. A syllable lasts about a quarter of a second,
so 4 frames per second are not enough to choose anybody.
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
#: Smallest number of movements of a mouth that can be evaluated, and their largest median duration, seconds.
MIN_MOVEMENTS = 8
MAX_MOVEMENT_SECONDS = 0.18
#: Smallest correlation of a speaking mouth.
MIN_CORRELATION = 0.25
#: Number of standard errors by which the best correlation must exceed the next (one-sided 5%).
MIN_STANDARD_ERRORS = 1.645
#: Probability of choosing a speaker although no mouth is related to the voice.
SIGNIFICANCE = 0.05
#: Largest number of circular shifts of the voice level; each is used forwards and backwards.
MAX_SHIFTS = 50
#: Levels this far below the loudest (dB) are silence.
_DYNAMIC_RANGE_DB = 40.0
#: Movements below this many grey levels are noise.
_NOISE_LEVELS = 0.3
#: Regions of an upright patch as shares of its side, rows and columns: the mouth; the nose and cheeks, which stay still
#: while a person blinks, frowns or talks.
_MOUTH = ((EYES_Y + 0.28, EYES_Y + 0.58), (0.5 - 0.25, 0.5 + 0.25))
_STILL = ((EYES_Y + 0.08, EYES_Y + 0.24), (0.5 - EYES_APART / 2 - 0.08, 0.5 + EYES_APART / 2 + 0.08))


@dataclass(frozen=True, slots=True)
class Movement:
    """Movement of a mouth between two pictures.

    Args:
        begin: time of the first picture, seconds.
        end: time of the second picture, seconds.
        amount: size of the movement, grey levels.
    """

    begin: float
    end: float
    amount: float


@dataclass(frozen=True, slots=True)
class ActiveSpeaker:
    """The person who is speaking.

    Args:
        person: id, or ``None`` if the voice does not decide.
        scores: {id: correlation of mouth and voice}, without faces that were seen too briefly.
        why: explanation of the decision, with numbers.
    """

    person: int | None
    scores: dict[int, float]
    why: str


def mouth_motion(before: Pixels, after: Pixels) -> float:
    """Change of the mouth minus that of the still part of the face, grey levels.

    Args:
        before: ``[P, P]`` uint8 patch of the face, upright.
        after: a later patch, aligned by the same rigid points.
    """
    change = after.astype(np.float32) - before
    still = _region(change, _STILL)
    shift = still.mean()
    return float(np.abs(_region(change, _MOUTH) - shift).mean() - np.abs(still - shift).mean())


def synchrony(movements: Sequence[Movement], times: Array, level: Array) -> float | None:
    """Correlation of a mouth's movement with the voice at the best lag, -1..1.

    Args:
        movements: movements of one mouth, in order of time.
        times: ``[K]`` seconds, ascending.
        level: ``[K]`` level of the voice: decibels, or probability.

    Returns:
        The correlation, or ``None`` if the movements are too few or too long.
    """
    if len(times) < 2 or not _are_usable(movements):
        return None
    return float(_synchronies(movements, times, level[None])[0])


def who_speaks(movements: Mapping[int, Sequence[Movement]], times: Array, level: Array) -> ActiveSpeaker:
    """Find the face whose mouth moves with the voice.

    Args:
        movements: {id: movements of the mouth in the span}.
        times: ``[K]`` seconds, evenly spaced.
        level: ``[K]`` level of the voice: decibels, or probability.
    """
    usable = [person for person, m in movements.items() if _are_usable(m)] if len(times) > 1 else []
    if not usable:
        return ActiveSpeaker(None, {}, "too few pictures, or too low a frame rate, to decide who speaks")
    found = np.stack([_synchronies(movements[person], times, circular_shifts(times, level)) for person in usable])
    scores = {person: float(r) for person, r in zip(usable, found[:, 0], strict=True)}
    ranked = sorted(scores, key=lambda person: -scores[person])
    first = scores[ranked[0]]
    numbers = f"r {first:.2f}"
    if len(ranked) > 1:
        numbers += f"; next {scores[ranked[1]]:.2f}"
    if found.shape[1] * SIGNIFICANCE < 1:
        seconds = times[-1] - times[0]
        return ActiveSpeaker(None, scores, f"{seconds:.1f} s are too short to decide who speaks ({numbers})")
    p = float((found.max(0) >= first).mean())  # the first row is the unshifted level
    numbers += f"; p {p:.2f}"
    clear = (
        p <= SIGNIFICANCE
        and first >= MIN_CORRELATION
        and all(
            _standard_errors(first, scores[other], min(len(movements[ranked[0]]), len(movements[other])))
            >= MIN_STANDARD_ERRORS
            for other in ranked[1:]
        )
    )
    if clear and len(ranked) > 1:
        return ActiveSpeaker(ranked[0], scores, f"mouth moves with the voice ({numbers})")
    return ActiveSpeaker(None, scores, f"no mouth moves clearly with the voice ({numbers})")


def circular_shifts(times: Array, level: Array) -> Array:
    """Circular shifts of the level by even steps longer than the lags reach, then all of them backwards.

    Args:
        times: ``[K]`` seconds, evenly spaced.
        level: ``[K]``.

    Returns:
        ``[S, K]``; the first row is the level itself.
    """
    step = (times[-1] - times[0]) / (len(times) - 1)
    count = min(max(int(len(level) * step / (LAGS[-1] - LAGS[0]) + 1e-6), 1), MAX_SHIFTS)
    forwards = np.stack([np.roll(level, round(k * len(level) / count)) for k in range(count)])
    return np.concatenate([forwards, forwards[:, ::-1]])


def _are_usable(movements: Sequence[Movement]) -> bool:
    """Whether there are enough movements, and their median is shorter than a syllable."""
    return len(movements) >= MIN_MOVEMENTS and bool(
        np.median([m.end - m.begin for m in movements]) <= MAX_MOVEMENT_SECONDS
    )


def _synchronies(movements: Sequence[Movement], times: Array, levels: Array) -> Array:
    """Correlations ``[S]`` of a mouth with each of the levels ``[S, K]``, at the best lag."""
    amount = np.log(np.maximum([m.amount for m in movements], 0.0) + _NOISE_LEVELS)
    begin, end = np.array([m.begin for m in movements]), np.array([m.end for m in movements])
    loud = np.maximum(levels, levels.max() - _DYNAMIC_RANGE_DB)
    area = np.zeros_like(loud)
    area[:, 1:] = np.cumsum(np.diff(times) * (loud[:, 1:] + loud[:, :-1]) / 2, 1)
    best = np.full(len(levels), -1.0)
    for lag in LAGS:
        low, high = np.clip(begin + lag, times[0], times[-1]), np.clip(end + lag, times[0], times[-1])
        inside = high - low > 0.5 * (end - begin)
        moved = amount[inside] - amount[inside].mean() if inside.sum() >= MIN_MOVEMENTS else np.zeros(0)
        if not (moved.size and moved.std() > 1e-6):
            continue
        low, high = low[inside], high[inside]
        voice = (_interpolated(high, times, area) - _interpolated(low, times, area)) / (high - low)
        voice -= voice.mean(1, keepdims=True)
        spread = voice.std(1)
        r = (voice @ moved) / (len(moved) * moved.std() * np.maximum(spread, 1e-6))
        best = np.where(spread > 1e-6, np.maximum(best, r), best)
    return np.where(best > -1.0, best, 0.0)


def _interpolated(wanted: Array, times: Array, values: Array) -> Array:
    """Interpolate ``[S, K]`` values at ``times`` to the ``[M]`` wanted times: ``[S, M]``."""
    place = np.interp(wanted, times, np.arange(len(times), dtype=np.float64))
    left = np.minimum(place.astype(int), len(times) - 2)
    share = place - left
    between: Array = values[:, left] * (1 - share) + values[:, left + 1] * share
    return between


def _standard_errors(first: float, second: float, count: int) -> float:
    """Difference of two correlations over ``count`` points in standard errors, by Fisher's z."""
    z = [math.atanh(min(max(r, -0.999), 0.999)) for r in (first, second)]
    return (z[0] - z[1]) / math.sqrt(2 / max(count - 3, 1))


def _region(patch: np.ndarray[tuple[int, ...], np.dtype[np.float32]], share: tuple[tuple[float, float], ...]) -> Array:
    (top, bottom), (left, right) = share
    height, width = patch.shape
    return patch[round(top * height) : round(bottom * height), round(left * width) : round(right * width)].astype(float)
