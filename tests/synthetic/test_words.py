"""Synthetic sentences vary."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from multiemo.synthetic import cues
from multiemo.synthetic.words import make_utterance


@pytest.mark.parametrize("language", ["en", "zh"])
def test_sentences_vary(language: str) -> None:
    rng = np.random.default_rng(0)
    said = [make_utterance(e, 0.8, language, rng) for e in cues.EMOTIONS for _ in range(40)]
    texts = Counter(u.text for u in said)
    assert len(texts) > 190
    assert texts.most_common(1)[0][1] <= 2
    assert all(3 <= len(u.syllables) <= 30 and len(u.syllables) == len(u.tones) for u in said)
