"""What the rules find in one clip: scores of emotions, and the rules that fired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from multiemo.records import Record, record

#: The emotions that rules score, in order: Ekman's six and neutral, in the spelling of this package.
EMOTIONS: tuple[str, ...] = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")


@record
class RuleReason(Record):
    """One rule that fired.

    Args:
        rule: the rule in words ("'not' turns 'happy' around").
        part: the word, cue or action unit it refers to.
        effect: {emotion: what the rule adds to its score}.
        source: publication or list that the rule comes from.
        first, last: position of the first character in the text, and of the one after the last; text only.
    """

    rule: str
    part: str
    effect: dict[str, float]
    source: str
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What the rules find in one modality of one clip.

    Args:
        scores: {emotion of :data:`EMOTIONS`: score, at least 0}; an emotion that no rule mentions may be left out.
        valence: -1..1, 0 if unknown.
        arousal: -1..1, 0 if unknown.
        reasons: the rules that fired, strongest first; empty if none did.
        limits: what the rules cannot know here, one sentence each.
    """

    scores: Mapping[str, float]
    valence: float = 0.0
    arousal: float = 0.0
    reasons: Sequence[RuleReason] = field(default_factory=tuple)
    limits: Sequence[str] = field(default_factory=tuple)
