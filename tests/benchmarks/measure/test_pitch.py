"""The pitch benchmark: its figures on tracks with a known pitch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.measure import pitch
from benchmarks.measure.pitch import RATE, STEP, Track
from tests.support.voices import buzz


def track(f0: list[float]) -> Track:
    """Unvoiced where 0."""
    values = np.array(f0)
    return Track(np.where(values > 0, values, 1.0), values > 0)


def contour(seconds: float = 2.0) -> Track:
    """From 150 Hz, four semitones up and down, unvoiced at both ends."""
    t = np.arange(round(seconds * RATE / STEP) + 1) * STEP / RATE
    return Track(150 * 2 ** (4 / 12 * np.sin(np.pi * t)), (t > 0.2) & (t < seconds - 0.2))


def test_agreement_of_two_tracks_by_hand() -> None:
    cent = 2 ** (1 / 1200)
    there = track([100, 100, 100, 100, 0, 0, 0, 0])
    found = pitch.compare([(track([100, 100 * cent**19, 100 * cent**40, 200, 0, 0, 0, 100]), there)])
    assert found["frames"] == 8
    assert found["common"] == 4
    assert found["median"] == pytest.approx((19 + 40) / 2)
    assert (found["within_20"], found["within_50"], found["gross"]) == (0.5, 0.75, 0.25)
    assert found["voicing"] == 7 / 8
    assert found["kappa"] == pytest.approx((7 / 8 - 1 / 2) / (1 - 1 / 2))


def test_a_made_voice_has_the_pitch_it_was_given_and_not_the_take_s() -> None:
    voice, truth = pitch.resynthesise(buzz(), contour())
    found = pitch.compare([(pitch.ours(voice), truth)])
    assert found["common"] > 0.95 * truth.voiced.sum()
    assert found["within_20"] > 0.95
    assert found["median"] < 3


@pytest.mark.parametrize("tracker", [pitch.ours, pytest.param(pitch.pyin, marks=pytest.mark.slow)])
def test_trackers_stand_at_the_same_times(tracker: Callable[..., Track]) -> None:
    """On a glide of an octave a second 10 ms are 12 cents."""
    t = np.arange(2 * RATE) / RATE
    phase = 2 * np.pi * np.cumsum(120 * 2**t) / RATE
    wave = sum(0.2 / k * np.sin(k * phase) for k in range(1, 12)).astype(np.float32)
    truth = 120 * 2 ** (np.arange(201) * STEP / RATE)
    found = tracker(wave)
    inside = found.voiced[20:-20]
    assert inside.mean() > 0.9
    assert np.abs(np.median(1200 * np.log2(found.f0 / truth)[20:-20][inside])) < 6


def test_praat_stands_at_the_same_times() -> None:
    pytest.importorskip("parselmouth")
    voice, truth = pitch.resynthesise(buzz(), contour())
    assert pitch.compare([(pitch.praat(voice), truth)])["median"] < 3
