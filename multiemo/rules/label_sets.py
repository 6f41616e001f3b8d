"""From the seven emotions, valence and arousal of the rules to the labels of any set.

The evidence for a label is a weighted sum of the rule vector, so it is zero for every label if no rule fires:

- A label that is one of the seven emotions, or that a published map of :mod:`multiemo.labels.maps` counts as one
  (calm as neutral, excited as happy, annoyance as angry), gets the score of that emotion. Labels that share an emotion
  are told apart by valence and arousal if the circumplex rates them.
- A point of a polarity scale gets the valence: the logarithm of a normal density around the point, up to a constant.
- Another label with a place on the circumplex (bored, frustrated) gets valence and arousal in its direction.
- Another label whose polarity a published map names (worried, powerful) gets half of the valence.
- Rules cannot know any other label. It gets no evidence, so it keeps its share of the prior.
- The dimensions valence and arousal get their value, and dominance none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multiemo.arrays import Array
from multiemo.labels.circumplex import circumplex
from multiemo.labels.maps import counted_as
from multiemo.labels.sets import LABEL_SETS, find_label
from multiemo.rules.findings import EMOTIONS, Findings
from multiemo.rules.vector import RULE_COLUMNS, rule_vector
from multiemo.types import DIMENSIONS

#: Evidence, in nats, of an emotion whose score is 1: a clear word or cue multiplies the odds of its emotion by about 7.
_NATS = 2.0
#: Standard deviation of the valence that the rules find around a point of a polarity scale.
_SPREAD = 0.5
#: Evidence, in nats, of the direction by which labels that share an emotion are told apart on the circumplex.
_WITHIN = 6.0
#: Weight of the polarity of a label for which nothing else is known, relative to an emotion.
_POLARITY_WEIGHT = 0.5
#: Slope of the inverse hyperbolic tangent that the heads of dimensions undo, over -0.8..0.8.
_SLOPE = 1.2


_EMOTION_OF = counted_as("ekman7")
_POLARITY_OF = counted_as("polarity2")
_SCALES: dict[str, tuple[float, ...]] = {
    "polarity2": (-0.5, 0.5),
    "polarity3": (-0.5, 0.0, 0.5),
    "polarity5": (-0.8, -0.4, 0.0, 0.4, 0.8),
    "polarity7": (-0.9, -0.6, -0.3, 0.0, 0.3, 0.6, 0.9),
}
#: {name of a polarity scale: {label: its point}}, the smaller scales first.
_POINTS = {name: dict(zip(LABEL_SETS[name], points, strict=True)) for name, points in _SCALES.items()}


def emotion_of(label: str) -> str | None:
    """The emotion of :data:`~multiemo.rules.findings.EMOTIONS` that a label means or is counted as, if any.

    Example:
        >>> emotion_of("Joy"), emotion_of("annoyance"), emotion_of("bored") is None
        ('happy', 'angry', True)
    """
    known = find_label(label, tuple(_EMOTION_OF))
    return find_label(label, EMOTIONS) or (None if known is None else _EMOTION_OF[known])


def evidence_weights(labels: Sequence[str]) -> Array:
    """``[K, C]`` weights, by which a rule vector becomes evidence for labels, in nats.

    Args:
        labels: C labels of any set, or the dimensions.
    """
    weights = np.zeros((len(RULE_COLUMNS), len(labels)))
    if tuple(labels) == DIMENSIONS:
        _direction(weights[:, 0], _SLOPE, 0.0)
        _direction(weights[:, 1], 0.0, _SLOPE)
        return weights
    points = _scale_of(labels)
    emotions = [emotion_of(label) for label in labels]
    for column, (label, emotion) in enumerate(zip(labels, emotions, strict=True)):
        own = weights[:, column]
        if label in points:
            _direction(own, points[label] / _SPREAD**2, 0.0)
            own[RULE_COLUMNS.index("fired")] = -0.5 * (points[label] / _SPREAD) ** 2
        if emotion is not None:
            own[RULE_COLUMNS.index(emotion)] = _NATS
            _direction(own, *(_WITHIN * away for away in _place_within(label, emotion, labels, emotions)))
        elif label not in points:
            _unnamed(own, label)
    return weights


def label_shares(findings: Findings, labels: Sequence[str]) -> dict[str, float]:
    """{label: share} of what the rules find, where every label is as likely before; the shares sum to 1.

    Args:
        findings: what the rules find in one clip. If no rule fired, all shares are equal.
        labels: labels of any set.

    Example:
        >>> from multiemo.rules.findings import RuleReason
        >>> gloomy = RuleReason(rule="'gloomy'", part="gloomy", effect={"sad": 1.0}, source="list")
        >>> found = Findings({"sad": 1.0}, valence=-0.5, reasons=[gloomy])
        >>> {label: round(share, 2) for label, share in label_shares(found, ["happy", "sad", "bored"]).items()}
        {'happy': 0.1, 'sad': 0.72, 'bored': 0.19}
    """
    evidence = rule_vector(findings).astype(np.float64) @ evidence_weights(labels)
    shares = np.exp(evidence - evidence.max())
    return dict(zip(labels, (shares / shares.sum()).tolist(), strict=True))


def _scale_of(labels: Sequence[str]) -> dict[str, float]:
    """{label: its point}: of the smallest polarity scale that has all polarity labels of the set."""
    known = tuple({label for scale in _POINTS.values() for label in scale})
    names = {label: name for label in labels if (name := find_label(label, known)) is not None}
    used = set(names.values()) - {"neutral"}
    scale: dict[str, float] = next((s for s in _POINTS.values() if used and used <= s.keys()), {})
    return {label: scale[name] for label, name in names.items() if name in scale}


def _direction(own: Array, valence: float, arousal: float) -> None:
    """Add weights of the halves of valence and arousal to one label's column, in place."""
    for high, low, weight in (("positive", "negative", valence), ("aroused", "calm", arousal)):
        own[RULE_COLUMNS.index(high)] += weight
        own[RULE_COLUMNS.index(low)] -= weight


def _place_within(
    label: str, emotion: str, labels: Sequence[str], emotions: Sequence[str | None]
) -> tuple[float, float]:
    """How far a label is from the mean (valence, arousal) of the rated labels that share its emotion.

    Args:
        label: the label.
        emotion: its emotion.
        labels: all labels of the set.
        emotions: the emotion of each, if any.
    """
    shared = [circumplex(name) for name, other in zip(labels, emotions, strict=True) if other == emotion]
    rated = [place for place in shared if place is not None]
    place = circumplex(label)
    if place is None:
        return 0.0, 0.0
    valence, arousal = (sum(axis) / len(rated) for axis in zip(*rated, strict=True))
    return place[0] - valence, place[1] - arousal


def _unnamed(own: Array, label: str) -> None:
    """The weights of a label that is none of the emotions, in place."""
    place, known = circumplex(label), find_label(label, tuple(_POLARITY_OF))
    if place is not None:
        _direction(own, _NATS * place[0], _NATS * place[1])
    elif known is not None:
        _direction(own, _NATS * _POLARITY_WEIGHT * (1.0 if _POLARITY_OF[known] == "positive" else -1.0), 0.0)
