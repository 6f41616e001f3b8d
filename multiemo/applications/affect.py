"""Valence and arousal of a segment, also where the model has no head for them.

Without such a head they are the mean of the labels' places on the plane, weighted by their probabilities. The places:

- of categories: the ratings of Russell & Mehrabian 1977 (:func:`multiemo.labels.circumplex`); ``neutral`` lies at the
  origin, where their scales are neither pleasant nor unpleasant, neither calm nor aroused; a category they do not rate
  takes the place of the one of Ekman's that the package's maps send it to (``annoyance`` that of ``angry``);
- of polarities: valence evenly from -1 to 1 in the order of the set, and no arousal.

Labels with no place (``powerful``) take no part: their probability is spread over the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from multiemo.labels import LABEL_SETS, circumplex, map_label

HEAD, DERIVED = "the model's own valence and arousal", "valence and arousal derived from label probabilities"


class Affect(NamedTuple):
    """Where a segment lies.

    Args:
        valence: -1..1.
        arousal: -1..1, or ``None`` where nothing says it.
        source: ``HEAD`` or ``DERIVED``.
    """

    valence: float
    arousal: float | None
    source: str


def affect(
    probs: Mapping[str, float] | None, valence: float | None = None, arousal: float | None = None
) -> Affect | None:
    """Valence and arousal of a segment, or ``None`` where neither it nor its labels tell.

    Args:
        probs: {label: probability} of all labels, in the order of the label set.
        valence, arousal: -1..1, where the model has a head for them.

    Example:
        >>> affect({"neutral": 0.5, "angry": 0.5})
        Affect(valence=-0.255, arousal=0.295, source='valence and arousal derived from label probabilities')
    """
    if valence is not None:
        return Affect(float(valence), None if arousal is None else float(arousal), HEAD)
    probs = probs or {}
    where = places(tuple(probs))
    weight = sum(probs[label] for label in where)
    if weight <= 0:
        return None
    pleasure, activation = (
        None if any(place[axis] is None for place in where.values())
        else sum(probs[label] * (place[axis] or 0.0) for label, place in where.items()) / weight
        for axis in (0, 1)
    )  # fmt: skip
    if pleasure is None:
        return None
    return Affect(round(pleasure, 4), None if activation is None else round(activation, 4), DERIVED)


@lru_cache
def places(labels: tuple[str, ...]) -> Mapping[str, tuple[float, float | None]]:
    """{label: (valence, arousal)} of those of a label set that have a place.

    Args:
        labels: all of the set, in order.

    Example:
        >>> places(("negative", "neutral", "positive"))
        {'negative': (-1.0, None), 'neutral': (0.0, None), 'positive': (1.0, None)}
    """
    name = next((n for n, members in LABEL_SETS.items() if members == labels), None)
    if name is not None and name.startswith("polarity"):
        return {label: (2 * i / (len(labels) - 1) - 1, None) for i, label in enumerate(labels)}
    found = {label: _place(label, name) for label in labels}
    return {label: place for label, place in found.items() if place is not None}


def _place(label: str, name: str | None) -> tuple[float, float] | None:
    rated = circumplex(label)
    if rated is not None:
        return rated
    basic = map_label(label, name, "ekman7")
    return (0.0, 0.0) if basic == "neutral" else None if basic is None else circumplex(basic)
