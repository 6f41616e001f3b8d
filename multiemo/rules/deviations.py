"""Rules about measured cues: how far a cue deviates from a baseline, and what that says. Reasons add up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from multiemo.labels.circumplex import circumplex
from multiemo.rules.findings import Findings, RuleReason

#: Deviations up to this many standard deviations count as none, and larger ones count up to ``LARGEST``.
DEAD_ZONE, LARGEST = 0.5, 2.5
#: If the root mean square of the deviations beyond the dead zone is below this, little stands out.
UNREMARKABLE = 0.5


@dataclass(frozen=True, slots=True)
class CueRule:
    """What a deviation of one cue says.

    Args:
        high, low: what it looks or sounds like if the cue is above or below the baseline.
        marks: {emotion: -2..2}; positive if expressions of it are above the baseline.
        smallest: smallest standard deviation that a baseline may have, in the unit of the cue. A smaller one would turn
            differences that nobody notices into deviations.
        source: publications.
    """

    high: str
    low: str
    marks: Mapping[str, int]
    smallest: float
    source: str


@dataclass(frozen=True, slots=True)
class CueBaseline:
    """What the cues of a clip are compared with.

    Args:
        mean: {cue: mean over clips}; a cue that fewer than two clips have is left out.
        sd: {cue: standard deviation between clips}.
        clips: number of clips behind it.
        whose: whose clips they are, as reasons name it: ``the corpus``, ``this speaker``.
    """

    mean: Mapping[str, float]
    sd: Mapping[str, float]
    clips: int
    whose: str = "the corpus"

    @classmethod
    def of(cls, clips: Iterable[Mapping[str, float]], *, whose: str = "the corpus") -> CueBaseline:
        """Measure a baseline. It uses no labels.

        Args:
            clips: {cue: value} of each clip, all with the same cues; NaN where a value is unknown.
            whose: whose clips they are.

        Example:
            >>> own = CueBaseline.of([{"level": -30.0}, {"level": -26.0}], whose="this speaker")
            >>> own.deviation("level", -24.0), own.deviation("level", -24.0, smallest=4.0)
            (2.0, 1.0)
        """
        rows = list(clips)
        values = {cue: np.array([row[cue] for row in rows], dtype=np.float64) for cue in (rows[0] if rows else ())}
        known = {cue: finite for cue, column in values.items() if len(finite := column[np.isfinite(column)]) > 1}
        mean = {cue: float(column.mean()) for cue, column in known.items()}
        return cls(mean, {cue: float(column.std()) for cue, column in known.items()}, len(rows), whose)

    def deviation(self, cue: str, value: float, *, smallest: float = 0.0) -> float | None:
        """Standard deviations of a value above the mean; ``None`` if the value, or the mean of the cue, is unknown.

        Args:
            cue: name of the cue.
            value: its value in its unit.
            smallest: smallest standard deviation to divide by.
        """
        if not math.isfinite(value) or cue not in self.mean:
            return None
        sd = max(self.sd[cue], smallest)
        return (value - self.mean[cue]) / sd if sd > 0 else None


def deviations(values: Mapping[str, float], rules: Mapping[str, CueRule], baseline: CueBaseline) -> dict[str, float]:
    """{cue: deviation} of the cues that have a rule, a value and a baseline.

    Args:
        values: {cue: value in its unit}; NaN where unknown.
        rules: {cue: rule}.
        baseline: what they are compared with.
    """
    found = {
        cue: baseline.deviation(cue, value, smallest=rules[cue].smallest)
        for cue, value in values.items()
        if cue in rules
    }
    return {cue: deviation for cue, deviation in found.items() if deviation is not None}


def deviation_reasons(found: Mapping[str, float], rules: Mapping[str, CueRule], whose: str) -> list[RuleReason]:
    """The reasons of deviating cues; if little stands out, one that speaks for neutral.

    The effect of a cue is its mark times the deviation beyond the dead zone. It is divided by the length of the
    emotion's column of marks, so that no emotion wins by having more marks.

    Args:
        found: {cue: standard deviations from the baseline}.
        rules: {cue: rule}.
        whose: whose clips the baseline is.
    """
    if not found:
        return []
    emotions = sorted({emotion for rule in rules.values() for emotion in rule.marks})
    length = {e: math.sqrt(sum(rule.marks.get(e, 0) ** 2 for rule in rules.values())) for e in emotions}
    reasons = []
    for cue, deviation in found.items():
        if not (size := beyond(deviation)):
            continue
        rule = rules[cue]
        word, side = (rule.high, "above") if deviation > 0 else (rule.low, "below")
        effect = {emotion: round(mark * size / length[emotion], 4) for emotion, mark in rule.marks.items()}
        words = f"{word}: {abs(deviation):.1f} sd {side} {whose}"
        reasons.append(RuleReason(rule=words, part=cue, effect=effect, source=rule.source))
    spread = math.sqrt(sum(beyond(deviation) ** 2 for deviation in found.values()) / len(found))
    if spread < UNREMARKABLE:
        reasons.append(little_stands_out(1 - spread / UNREMARKABLE, f"close to {whose} overall"))
    return reasons


def beyond(deviation: float) -> float:
    """The part of a deviation beyond the dead zone, with its sign.

    Example:
        >>> beyond(0.4), beyond(-1.5), beyond(9.0)
        (0.0, -1.0, 2.0)
    """
    size = max(min(abs(deviation), LARGEST) - DEAD_ZONE, 0.0)
    return math.copysign(size, deviation) if size else 0.0


def little_stands_out(amount: float, words: str) -> RuleReason:
    """The reason that speaks for neutral.

    Args:
        amount: what it adds to the score of neutral.
        words: what was found, in words.
    """
    rule = f"little stands out: {words}"
    return RuleReason(rule=rule, part="all", effect={"neutral": round(amount, 4)}, source="no other rule applies")


def add_up(reasons: Iterable[RuleReason], limits: Sequence[str], *, arousal: float | None = None) -> Findings:
    """Findings of reasons whose effects add up, strongest first.

    Valence is the mean of the scored emotions on the circumplex, weighted by score, and nearer zero if they are weak.

    Args:
        reasons: the rules that fired.
        limits: what the rules cannot know here.
        arousal: -1..1; ``None`` takes it from the scored emotions, as valence.

    Example:
        >>> smile = RuleReason(rule="smile", part="mouth", effect={"happy": 1.0, "sad": -1.0}, source="x")
        >>> found = add_up([smile], [])
        >>> dict(found.scores), round(found.valence, 3)
        ({'happy': 1.0}, 0.405)
    """
    ordered = sorted(reasons, key=lambda reason: -max(map(abs, reason.effect.values())))
    totals: dict[str, float] = {}
    for reason in ordered:
        for emotion, amount in reason.effect.items():
            totals[emotion] = totals.get(emotion, 0.0) + amount
    scores = {emotion: total for emotion, total in totals.items() if total > 0}
    placed = [(score, place) for emotion, score in scores.items() if (place := circumplex(emotion)) is not None]
    weight = 1 + sum(scores.values())
    valence = sum(score * place[0] for score, place in placed) / weight
    if arousal is None:
        arousal = sum(score * place[1] for score, place in placed) / weight
    return Findings(scores, valence, arousal, ordered, limits)
