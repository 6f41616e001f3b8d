"""Whisper's encoder over a window of any length."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from multiemo.encoders.speech.whisper import encode_bands
from tests.support.tensors import padded, waves
from tests.support.tiny_speech import WHISPER, build


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_over_the_whole_window_it_is_the_library_s_own(attention: str) -> None:
    torch.manual_seed(0)
    config = transformers.WhisperConfig(**WHISPER, max_source_positions=20, attn_implementation=attention)
    encoder = transformers.WhisperModel(config).get_encoder().eval()
    bands = torch.randn(2, 80, 40)
    with torch.no_grad():
        expected = encoder(bands, output_hidden_states=True)
        states = encode_bands(encoder, bands, torch.ones(2, 20, dtype=torch.bool))
    assert len(states) == len(expected.hidden_states)
    for ours, theirs in zip(states[:-1], expected.hidden_states[:-1], strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(states[-1], expected.last_hidden_state)
    attended = (torch.arange(20) < 13).expand(2, -1)
    with torch.no_grad():
        part = encode_bands(encoder, bands, attended)
        alone = encode_bands(encoder, bands[..., :26], attended[:, :13])
    for long, short in zip(part, alone, strict=True):
        torch.testing.assert_close(long[:, :13], short)


def test_the_window_ends_after_the_clip_unless_told_otherwise(tmp_path: Path) -> None:
    clips = padded(waves([1.0, 0.33]))
    short, whole = build("whisper", tmp_path), build("whisper", tmp_path, whisper_window="30s")
    whole.load_state_dict(short.state_dict())
    sizes = []
    for encoder in (short, whole):
        encoder.backbone.layers[0].register_forward_hook(lambda _, inputs, output: sizes.append(inputs[0].shape[1]))
        with torch.no_grad():
            encoder.eval()(*clips)
    assert sizes == [75, 1500]
