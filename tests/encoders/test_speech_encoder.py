"""Both speech encoders: gradients, padding, shapes, augmentation, and pretrained models built tiny on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from multiemo.encoders.speech import SpeechProsody
from multiemo.encoders.speech_augment import SpeechAugment, mask_spans
from multiemo.encoders.speech_frontends import KaldiFrontEnd, WhisperFrontEnd
from multiemo.encoders.speech_pretrained import SpeechPretrained
from multiemo.errors import ConfigError
from multiemo.registry import encoders
from multiemo.types import PROSODY_CHANNELS, SpeechSpec, WaveformSpec
from tests.support.tensors import padded, tracks, waves
from tests.support.tiny_speech import KINDS, P, assert_blind_to_padding, assert_trains, save_model


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


OFF = {"stretch": 0.0, "mel_shift": 0.0, "pitch_shift": 0.0, "gain": 0.0, "tilt": 0.0, "noise": 0.0}


def test_augmentation_that_is_off_changes_nothing() -> None:
    x, mask = padded(tracks([50, 30]))
    y, after = SpeechAugment(**OFF)(x, mask, 64)
    assert torch.equal(x, y)
    assert torch.equal(mask, after)


def test_stretch_changes_length_and_speaking_rate_together() -> None:
    torch.manual_seed(1)
    rate = 64 + PROSODY_CHANNELS.index("rate")
    clips = [torch.ones(200, 64 + P)] * 16
    y, mask = SpeechAugment(**{**OFF, "stretch": 0.25})(*padded(clips, extra=60), 64)
    lengths = mask.sum(1)
    assert lengths.min() < 190
    assert lengths.max() > 210
    assert lengths.min() >= 159
    assert lengths.max() <= 250
    speed = 199 / (lengths - 1)
    torch.testing.assert_close(y[:, 0, rate], speed, rtol=0.01, atol=0)
    assert (y[:, 0, :64] == 1).all()


def test_gain_moves_the_mel_bands_and_the_energy_alike() -> None:
    energy = 64 + PROSODY_CHANNELS.index("energy")
    x, mask = padded(tracks([20, 20, 20]))
    y, _ = SpeechAugment(**{**OFF, "gain": 6.0})(x, mask, 64)
    decibels = (y - x)[:, :, energy]
    assert decibels.abs().max() <= 6.0
    torch.testing.assert_close((y - x)[:, :, :64].mean(2), decibels * np.log(10) / 10, atol=1e-5, rtol=0)


def test_noise_fills_valleys_and_leaves_peaks() -> None:
    torch.manual_seed(0)
    mel = torch.full((64, 30, 64), -10.0)
    mel[:, 15] = 0.0
    y, _ = SpeechAugment(**{**OFF, "noise": 30.0})(mel, torch.ones(64, 30, dtype=torch.bool), 64)
    assert (y[:, 15].abs() < 0.1).all()
    touched = (y[:, 0] > -9.99).any(1).float().mean()
    assert 0.1 < touched < 0.6


def test_masked_spans_stay_within_their_share() -> None:
    torch.manual_seed(0)
    y = mask_spans(torch.ones(100, 40, 20), 2, 0.2, dim=2)
    gone = (y[:, 0] == 0).float().mean(1)
    assert gone.max() <= 0.45
    assert gone.mean() > 0.05
    assert (y == y[:, :1]).all()


@pytest.fixture
def model_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A tiny random model of the kind that the test asks for."""
    return save_model(request.param, tmp_path)


@pytest.mark.parametrize("model_folder", KINDS, indirect=True)
def test_pretrained_trains_ignores_padding_and_rebuilds(model_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    build = {"model": str(model_folder), "out_dim": 12, "freeze": "none"}
    encoder = encoders.build("speech_pretrained", build, where="encoders.speech")
    clips = waves([0.4, 0.2, 0.05])
    assert_trains(encoder, *padded(clips))
    assert_blind_to_padding(encoder, clips, atol=2e-5)
    assets = tmp_path / "assets"
    assets.mkdir()
    encoder.save_assets(assets)
    again = SpeechPretrained(model="gone", out_dim=12, freeze="none", assets=assets)
    again.load_state_dict(encoder.state_dict())
    assert again.input_spec == encoder.input_spec
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(*padded(clips)), encoder(*padded(clips)))


@pytest.mark.parametrize("model_folder", ["hubert", "whisper"], indirect=True)
def test_freezing(model_folder: Path) -> None:
    clips = padded(waves([0.2, 0.1]))
    part = SpeechPretrained(model=str(model_folder), freeze="feature_extractor")
    assert_trains(part, *clips)
    frozen = [n for n, p in part.backbone.named_parameters() if not p.requires_grad]
    assert any("conv" in n for n in frozen)
    assert any(p.requires_grad for p in part.backbone.parameters())
    whole = SpeechPretrained(model=str(model_folder), freeze="all", pooling="mean")
    assert_trains(whole, *clips)
    assert not any(p.requires_grad for p in whole.backbone.parameters())
    assert not whole.backbone.training


@pytest.mark.parametrize("model_folder", ["wav2vec2-group"], indirect=True)
def test_masked_group_norm_is_the_library_s_own_on_one_clip(model_folder: Path) -> None:
    encoder = SpeechPretrained(model=str(model_folder)).eval()
    theirs = transformers.AutoModel.from_pretrained(str(model_folder)).eval()
    (clip,) = waves([0.3])
    with torch.no_grad():
        ours, _ = encoder._layers(clip.T, torch.ones(1, len(clip), dtype=torch.bool))
        torch.testing.assert_close(ours[-1], theirs(clip.T).last_hidden_state, atol=1e-5, rtol=0)


def test_whisper_front_end_is_the_library_s_own() -> None:
    extractor = transformers.WhisperFeatureExtractor(feature_size=80)
    x, mask = padded(waves([1.0, 0.33]))
    clips = [row[keep].squeeze(1).numpy() for row, keep in zip(x, mask, strict=True)]
    expected = extractor(clips, sampling_rate=16000, return_tensors="pt").input_features
    ours, frames, _ = WhisperFrontEnd(extractor)(x.squeeze(2), mask)
    torch.testing.assert_close(ours.transpose(1, 2), expected, atol=1e-4, rtol=0)
    assert frames.sum(1).tolist() == [50, 17]


def test_kaldi_front_end_is_the_library_s_own() -> None:
    extractor = transformers.SeamlessM4TFeatureExtractor()
    x, mask = padded(waves([1.0, 0.33]))
    clips = [row[keep].squeeze(1).numpy() for row, keep in zip(x, mask, strict=True)]
    expected = extractor(clips, sampling_rate=16000, return_tensors="pt")
    ours, frames, _ = KaldiFrontEnd(extractor)(x.squeeze(2), mask)
    rows = expected["attention_mask"].bool()
    assert frames.sum(1).tolist() == rows.sum(1).tolist()
    torch.testing.assert_close(ours[frames], expected["input_features"][rows], atol=2e-3, rtol=0)


def test_input_spec_follows_the_feature_extractor(tmp_path: Path) -> None:
    folder = save_model("hubert", tmp_path)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False, sampling_rate=8000).save_pretrained(str(folder))
    spec = SpeechPretrained(model=str(folder), max_seconds=5.0).input_spec
    assert spec == WaveformSpec(sample_rate=8000, max_seconds=5.0, normalize=False)
    assert SpeechPretrained(model=str(save_model("whisper", tmp_path)), max_seconds=60.0).input_spec.max_seconds == 30.0


def test_errors_name_the_key_and_the_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("no-one/no-such-model", str(tmp_path / "nowhere")):
        with pytest.raises(ConfigError, match=r"^encoders\.speech\.model: .*" + name.rsplit("/", 1)[-1]):
            SpeechPretrained(model=name)
    config = transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    text = tmp_path / "text"
    transformers.BertModel(config).save_pretrained(str(text))
    with pytest.raises(ConfigError, match=r"encoders\.speech\.model: .*is a 'bert' model; name a speech model"):
        SpeechPretrained(model=str(text))
    broken = save_model("hubert", tmp_path)
    (broken / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ConfigError, match="does not load as a speech model"):
        SpeechPretrained(model=str(broken))
    (broken / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    with pytest.raises(ConfigError, match=r"encoders\.speech\.model"):
        SpeechPretrained(model=str(broken))
