"""Rules over measured cues as encoders: baseline, padding, checkpoint."""

from __future__ import annotations

import torch

from multiemo.encoders.speech.speech_rules import SpeechRulesEncoder
from multiemo.preprocess.voice.prosody import prosody
from multiemo.rules.vector import rule_vector
from tests.support.tensors import padded
from tests.support.voices import RATE, buzz


def tracks() -> list[torch.Tensor]:
    """Voices at five levels, the last one much louder."""
    return [prosody(torch.from_numpy(level * buzz(seconds=1.0)), RATE) for level in (0.1, 0.12, 0.14, 0.16, 0.9)]


def test_the_baseline_is_measured_on_the_training_clips():
    encoder, clips = SpeechRulesEncoder(), tracks()
    assert encoder.baseline().mean == {}
    encoder.fit_statistics(clips)
    baseline = encoder.baseline()
    levels = torch.tensor([encoder.measure(clip)["level"] for clip in clips])
    assert baseline.clips == 5
    torch.testing.assert_close(torch.tensor(baseline.mean["level"]), levels.mean())
    torch.testing.assert_close(torch.tensor(baseline.sd["level"]), levels.std(unbiased=False))


def test_the_embedding_is_the_rule_vector_of_the_findings():
    encoder, clips = SpeechRulesEncoder(), tracks()
    encoder.fit_statistics(clips)
    found = [encoder.find(clip) for clip in clips]
    assert found[-1].reasons[0].rule.startswith("loud: ")
    expected = torch.stack([torch.from_numpy(rule_vector(one)) for one in found])
    torch.testing.assert_close(encoder(*padded([*clips[:-1], clips[-1]])), expected)


def test_the_baseline_is_part_of_the_checkpoint():
    encoder, clips = SpeechRulesEncoder(), tracks()
    encoder.fit_statistics(clips)
    other = SpeechRulesEncoder()
    other.load_state_dict(encoder.state_dict())
    assert other.baseline() == encoder.baseline()
    assert not list(encoder.parameters())


def test_without_a_baseline_there_is_no_evidence():
    clip = tracks()[-1]
    encoder = SpeechRulesEncoder()
    assert encoder(clip[None], torch.ones(1, len(clip), dtype=torch.bool)).count_nonzero() == 0
