"""The figures of voice protections."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.voice_anonymity import chosen, equal_error_rate
from multiemo.types import Clip


def test_equal_error_rate() -> None:
    axes = np.eye(3)
    perfect = np.repeat(axes, 4, axis=0)
    speakers = list("aaaabbbbcccc")
    assert equal_error_rate(speakers, perfect, perfect) == 0.0
    assert equal_error_rate(speakers, perfect, np.tile(axes, (4, 1))) > 0.3
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 8))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    assert equal_error_rate([str(i % 4) for i in range(40)], noise, noise) == pytest.approx(0.5, abs=0.06)


def test_clips_are_spread_over_a_speaker() -> None:
    clips = [Clip(id=str(i), corpus="c", speaker="ab"[i % 2], audio="x.wav") for i in range(20)]
    assert [clip.id for clip in chosen(clips, ["b"], 2)] == ["5", "15"]
