"""Valence of the emotions that rules score."""

from __future__ import annotations

from collections.abc import Mapping

from multiemo.labels.circumplex import circumplex


def valence_of(scores: Mapping[str, float]) -> float:
    """The valence of scored emotions, -1..1: their mean on the circumplex, weighted by score, nearer zero if weak.

    Args:
        scores: {emotion of :data:`~multiemo.rules.findings.EMOTIONS`: score, at least 0}.

    Example:
        >>> round(valence_of({"happy": 1.0}), 3), valence_of({})
        (0.405, 0.0)
    """
    return _weighted(scores, 0)


def arousal_of(scores: Mapping[str, float]) -> float:
    """As :func:`valence_of`, of arousal.

    Args:
        scores: {emotion of :data:`~multiemo.rules.findings.EMOTIONS`: score, at least 0}.
    """
    return _weighted(scores, 1)


def _weighted(scores: Mapping[str, float], axis: int) -> float:
    placed = [(score, place[axis]) for emotion, score in scores.items() if (place := circumplex(emotion)) is not None]
    return sum(score * value for score, value in placed) / (1 + sum(scores.values()))
