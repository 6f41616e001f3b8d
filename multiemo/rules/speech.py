"""Tone analysis: emotions by the deviations of a voice from a baseline.

Each cue of the voice is compared with a baseline, in standard deviations. A deviation beyond a dead zone adds to the
emotions whose voices deviate in that direction, and takes from those that deviate in the other. Nothing is learnt from
labels. The table holds what reviews of the literature report: two marks for a strong or consistent effect, one for an
effect that is weak or reported by few studies, none where they disagree.

Sources:
    - Juslin & Laukka 2003, "Communication of emotions in vocal expression and music performance", Psychological
      Bulletin 129(5), tables 7 and 11: anger, fear, happiness and sadness, from 104 studies.
    - Scherer 2003, "Vocal communication of emotion", Speech Communication 40, table 2: the same emotions.
    - Murray & Arnott 1993, "Toward the simulation of emotion in synthetic speech", JASA 93(2), table I: disgust.
    - Scherer & Oshinsky 1977, "Cue utilization in emotion attribution from auditory stimuli", Motivation and Emotion 1:
      surprise.
    - Goudbeek & Scherer 2010, "Beyond arousal: Valence and potency/control cues in the vocal expression of emotion",
      JASA 128(3): the cues of arousal.
    - Gobl & Ni Chasaide 2003, "The role of voice quality in communicating emotion, mood and attitude", Speech
      Communication 40: tense, breathy and whispery voices.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from multiemo.rules.circumplex import valence_of
from multiemo.rules.findings import Findings, RuleReason

#: Deviations up to this many standard deviations count as none, and larger ones count up to ``LARGEST``.
DEAD_ZONE, LARGEST = 0.5, 2.5
#: If the root mean square of the deviations beyond the dead zone is below this, the voice is unremarkable.
UNREMARKABLE = 0.5
#: With less voiced speech than this, in seconds, cues that need a phrase are left out.
SHORT = 0.5
#: Cues that need a phrase.
PHRASE_CUES = ("pitch_range", "pitch_slope", "level_range", "rate", "pauses")
#: Cues by which the arousal of a voice is estimated.
AROUSAL_CUES = ("level", "pitch", "pitch_range", "rate", "tilt")

_REVIEWS = "Juslin & Laukka 2003; Scherer 2003"
_WORDS_LIMIT = "The rules hear how something is said, not what. A voice tells arousal better than valence."


@dataclass(frozen=True, slots=True)
class ToneRule:
    """What a deviation of one cue says.

    Args:
        high, low: the voice in words if the cue is above or below the baseline.
        marks: {emotion: -2..2}; positive if its voices are above the baseline.
        smallest: smallest standard deviation that a baseline may have, in the unit of the cue. A smaller one would turn
            differences that nobody hears into deviations.
        source: publications.
    """

    high: str
    low: str
    marks: Mapping[str, int]
    smallest: float
    source: str


#: {cue of :data:`multiemo.preprocess.voice.cues.VOICE_CUES`: rule}
TONE_RULES: dict[str, ToneRule] = {
    "pitch": ToneRule(
        "high pitch",
        "low pitch",
        {"angry": 1, "happy": 2, "sad": -1, "fearful": 2, "disgusted": -1, "surprised": 2},
        0.5,
        f"{_REVIEWS}; Murray & Arnott 1993; Scherer & Oshinsky 1977",
    ),
    "pitch_range": ToneRule(
        "wide pitch range",
        "monotonous",
        {"angry": 1, "happy": 2, "sad": -2, "surprised": 2},
        0.5,
        f"{_REVIEWS}; Scherer & Oshinsky 1977",
    ),
    "pitch_slope": ToneRule(
        "rising pitch",
        "falling pitch",
        {"happy": 1, "sad": -1, "fearful": 1, "disgusted": -1, "surprised": 2},
        0.5,
        "Juslin & Laukka 2003; Murray & Arnott 1993; Scherer & Oshinsky 1977",
    ),
    "level": ToneRule(
        "loud", "soft", {"angry": 2, "happy": 1, "sad": -2, "disgusted": -1}, 1.0, f"{_REVIEWS}; Murray & Arnott 1993"
    ),
    "level_range": ToneRule(
        "uneven loudness",
        "even loudness",
        {"angry": 1, "happy": 1, "sad": -1, "fearful": 1},
        1.0,
        "Juslin & Laukka 2003",
    ),
    "rate": ToneRule(
        "fast",
        "slow",
        {"angry": 1, "happy": 1, "sad": -2, "fearful": 2, "disgusted": -2, "surprised": 1},
        0.2,
        f"{_REVIEWS}; Murray & Arnott 1993; Scherer & Oshinsky 1977",
    ),
    "pauses": ToneRule("many pauses", "no pauses", {"angry": -1, "happy": -1, "sad": 2}, 3.0, "Juslin & Laukka 2003"),
    "tilt": ToneRule("bright, tense voice", "dull voice", {"angry": 2, "happy": 1, "sad": -2}, 0.5, _REVIEWS),
    "h1_h2": ToneRule(
        "breathy voice", "pressed voice", {"angry": -1, "sad": 1, "fearful": 1}, 1.0, "Gobl & Ni Chasaide 2003"
    ),
    "jitter": ToneRule(
        "rough voice",
        "smooth voice",
        {"angry": 1, "happy": -1, "sad": 1, "fearful": 1},
        0.1,
        "Juslin & Laukka 2003",
    ),
}
#: {emotion: length of its column of marks}. Scores are divided by it, so that no emotion wins by having more marks.
_LENGTHS: dict[str, float] = {
    emotion: math.sqrt(sum(rule.marks.get(emotion, 0) ** 2 for rule in TONE_RULES.values()))
    for emotion in ("angry", "happy", "sad", "fearful", "disgusted", "surprised")
}


@dataclass(frozen=True, slots=True)
class ToneBaseline:
    """What a voice is compared with.

    Args:
        mean: {cue: mean in its unit}.
        sd: {cue: standard deviation between clips}.
        clips: number of clips behind it.
        seconds: seconds of speech in those clips; 0 if unknown.
        whose: whose voice it is, as reasons name it: ``the corpus``, ``this speaker``.
    """

    mean: Mapping[str, float]
    sd: Mapping[str, float]
    clips: int
    seconds: float = 0.0
    whose: str = "the corpus"

    @classmethod
    def of(
        cls, clips: Iterable[Mapping[str, float]], *, seconds: float = 0.0, whose: str = "the corpus"
    ) -> ToneBaseline:
        """Measure a baseline. It uses no labels.

        Args:
            clips: {cue: value} of each clip; NaN where a clip has no such cue.
            seconds: seconds of speech in all clips.
            whose: whose voice it is.
        """
        rows = list(clips)
        values = {cue: np.array([row[cue] for row in rows], dtype=np.float64) for cue in TONE_RULES}
        known = {cue: column[np.isfinite(column)] for cue, column in values.items()}
        known = {cue: column for cue, column in known.items() if len(column) > 1}
        mean = {cue: float(column.mean()) for cue, column in known.items()}
        sd = {cue: float(column.std()) for cue, column in known.items()}
        return cls(mean, sd, len(rows), seconds, whose)

    def deviation(self, cue: str, value: float) -> float | None:
        """Standard deviations of a value above the mean; ``None`` if the value or the baseline of the cue is unknown.

        Args:
            cue: name of the cue.
            value: its value in its unit.
        """
        if not math.isfinite(value) or cue not in self.mean:
            return None
        return (value - self.mean[cue]) / max(self.sd[cue], TONE_RULES[cue].smallest)


def read_tone(values: Mapping[str, float], baseline: ToneBaseline, *, voiced: float = math.inf) -> Findings:
    """What the rules find in a voice.

    Args:
        values: {cue of :data:`multiemo.preprocess.voice.cues.VOICE_CUES`: value in its unit}; NaN where unknown.
        baseline: what it is compared with.
        voiced: seconds of voiced speech behind the values.

    Returns:
        The findings: no reasons if nothing is voiced or there is no baseline.

    Example:
        >>> corpus = ToneBaseline({"level": -30.0}, {"level": 4.0}, clips=100)
        >>> found = read_tone({"level": -22.0}, corpus)
        >>> found.reasons[0].rule, max(found.scores, key=found.scores.get)
        ('loud: 2.0 sd above the corpus', 'angry')
    """
    short = voiced < SHORT
    found = {
        cue: deviation
        for cue, value in values.items()
        if cue in TONE_RULES and not (short and cue in PHRASE_CUES)
        and (deviation := baseline.deviation(cue, value)) is not None
    }  # fmt: skip
    if not found:
        return Findings({}, limits=[_why_nothing(baseline)])
    limits = [_WORDS_LIMIT]
    if baseline.whose == "the corpus":
        limits.append("The voice is compared with the corpus: what is the speaker's own counts as deviation.")
    if short:
        limits.append(f"Only {voiced:.1f} s are voiced: range, contour, rate and pauses are left out.")
    sizes = {cue: _beyond(deviation) for cue, deviation in found.items()}
    reasons = [_reason(cue, found[cue], size, baseline.whose) for cue, size in sizes.items() if size]
    unremarkable = math.sqrt(sum(size**2 for size in sizes.values()) / len(sizes))
    if unremarkable < UNREMARKABLE:
        effect = {"neutral": round(1 - unremarkable / UNREMARKABLE, 4)}
        rule = f"nothing stands out: the voice is close to {baseline.whose}"
        reasons.append(RuleReason(rule=rule, part="all cues", effect=effect, source="absence of the other rules"))
    reasons.sort(key=lambda reason: -max(map(abs, reason.effect.values())))
    totals: dict[str, float] = {}
    for reason in reasons:
        for emotion, amount in reason.effect.items():
            totals[emotion] = totals.get(emotion, 0.0) + amount
    scores = {emotion: total for emotion, total in totals.items() if total > 0}
    known = [sizes[cue] for cue in AROUSAL_CUES if cue in sizes]
    arousal = sum(known) / len(known) / (LARGEST - DEAD_ZONE) if known else 0.0
    return Findings(scores, valence_of(scores), arousal, reasons, limits)


def _beyond(deviation: float) -> float:
    """The part of a deviation beyond the dead zone, with its sign."""
    return math.copysign(max(min(abs(deviation), LARGEST) - DEAD_ZONE, 0.0), deviation)


def _reason(cue: str, deviation: float, size: float, whose: str) -> RuleReason:
    """The reason of one cue.

    Args:
        cue: name of the cue.
        deviation: standard deviations from the baseline.
        size: the part of it beyond the dead zone.
        whose: whose voice the baseline is.
    """
    rule = TONE_RULES[cue]
    word, side = (rule.high, "above") if deviation > 0 else (rule.low, "below")
    effect = {emotion: round(mark * size / _LENGTHS[emotion], 4) for emotion, mark in rule.marks.items()}
    return RuleReason(
        rule=f"{word}: {abs(deviation):.1f} sd {side} {whose}", part=cue, effect=effect, source=rule.source
    )


def _why_nothing(baseline: ToneBaseline) -> str:
    if not baseline.mean:
        return "There is no baseline: at least two clips with a voice are needed to compare with."
    return "No voiced speech was found, so there is no tone to analyse."
