"""Tone analysis as an encoder."""

from __future__ import annotations

import pytest
import torch

from multiemo.encoders.speech.speech_rules import SpeechRulesEncoder
from multiemo.preprocess.voice.prosody import prosody
from tests.support.voices import RATE, buzz, utterance


def track(**change: float) -> torch.Tensor:
    return prosody(torch.from_numpy(utterance(**change)), RATE)


@pytest.fixture(scope="module")
def encoder() -> SpeechRulesEncoder:
    made = SpeechRulesEncoder()
    made.fit_statistics([track(intensity=decibels) for decibels in (-2.0, 0.0, 2.0)])
    return made


def test_a_loud_voice_is_rather_angry_and_a_soft_one_rather_sad(encoder: SpeechRulesEncoder):
    loud, soft = encoder.find(track(intensity=8.0)).scores, encoder.find(track(intensity=-8.0)).scores
    assert loud["angry"] > loud.get("sad", 0.0)
    assert soft["sad"] > soft.get("angry", 0.0)


@pytest.mark.parametrize("x", [torch.zeros(1, 11), torch.zeros(200, 11)])
def test_one_frame_and_silence_are_no_evidence(encoder: SpeechRulesEncoder, x: torch.Tensor):
    found = encoder.find(x)
    assert not found.reasons
    assert found.limits == ["No voiced speech was found, so there is no tone to analyse."]


def test_a_short_voice_says_so(encoder: SpeechRulesEncoder):
    short = prosody(torch.from_numpy(buzz(seconds=0.3)), RATE)
    assert any("s are voiced" in limit for limit in encoder.find(short).limits)
