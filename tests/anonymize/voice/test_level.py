"""The level of a protected voice."""

from __future__ import annotations

import numpy as np

from multiemo.anonymize.voice.level import PEAK, keep_level, limit
from tests.support.sounds import speech

RATE = 16000


def test_the_level_follows_the_original() -> None:
    original = speech(2.0)
    made = np.random.default_rng(0).normal(0, 0.1, len(original)).astype(np.float32)
    kept = keep_level(original, made, RATE)
    for start in range(0, len(original) - 1600, 1600):
        before, after = (np.sqrt(np.square(x[start : start + 1600]).mean()) for x in (original, kept))
        assert 0.75 < after / before < 1.3


def test_what_is_silent_becomes_silent() -> None:
    original = speech(1.0)
    original[4000:9000] = 0
    kept = keep_level(original, np.full(16000, 0.1, np.float32), RATE)
    assert not kept[4400:8600].any()
    assert kept[:4000].any()


def test_only_peaks_are_turned_down() -> None:
    sound = speech(1.0)
    sound[8000] = 3.0
    made = limit(sound, RATE)
    assert np.abs(made).max() <= PEAK + 1e-6
    assert made[8000] > 0.5
    np.testing.assert_array_equal(made[:7000], sound[:7000])
    np.testing.assert_array_equal(made[9000:], sound[9000:])
    quiet = speech(0.5)
    assert limit(quiet, RATE) is quiet
