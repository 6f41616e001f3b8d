"""The speech encoder from scratch: gradients, padding, shapes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from multiemo.encoders.speech.speech_prosody import SpeechProsody
from multiemo.errors import ConfigError
from multiemo.registry import encoders
from multiemo.types import SpeechSpec
from tests.support.no_sync import no_sync
from tests.support.parameters import names
from tests.support.tensors import padded, tracks
from tests.support.tiny_speech import P, assert_blind_to_padding, assert_trains


@pytest.mark.parametrize("options", [{}, {"prosody": False}, {"n_mels": 0}, {"n_mels": 40, "out_dim": 24}])
def test_prosody_encoder_trains_and_ignores_padding(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    encoder = encoders.build("speech_prosody", options, where="encoders.speech")
    spec = encoder.input_spec
    assert isinstance(spec, SpeechSpec)
    clips = tracks([93, 40, 7, 130], spec.n_mels + P * spec.prosody)
    encoder.fit_statistics(clips)
    assert_trains(encoder, *padded(clips))
    assert_blind_to_padding(encoder, clips, atol=1e-5)


def test_prosody_encoder_is_small_and_refuses_to_be_empty() -> None:
    assert sum(p.numel() for p in SpeechProsody().parameters()) < 2_000_000
    with pytest.raises(ConfigError, match="n_mels is 0 and prosody is off"):
        SpeechProsody(n_mels=0, prosody=False)


def test_one_frame_is_enough() -> None:
    encoder = SpeechProsody()
    for lengths in ([1, 3], [1]):
        x, mask = padded(tracks(lengths))
        assert torch.isfinite(encoder.train()(x, mask)).all()
        assert torch.isfinite(encoder.eval()(x, mask)).all()


def test_a_training_step_of_the_small_encoder_reads_nothing_back() -> None:
    x, mask = padded(tracks([93, 40, 7]))
    encoder = SpeechProsody().train()
    with no_sync():
        encoder(x, mask).square().sum().backward()


@pytest.mark.parametrize("options", [{}, {"prosody": False}, {"n_mels": 0}])
def test_groups_of_the_small_encoder(options: dict[str, Any]) -> None:
    encoder = SpeechProsody(**options)
    groups = names(encoder)
    assert sorted(n for g in groups for n in g) == sorted(n for n, _ in encoder.named_parameters())
    assert len(groups) == (7 if options == {"n_mels": 0} else 8)
    assert all(".0." in n for n in groups[0])
    assert all(n.startswith(("pool.", "project.", "summary.")) for n in groups[-1])
