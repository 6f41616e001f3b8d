"""The adapter ``sentiment`` on a miniature of its published layout."""

from __future__ import annotations

import math

import numpy as np

from multiemo.data.corpora.sentiment.common import polarity
from multiemo.labels import LABEL_SETS, map_label


def test_polarity_agrees_with_the_fields_metrics() -> None:
    """MMSA's own arithmetic: clip and numpy.round for -3..3, edges for CH-SIMS."""
    scores = np.round(np.linspace(-3, 3, 121), 3)
    for labels, bound in (("polarity5", 2), ("polarity7", 3)):
        places = np.round(np.clip(scores, -bound, bound)) + bound
        assert [polarity(s, 3, labels) for s in scores] == [LABEL_SETS[labels][int(p)] for p in places]
    for score in np.round(np.arange(-1, 1.01, 0.2), 1):
        edges = [-1.01, -0.7, -0.1, 0.1, 0.7, 1.01]
        place = next(i for i in range(5) if edges[i] < score <= edges[i + 1])
        assert polarity(score, 1, "polarity5") == LABEL_SETS["polarity5"][place]
    for score in scores:
        seven = polarity(score, 3, "polarity7")
        assert seven is not None
        assert map_label(seven, "polarity7", "polarity5") == polarity(score, 3, "polarity5")
        if abs(score) > 0.5:
            assert map_label(seven, "polarity7", "polarity2") == polarity(score, 3, "polarity2")
            assert math.copysign(1, score) == (1 if polarity(score, 3, "polarity2") == "positive" else -1)
