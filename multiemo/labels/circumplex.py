"""Positions of categories on the plane of valence and arousal.

Source: Russell & Mehrabian 1977, "Evidence for a three-factor theory of emotions", Journal of Research in Personality
11, 273-294 (doi:10.1016/0092-6566(77)90037-X): mean ratings of 151 emotion terms by 300 people in all, on scales from
-1 to 1. Pleasure is used as valence. The terms are adjectives; a noun of GoEmotions has the value of its adjective.
"""

from __future__ import annotations

from multiemo.labels.sets import find_label

#: {category: (pleasure, arousal)}
_RATINGS: dict[str, tuple[float, float]] = {
    "happy": (0.81, 0.51),
    "joyful": (0.76, 0.48),
    "excited": (0.62, 0.75),
    "surprised": (0.40, 0.67),
    "angry": (-0.51, 0.59),
    "fearful": (-0.64, 0.60),
    "disgusted": (-0.60, 0.35),
    "frustrated": (-0.64, 0.52),
    "sad": (-0.63, -0.27),
    "bored": (-0.65, -0.62),
    # GoEmotions, after joyful, confused, curious, grateful and proud.
    "joy": (0.76, 0.48),
    "confusion": (-0.53, 0.27),
    "curiosity": (0.22, 0.62),
    "gratitude": (0.64, 0.16),
    "pride": (0.77, 0.38),
}


def circumplex(label: str) -> tuple[float, float] | None:
    """(valence, arousal) of a category, each in -1..1, or ``None`` if the source does not rate it.

    Args:
        label: a label of any label set; other spellings are resolved.

    Example:
        >>> circumplex("angry"), circumplex("anger")
        ((-0.51, 0.59), (-0.51, 0.59))
        >>> circumplex("neutral") is None
        True
    """
    found = find_label(label, tuple(_RATINGS))
    return None if found is None else _RATINGS[found]
