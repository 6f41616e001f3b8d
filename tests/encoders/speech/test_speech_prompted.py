"""What an audio-language model is given to hear."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from multiemo.encoders.speech.speech_prompted import SpeechPrompted
from multiemo.errors import ConfigError
from multiemo.inputs import build_input
from multiemo.inputs.material import Audio, PreparedInput
from multiemo.types import WaveformSpec
from tests.support.tiny_media_models import SECONDS, save_media_model
from tests.support.tiny_speech import voice

LABELS = ("happy", "sad")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_media_model(tmp_path_factory.mktemp("models") / "hears", "qwen2_audio")


def test_the_input_is_what_the_feature_extractor_takes(folder):
    """No longer than its window, which it would cut silently, and as loud as it was: loudness tells about emotion."""
    encoder = SpeechPrompted(model=str(folder), labels=LABELS, trim=0)
    assert encoder.input_spec == WaveformSpec(sample_rate=16000, max_seconds=SECONDS, trim=0, normalize=False)
    assert SpeechPrompted(model=str(folder), labels=LABELS, max_seconds=1.5).input_spec.max_seconds == 1.5
    entry = build_input("speech", encoder.input_spec)
    made = entry.make(Audio(voice(3.0, 16000, 150.0), 16000))
    assert isinstance(made, PreparedInput)
    assert "only the first 2 s of 3.0 s" in made.notes[0]
    (samples,) = encoder.media(made.tensor)
    np.testing.assert_allclose(samples, voice(3.0, 16000, 150.0)[: 16000 * SECONDS], atol=1e-6)
    assert samples.dtype == np.float32


def test_a_clip_without_content_is_two_seconds_of_silence(folder):
    clip = SpeechPrompted(model=str(folder), labels=LABELS).neutral()
    assert torch.equal(clip, torch.zeros(2 * 16000, 1))
    assert len(SpeechPrompted(model=str(folder), labels=LABELS, max_seconds=1.0).neutral()) == 16000


def test_an_extractor_without_a_sample_rate_is_refused(folder, monkeypatch):
    monkeypatch.setattr("multiemo.encoders.speech.speech_prompted.medium_part", lambda *_: object())
    with pytest.raises(ConfigError, match=r"encoders\.speech\.model: '.*' names no sample rate; name an audio"):
        SpeechPrompted(model=str(folder), labels=LABELS)
