"""The distance of two recordings."""

from __future__ import annotations

import numpy as np
import pytest

from multiemo.data.duplicates import sounds


def test_distance_is_the_share_of_bits_that_differ() -> None:
    rng = np.random.default_rng(0)
    words = rng.integers(0, 1 << 32, 200)
    flips = rng.random((150, 32)) < 0.1
    other = words[30:180] ^ (flips @ (1 << np.arange(32)))
    ((first, second, errors),) = sounds.same_sounds([words, other])
    assert (first, second) == (0, 1)
    assert errors == pytest.approx(flips.mean(), abs=1e-9)


def test_a_short_overlap_must_agree_better() -> None:
    rng = np.random.default_rng(0)
    words = rng.integers(0, 1 << 32, 200)
    spoilt = words ^ ((rng.random((200, 32)) < 0.16) @ (1 << np.arange(32)))
    assert len(list(sounds.same_sounds([words, spoilt]))) == 1
    assert list(sounds.same_sounds([words[:35], spoilt[:35]])) == []
    assert list(sounds.same_sounds([words[:31], words[:31]])) == []
    assert list(sounds.same_sounds([])) == []
