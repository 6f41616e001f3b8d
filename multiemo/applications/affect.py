"""Valence and arousal of a segment, even if the model has no head for them.

Without such a head they are the mean of the coordinates of the labels on the valence-arousal plane, weighted by the
probabilities of the labels:

- Categories have the coordinates that Russell & Mehrabian 1977 measured (:func:`multiemo.labels.circumplex`).
  ``neutral`` is the origin, which is neither pleasant nor unpleasant, neither calm nor aroused. A category that they
  did not rate has the coordinates of the Ekman category to which the package maps it (``annoyance`` those of
  ``angry``).
- Polarities have valences evenly spaced from -1 to 1 in the order of the label set, and no arousal.

Labels without coordinates (``powerful``) are left out, and the other probabilities are rescaled.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from multiemo.labels import LABEL_SETS, circumplex, map_label

HEAD, DERIVED = "the model's own valence and arousal", "valence and arousal derived from label probabilities"


class Affect(NamedTuple):
    """Valence and arousal of a segment.

    Args:
        valence: -1..1.
        arousal: -1..1, or ``None`` if it is unknown.
        source: ``HEAD`` or ``DERIVED``.
    """

    valence: float
    arousal: float | None
    source: str


def affect(
    probs: Mapping[str, float] | None, valence: float | None = None, arousal: float | None = None
) -> Affect | None:
    """Valence and arousal of a segment, or ``None`` if neither the model nor the labels determine its valence.

    Args:
        probs: {label: probability} of all labels, in the order of the label set.
        valence, arousal: -1..1, if the model has a head for them.

    Example:
        >>> affect({"neutral": 0.5, "angry": 0.5})
        Affect(valence=-0.255, arousal=0.295, source='valence and arousal derived from label probabilities')
    """
    if valence is not None:
        return Affect(float(valence), None if arousal is None else float(arousal), HEAD)
    probs = probs or {}
    known = coordinates(tuple(probs))
    weight = sum(probs[label] for label in known)
    if weight <= 0:
        return None
    pleasure, activation = (
        None if any(place[axis] is None for place in known.values())
        else sum(probs[label] * (place[axis] or 0.0) for label, place in known.items()) / weight
        for axis in (0, 1)
    )  # fmt: skip
    if pleasure is None:
        return None
    return Affect(round(pleasure, 4), None if activation is None else round(activation, 4), DERIVED)


@lru_cache
def coordinates(labels: tuple[str, ...]) -> Mapping[str, tuple[float, float | None]]:
    """{label: (valence, arousal)} of the labels that have coordinates.

    Args:
        labels: all labels of a set, in order.

    Example:
        >>> coordinates(("negative", "neutral", "positive"))
        {'negative': (-1.0, None), 'neutral': (0.0, None), 'positive': (1.0, None)}
    """
    name = next((n for n, members in LABEL_SETS.items() if members == labels), None)
    if name is not None and name.startswith("polarity"):
        return {label: (2 * i / (len(labels) - 1) - 1, None) for i, label in enumerate(labels)}
    found = {label: _coordinates_of(label, name) for label in labels}
    return {label: place for label, place in found.items() if place is not None}


def _coordinates_of(label: str, name: str | None) -> tuple[float, float] | None:
    """Valence and arousal of a category in the label set ``name``."""
    rated = circumplex(label)
    if rated is not None:
        return rated
    basic = map_label(label, name, "ekman7")
    return (0.0, 0.0) if basic == "neutral" else None if basic is None else circumplex(basic)
