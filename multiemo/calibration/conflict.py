"""A calibrated score that two modalities of a clip contradict each other, fitted on validation.

The raw score is the log-odds that the two branches mean opposite polarities, ``p_a(+) p_b(-) + p_a(-) p_b(+)``, each
with its own calibrated probabilities. Matched pairs are the modalities of one clip. Mismatched pairs combine modality A
of one clip with modality B of another clip of the opposite polarity. A logistic function maps the raw score to the
probability of a mismatch at even odds (Platt 1999, with his smoothed targets). It increases, so the area under the ROC
curve and the false-alarm rates depend on the raw score only and not on these two parameters.

If the label set has no polarities, the raw score is the log-odds that the branches mean different labels, and a
mismatch combines clips with different labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.labels import polarities
from multiemo.records import Record, record
from multiemo.types import SUBSETS

#: Smallest numbers of validation clips: matched pairs, and pairs' clips of each polarity.
SMALLEST_CLIPS, SMALLEST_POLARITY = 20, 5
#: Largest number of mismatched pairs; more are drawn.
_MOST_PAIRS = 20_000
#: A score above the threshold is flagged; this share of the matched pairs exceeds it.
FALSE_ALARMS = 0.05
#: Levels of the stored quantiles of the matched scores; denser in the upper tail.
LEVELS: tuple[float, ...] = (
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0,
)  # fmt: skip
_SMALLEST = 1e-6


@record
class PairConflict(Record):
    """The conflict score of two modalities.

    Args:
        slope: factor of the raw score, above 0.
        intercept: constant of the logistic function.
        quantiles: scores of the matched pairs at the levels of :data:`LEVELS`.
        threshold: a score above it is flagged; 5% of the matched pairs or fewer are.
        auroc: area under the ROC curve of mismatched against matched pairs of clips that have a polarity. Neutral clips
            would flatter it, as the mismatched pairs have none.
        auroc_ci: its 95% interval over speakers.
        clips: number of matched pairs.
        speakers: number of their speakers.
        mismatched: number of mismatched pairs.
    """

    slope: float
    intercept: float
    quantiles: list[float]
    threshold: float
    auroc: float
    auroc_ci: tuple[float, float]
    clips: int
    speakers: int
    mismatched: int

    def score(self, raw: float) -> float:
        """The probability of a contradiction at even odds, from the raw score."""
        return float(1 / (1 + np.exp(-(self.slope * raw + self.intercept))))

    def false_alarm_rate(self, score: float) -> float:
        """Share of matched pairs with at least this score, at least one of ``clips + 1``."""
        reached = float(np.interp(score, self.quantiles, LEVELS)) if score > self.quantiles[0] else 0.0
        return max(1 - reached, 1 / (self.clips + 1))


@record
class ConflictCalibration(Record):
    """The conflict scores of a model.

    Args:
        pairs: {subset key of two modalities: score}.
        missing: {subset key of two modalities: why there is no score}.
    """

    pairs: dict[str, PairConflict] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """One note for each pair of modalities without a score."""
        return [f"no conflict score for {' and '.join(SUBSETS[key])}: {why}" for key, why in self.missing.items()]


@dataclass(frozen=True, slots=True)
class ConflictPairs:
    """Raw scores of the validation pairs of two modalities.

    Args:
        matched: ``[N]`` raw scores.
        clips: ``[N]`` clip of each.
        polar: ``[N]``, whether the label of the clip has a polarity; all true for labels without any.
        mismatched: ``[K]`` raw scores.
        first, second: ``[K]`` clips that each combines.
    """

    matched: Array
    clips: NDArray[np.int64]
    polar: NDArray[np.bool_]
    mismatched: Array
    first: NDArray[np.int64]
    second: NDArray[np.int64]


def polarity_shares(probabilities: Array, labels: Sequence[str], task: str = "single") -> Array | None:
    """Probabilities of positive and negative, ``[..., 2]``; ``None`` if the label set lacks either.

    With several labels at once, a polarity has the probability of its most probable label.

    Args:
        probabilities: ``[..., C]``, calibrated.
        labels: the C labels.
        task: ``single``, ``soft`` or ``multi``.
    """
    known = polarities(labels)
    if known[0] is None and not any(known):
        return None
    columns = [[c for c, name in enumerate(known) if name == sign] for sign in ("positive", "negative")]
    pick = np.max if task == "multi" else np.sum
    return np.stack([pick(probabilities[..., c], axis=-1) for c in columns], axis=-1)


def contradiction(first: Array, second: Array, labels: Sequence[str], task: str = "single") -> Array:
    """The raw conflict score of pairs of branches, ``[...]``.

    Args:
        first: ``[..., C]`` calibrated probabilities of one branch.
        second: ``[..., C]`` of the other.
        labels: the C labels.
        task: ``single``, ``soft`` or ``multi``; ``multi`` needs labels with polarities.
    """
    one, two = (polarity_shares(p, labels, task) for p in (first, second))
    if one is None or two is None:
        chance = 1 - (first * second).sum(axis=-1)
    else:
        chance = one[..., 0] * two[..., 1] + one[..., 1] * two[..., 0]
    chance = np.clip(chance, _SMALLEST, 1 - _SMALLEST)
    return np.asarray(np.log(chance) - np.log1p(-chance))


def conflict_pairs(
    first: Array,
    second: Array,
    both: NDArray[np.bool_],
    target: Array,
    labels: Sequence[str],
    *,
    task: str = "single",
    seed: int = 0,
) -> ConflictPairs | str:
    """Matched and mismatched pairs of validation clips, or why there are too few.

    Args:
        first: ``[N, C]`` calibrated probabilities of one branch.
        second: ``[N, C]`` of the other.
        both: ``[N]``, whether the clip has both modalities.
        target: ``[N, C]``.
        labels: the C labels.
        task: ``single``, ``soft`` or ``multi``.
        seed: seed of the draw among very many mismatched pairs.
    """
    rows = np.flatnonzero(both)
    if len(rows) < SMALLEST_CLIPS:
        return f"{len(rows)} validation clips have both modalities; {SMALLEST_CLIPS} are needed"
    known = polarities(labels)
    groups: NDArray[np.int64] = target.argmax(axis=1)
    polar = np.ones(len(rows), dtype=bool)
    if any(known):
        signs = np.array([{"positive": 1, "negative": -1}.get(str(name), 0) for name in known])
        groups = np.sign((target * signs).sum(axis=1)).astype(np.int64)
        counts = {name: int((groups[rows] == sign).sum()) for name, sign in (("positive", 1), ("negative", -1))}
        few = [f"{count} {name}" for name, count in counts.items() if count < SMALLEST_POLARITY]
        if few:
            return f"{' and '.join(few)} validation clips have both modalities; {SMALLEST_POLARITY} are needed"
        opposite = groups[rows][:, None] * groups[rows][None, :] < 0
        polar = groups[rows] != 0
    elif task == "multi":
        return "several labels can hold at once, and the label set has no polarities"
    else:
        opposite = groups[rows][:, None] != groups[rows][None, :]
    a, b = np.nonzero(opposite)
    if len(a) < SMALLEST_POLARITY:
        return "all validation clips that have both modalities have the same label"
    if len(a) > _MOST_PAIRS:
        drawn = np.sort(np.random.default_rng(seed).choice(len(a), _MOST_PAIRS, replace=False))
        a, b = a[drawn], b[drawn]
    a, b = rows[a], rows[b]
    matched = contradiction(first[rows], second[rows], labels, task)
    return ConflictPairs(matched, rows, polar, contradiction(first[a], second[b], labels, task), a, b)


def fit_logistic(pairs: ConflictPairs) -> tuple[float, float]:
    """Slope and intercept of the probability of a mismatch, with both kinds weighted alike.

    Args:
        pairs: raw scores; their smoothed targets keep the slope finite if the kinds do not overlap.
    """
    raw = np.concatenate([pairs.matched, pairs.mismatched])
    few, many = len(pairs.matched), len(pairs.mismatched)
    goal = np.repeat([1 / (few + 2), (many + 1) / (many + 2)], [few, many])
    weight = np.repeat([0.5 / few, 0.5 / many], [few, many])
    design = np.stack([raw, np.ones_like(raw)], axis=1)
    found = np.zeros(2)
    for _ in range(50):  # Newton's method; the ridge is far below any effect that matters
        p = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        slope = design.T @ (weight * (p - goal)) + 1e-6 * found
        curve = (design * (weight * p * (1 - p))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(curve, slope)
        found -= np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    return float(found[0]), float(found[1])


def pair_conflict(
    pairs: ConflictPairs, auroc: tuple[float, float, float], least: float, speakers: int
) -> PairConflict | str:
    """The conflict score of a pair of modalities, or why it is of no use.

    Args:
        pairs: its validation pairs.
        auroc: as in :class:`PairConflict`, and the ends of its interval over speakers.
        least: lower end of the interval over clips, which decides whether the score is of use: with two or three
            validation speakers, an interval over them says nothing.
        speakers: number of speakers of the matched pairs.
    """
    value, low, high = auroc
    slope, intercept = fit_logistic(pairs)
    if least <= 0.5 or slope <= 0:
        return (
            f"contradictions cannot be told from agreement on {len(pairs.matched)} validation clips (AUROC {value:.2f},"
            f" at least {least:.2f} at 95% over clips)"
        )
    scores = 1 / (1 + np.exp(-(slope * pairs.matched + intercept)))
    allowed = int(FALSE_ALARMS * len(scores))
    return PairConflict(
        slope=slope,
        intercept=intercept,
        quantiles=[float(f"{q:.6g}") for q in np.quantile(scores, LEVELS)],
        threshold=float(np.sort(scores)[-1 - allowed]),
        auroc=round(value, 4),
        auroc_ci=(round(low, 4), round(high, 4)),
        clips=len(scores),
        speakers=speakers,
        mismatched=len(pairs.mismatched),
    )
