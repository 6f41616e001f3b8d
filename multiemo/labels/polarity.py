"""Polarity of labels: whether an emotion is pleasant or unpleasant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from multiemo.labels.circumplex import circumplex
from multiemo.labels.maps import POLARITY
from multiemo.labels.sets import canonical

Polarity: TypeAlias = Literal["positive", "negative", "neutral"]

#: Smallest absolute valence of a label with a polarity. Surprise (0.40) is rated as slightly pleasant, but it can be
#: either; the ratings of unpleasant emotions are at most -0.51.
_CLEAR_VALENCE = 0.5
_NAMES: tuple[Polarity, ...] = ("positive", "negative", "neutral")


def polarity(label: str) -> Polarity | None:
    """The polarity of a label, or ``None`` if it has none or can be either.

    The labels of polarity sets are read by their last word ("very negative"), emotions by the published groups of
    :mod:`multiemo.labels.maps`, and others by their valence on the circumplex.

    Args:
        label: a label of any label set; other spellings are resolved.

    Example:
        >>> polarity("Joy"), polarity("strongly negative"), polarity("calm"), polarity("surprised")
        ('positive', 'negative', 'neutral', None)
    """
    plain = canonical(label)
    for name in _NAMES:
        if name in (POLARITY.get(plain), plain.rsplit(" ", 1)[-1]):
            return name
    position = circumplex(label)
    if position is None or abs(position[0]) < _CLEAR_VALENCE:
        return None
    return "positive" if position[0] > 0 else "negative"


def polarities(labels: Sequence[str]) -> list[Polarity | None]:
    """The polarity of each label of a set; all ``None`` unless both pleasant and unpleasant labels occur."""
    found = [polarity(label) for label in labels]
    return found if {"positive", "negative"} <= set(found) else [None] * len(found)
