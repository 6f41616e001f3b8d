"""Which of several faces speaks: the one whose mouth moves when the voice is loud.

Each face's mouth movement is the mean absolute difference of the mouth between consecutive stabilised patches, less
that of the still part of the face, so that neither head motion nor compression nor flicker counts (mouth motion as in
Everingham, Sivic & Zisserman 2006). Its logarithm is correlated with the level of the voice over the same intervals, at
the best of a few lags (audio-visual synchrony, Hershey & Movellan 1999; lip and acoustic envelope, Chandrasekaran et
al. 2009). The best face is taken where its correlation beats the next by more than chance would (Fisher's z); else
nobody is named.

How much that tells depends on the frames: of two drawn people of whom one talks for 4 s (24 films), 12.5 frames a
second name the right one in 16 films, 8 in 8, 6 in 3, and nobody in the others; the wrong one is never named. A
syllable lasts about a quarter of a second, so 4 frames a second tell nothing and name nobody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from multiemo.preprocess.detect import Pixels
from multiemo.preprocess.face import EYES_APART, EYES_Y, Doubles

#: Lags of the voice behind the mouth that are tried, seconds.
LAGS = (-0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2)
#: Fewest movements of a mouth that say anything, and the longest that one of them may take, seconds (their median).
FEWEST = 8
LONGEST = 0.18
#: Lowest correlation of a speaking mouth.
LOWEST = 0.25
#: By how many standard errors the best correlation must beat the next (one-sided 5%).
MARGIN = 1.645
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
class Speaker:
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


def synchrony(movements: Sequence[Movement], times: Doubles, level: Doubles) -> float | None:
    """Correlation of a mouth's movement with the voice at the best lag, -1..1; ``None`` for too few or too slow ones.

    Args:
        movements: of one mouth, in order of time.
        times: ``[K]`` seconds, ascending.
        level: ``[K]`` of the voice: decibels, or probability.
    """
    if len(movements) < FEWEST or len(times) < 2:
        return None
    amount = np.log(np.maximum([m.amount for m in movements], 0.0) + _NOISE)
    begin, end = np.array([m.begin for m in movements]), np.array([m.end for m in movements])
    if np.median(end - begin) > LONGEST:
        return None
    loud = np.maximum(level, level.max() - _RANGE)
    area = np.concatenate([[0.0], np.cumsum(np.diff(times) * (loud[1:] + loud[:-1]) / 2)])
    best = -1.0
    for lag in LAGS:
        low, high = np.clip(begin + lag, times[0], times[-1]), np.clip(end + lag, times[0], times[-1])
        inside = high - low > 0.5 * (end - begin)
        if inside.sum() < FEWEST:
            continue
        heard = (np.interp(high, times, area) - np.interp(low, times, area))[inside] / (high - low)[inside]
        if heard.std() > 1e-6 and amount[inside].std() > 1e-6:
            best = max(best, float(np.corrcoef(heard, amount[inside])[0, 1]))
    return best if best > -1.0 else 0.0


def who_speaks(movements: Mapping[int, Sequence[Movement]], times: Doubles, level: Doubles) -> Speaker:
    """The face whose mouth goes with the voice.

    Args:
        movements: {id: movements of the mouth in the span}.
        times, level: as in :func:`synchrony`.
    """
    scores = {person: r for person, m in movements.items() if (r := synchrony(m, times, level)) is not None}
    if not scores:
        return Speaker(None, scores, "too few pictures, or too few a second, to tell who speaks")
    ranked = sorted(scores, key=lambda person: -scores[person])
    first = scores[ranked[0]]
    numbers = f"r {first:.2f}"
    if len(ranked) > 1:
        numbers += f"; next {scores[ranked[1]]:.2f}"
    clear = first >= LOWEST and all(
        _standard_errors(first, scores[p], min(len(movements[ranked[0]]), len(movements[p]))) >= MARGIN
        for p in ranked[1:]
    )
    if clear and len(ranked) > 1:
        return Speaker(ranked[0], scores, f"mouth moves with the voice ({numbers})")
    return Speaker(None, scores, f"no mouth moves clearly with the voice ({numbers})")


def _standard_errors(first: float, second: float, count: int) -> float:
    """By how many standard errors two correlations over ``count`` points differ, by Fisher's z."""
    z = [math.atanh(min(max(r, -0.999), 0.999)) for r in (first, second)]
    return (z[0] - z[1]) / math.sqrt(2 / max(count - 3, 1))


def _part(patch: np.ndarray[tuple[int, ...], np.dtype[np.float32]], share: tuple[tuple[float, float], ...]) -> Doubles:
    (top, bottom), (left, right) = share
    height, width = patch.shape
    return patch[round(top * height) : round(bottom * height), round(left * width) : round(right * width)].astype(float)
