"""Findings as a vector of fixed width: what a rule branch hands to its head and to the fusion."""

from __future__ import annotations

import numpy as np

from multiemo.arrays import Floats
from multiemo.rules.findings import EMOTIONS, Findings

#: K, the columns of a rule vector: the score of each emotion, the two halves of valence and of arousal (each at least
#: 0), and ``fired``, n / (1 + n) of the number n of rules that fired. A clip on which no rule fires is a row of zeros.
RULE_COLUMNS: tuple[str, ...] = (*EMOTIONS, "positive", "negative", "aroused", "calm", "fired")


def rule_vector(findings: Findings) -> Floats:
    """The findings as ``[K]`` float32, see :data:`RULE_COLUMNS`.

    Example:
        >>> from multiemo.rules.findings import RuleReason
        >>> gloomy = RuleReason(rule="'gloomy'", part="gloomy", effect={"sad": 1.5}, source="list")
        >>> rule_vector(Findings({"sad": 1.5}, valence=-0.5, reasons=[gloomy])).tolist()
        [0.0, 0.0, 1.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.5]
    """
    count = len(findings.reasons)
    if not count:
        return np.zeros(len(RULE_COLUMNS), dtype=np.float32)
    valence, arousal = findings.valence, findings.arousal
    halves = (max(0.0, valence), max(0.0, -valence), max(0.0, arousal), max(0.0, -arousal))
    scores = [findings.scores.get(emotion, 0.0) for emotion in EMOTIONS]
    return np.array([*scores, *halves, count / (1 + count)], dtype=np.float32)
