"""Who speaks when, and crosstalk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from multiemo.applications import call_speech
from tests.support.calls import tone
from tests.support.media_files import wav
from tests.support.sounds import talk as talk_of

#: A speaker on each channel of a file.
CHANNELS = [call_speech.SpeakerChannel(channel=0), call_speech.SpeakerChannel(channel=1)]


def test_who_speaks_when(loud: None, tmp_path: Path) -> None:
    left = tone(20, [(0, 3), (3.1, 4), (10, 10.1), (12, 15)])
    right = tone(20, [(5, 9), (14, 17)])
    found = call_speech.find_speech(wav(tmp_path / "call.wav", [left, right]), CHANNELS)
    np.testing.assert_allclose(found.spans[0], [(0, 4), (12, 15)], atol=0.04)
    np.testing.assert_allclose(found.spans[1], [(5, 9), (14, 17)], atol=0.04)
    assert found.duration == pytest.approx(20)
    assert not found.same
    assert found.loudest == pytest.approx([-9.0, -9.0], abs=0.3)


def test_crosstalk_is_not_speech(loud: None, tmp_path: Path) -> None:
    left, right = tone(12, [(0, 4)]), tone(12, [(6, 10)])
    found = call_speech.find_speech(wav(tmp_path / "call.wav", [left + 0.03 * right, right + 0.03 * left]), CHANNELS)
    np.testing.assert_allclose(found.spans[0], [(0, 4)], atol=0.15)
    np.testing.assert_allclose(found.spans[1], [(6, 10)], atol=0.15)


def test_two_who_speak_at_once_all_the_time_are_told_apart(tmp_path: Path) -> None:
    """They are as loud as each other, but do not hold the same sound."""
    found = call_speech.find_speech(wav(tmp_path / "both.wav", [talk_of(8.0, 1) / 2, talk_of(8.0, 2) / 2]), CHANNELS)
    assert not found.mixed
    assert min(call_speech.seconds(spans) for spans in found.spans) > 3
