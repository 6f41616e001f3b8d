"""Pretrained speech models, built tiny on the spot: gradients, padding, adapters, masks, added prosody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from multiemo.config import TrainingConfig
from multiemo.encoders.common.lora import Lora
from multiemo.encoders.speech.backbones import ONE_BY_ONE
from multiemo.encoders.speech.speech_pretrained import SpeechPretrained
from multiemo.errors import ConfigError
from multiemo.model import EmotionModel
from multiemo.preprocess.voice.tensors import WaveformPreprocessor
from multiemo.registry import encoders
from multiemo.training.objectives import Labels
from multiemo.training.optim import build_optimizer
from multiemo.types import WaveformSpec
from tests.support.no_sync import no_sync
from tests.support.parameters import trained
from tests.support.tensors import padded, waves
from tests.support.tiny_speech import (
    FAMILIES,
    KINDS,
    P,
    assert_blind_to_padding,
    assert_trains,
    build,
    save_model,
    voice,
)

TOGETHER = [kind for kind in KINDS if kind not in ONE_BY_ONE]


@pytest.mark.parametrize("kind", FAMILIES)
def test_adapters_alone_learn_in_the_model_and_are_restored(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = build(kind, tmp_path, lora={"rank": 2, "dropout": 0.0})
    assert {n for n in trained(encoder) if n.startswith("backbone.")} == {
        n for n, _ in encoder.named_parameters() if "lora_" in n
    }
    clips = padded(waves([0.3, 0.2]))
    plain = build(kind, tmp_path)
    plain.load_state_dict({n.replace("base_layer.", ""): v for n, v in encoder.state_dict().items() if "lora" not in n})
    with torch.no_grad():
        assert torch.equal(plain.eval()(*clips), encoder.eval()(*clips)), "untrained adapters change nothing"
    for name, parameter in encoder.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    assert_trains(encoder, *clips)
    with torch.no_grad():
        expected = encoder.eval()(*clips)
    assert not torch.allclose(expected, plain(*clips), atol=1e-3)
    save_file(encoder.state_dict(), tmp_path / "weights.safetensors")
    assets = tmp_path / "assets"
    assets.mkdir()
    encoder.save_assets(assets)
    again = SpeechPretrained(model="gone", out_dim=12, lora=Lora(rank=2, dropout=0.0), assets=assets)
    again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        assert torch.equal(again.eval()(*clips), expected)


def test_adapters_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"encoders\.speech\.freeze is 'all', but encoders\.speech\.lora trains"):
        build("hubert", tmp_path, freeze="all", lora={})
    with pytest.raises(ConfigError, match=r"encoders\.speech\.lora\.targets: .*'no_such'.*q_proj"):
        build("hubert", tmp_path, lora={"targets": ["no_such"]})


@pytest.mark.parametrize("kind", TOGETHER)
def test_a_training_step_reads_nothing_back(kind: str, tmp_path: Path) -> None:
    encoder = build(kind, tmp_path, freeze="none", prosody=True).train()
    x, mask = padded([torch.randn(n, 160 + P) for n in (40, 20, 5)])
    with no_sync():
        encoder(x, mask).square().sum().backward()
    encoder.recompute_activations()
    with no_sync():
        encoder(x, mask).square().sum().backward()


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_what_is_new_beside_a_pretrained_model_learns_at_the_rate_of_the_stage(lora: Any, tmp_path: Path) -> None:
    encoder = build("wav2vec2-group", tmp_path, pooling="attentive", prosody=True, lora=lora)
    new = {n for n, _ in encoder.named_parameters() if not n.startswith("backbone.")}
    assert {n.partition(".")[0] for n in new} == {"layer_weights", "pool", "prosody", "project"}
    assert {id(p) for p in encoder.fresh_parameters()} == {id(p) for n, p in encoder.named_parameters() if n in new}
    settings = TrainingConfig(lr=1e-3, branch_lr={"speech": 1e-5}, layer_decay={"speech": 0.5})
    objective = Labels(EmotionModel({"speech": encoder}, 3), settings, task="single", frequencies=torch.ones(3) / 3)
    rates = {id(p): g["lr"] for g in build_optimizer(objective, settings).param_groups for p in g["params"]}
    for name, parameter in encoder.named_parameters():
        if parameter.requires_grad:
            assert (rates[id(parameter)] == 1e-3) == (name in new), name
            assert name in new or rates[id(parameter)] <= 1e-5


def still(encoder: SpeechPretrained) -> SpeechPretrained:
    """In training, without dropout."""
    for module in encoder.train().modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for module in encoder.backbone.modules():
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    return encoder


@pytest.mark.parametrize("option", ["time_mask", "feature_mask"])
@pytest.mark.parametrize("kind", [*FAMILIES, "data2vec-audio", "sew"])
def test_masks_hide_spans_in_training_alone(kind: str, option: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    off: dict[str, Any] = {"time_mask": 0.0, "feature_mask": 0.0}
    encoder = still(build(kind, tmp_path, **{**off, option: 0.8}))
    clips = padded(waves([0.4, 0.3]))
    with torch.no_grad():
        masked = encoder(*clips)
        plain = encoder.eval()(*clips)
        assert not torch.allclose(masked, plain, atol=1e-3)
        encoder.time_mask = encoder.feature_mask = 0.0
        torch.testing.assert_close(encoder.train()(*clips), plain)


def test_masks_lie_within_each_clip(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = still(build("hubert", tmp_path, time_mask=0.5, feature_mask=0.0))
    entered: list[torch.Tensor] = []
    encoder.backbone.encoder.register_forward_pre_hook(lambda module, given: entered.append(given[0]))
    clips = padded(waves([0.5, 0.1]))
    lengths = [100, 20]
    for _ in range(200):
        encoder(*clips)
    gone = torch.stack([(x == 0).all(-1) for x in entered]).float()
    shares = [float(gone[:, row, :n].mean()) for row, n in enumerate(lengths)]
    # Two spans of a quarter each on average, less where they meet.
    assert shares == pytest.approx([0.43, 0.43], abs=0.06)


def test_masks_leave_a_frozen_model_and_the_shortest_clip_alone(tmp_path: Path) -> None:
    options = {"time_mask": 1.0, "feature_mask": 1.0}
    clips = padded(waves([0.005, 0.011]))
    assert torch.isfinite(build("hubert", tmp_path, **options).train()(*clips)).all()
    frozen = still(build("hubert", tmp_path, freeze="all", **options))
    frozen.project.eval()  # its statistics are those of the batch in training
    torch.testing.assert_close(frozen(*clips), frozen.eval()(*clips))


def test_prosody_stands_beside_the_same_waveform(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = build("hubert", tmp_path).eval()
    encoder = build("hubert", tmp_path, prosody=True).eval()
    audio = voice(0.655, 16000, 150)
    alone, beside = (WaveformPreprocessor(e.input_spec)(audio, 16000) for e in (plain, encoder))
    x, mask = padded([beside, beside[:30]])
    wave, real, prosody = encoder.split(x, mask)
    assert wave.shape == (2, 65 * 160)
    torch.testing.assert_close(wave[0], alone[: 65 * 160, 0])
    assert real.sum(1).tolist() == [65 * 160, 30 * 160]
    with torch.no_grad():
        torch.testing.assert_close(encoder.sequence(wave, real)[0], plain.sequence(wave, real)[0])
        other = torch.cat([x[..., :160], prosody + torch.randn(P)], -1)
        assert not torch.allclose(encoder(x, mask), encoder(other, mask), atol=1e-3)


@pytest.mark.parametrize("kind", FAMILIES)
def test_with_prosody_padding_changes_nothing_and_all_learns(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = build(kind, tmp_path, prosody=True, freeze="none")
    prepare = WaveformPreprocessor(encoder.input_spec)
    clips = [prepare(voice(s, 16000, p), 16000) for s, p in ((0.5, 120), (0.2, 220))]
    encoder.fit_statistics(clips)
    assert_blind_to_padding(encoder, clips, atol=2e-5)
    assert_trains(encoder, *padded(clips))


@pytest.fixture
def model_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A tiny random model of the requested kind."""
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


def test_the_columns_of_a_frozen_model_are_standardised_and_one_clip_can_be_trained_on(tmp_path: Path) -> None:
    encoder = still(build("hubert", tmp_path, freeze="all"))
    seen: list[torch.Tensor] = []
    encoder.project[0].register_forward_hook(lambda _, inputs, output: seen.append(output))
    x, mask = padded(waves([0.3, 0.2, 0.25, 0.15]))
    encoder(x, mask)
    torch.testing.assert_close(seen[0].mean(0), torch.zeros(seen[0].shape[1]), atol=1e-5, rtol=0)
    assert (seen[0].std(0, correction=0) > 0.9).float().mean() > 0.5
    assert_trains(encoder, x[:1], mask[:1])
    assert isinstance(build("hubert", tmp_path, freeze="none").project[0], torch.nn.LayerNorm)


@pytest.mark.parametrize("kind", ["whisper", "hubert"])
@pytest.mark.parametrize("freeze", ["none", "all"])
def test_statistics_of_all_layers_are_the_mean_and_deviation_of_each_clip_s_own_steps(
    kind: str, freeze: str, tmp_path: Path
) -> None:
    encoder = build(kind, tmp_path, freeze=freeze, pooling="statistics", layers="concatenated").eval()
    pooled: list[torch.Tensor] = []
    encoder.project[0].register_forward_hook(lambda _, inputs, output: pooled.append(inputs[0]))
    x, mask = padded(waves([1.0, 0.6]))
    with torch.no_grad():
        encoder(x, mask)
        layers, steps = encoder._hidden(x.flatten(1), mask)
        if freeze == "all":
            encoder(x, mask, encoder.frozen_states(x, mask))
    for clip in range(2):
        own = layers[:, clip, steps[clip]].double()
        expected = torch.cat([own.mean(1), (own.var(1, correction=0) + 1e-5).sqrt()], 1).flatten()
        for found in pooled:
            torch.testing.assert_close(found[clip].double(), expected, atol=1e-5, rtol=1e-4)
    assert len(pooled) == (2 if freeze == "all" else 1)
    assert_trains(encoder, x, mask)


def test_objective_masked_reads_concatenated_layers(tmp_path: Path) -> None:
    encoder = build("hubert", tmp_path, freeze="none", layers="concatenated")
    x, mask = padded(waves([1.0, 0.6]))
    sequence, _ = encoder.sequence(x.flatten(1), mask)
    assert sequence.shape[2] == encoder.sequence_dim == encoder.backbone.config.hidden_size * 3
    total, count = encoder.masked_task()(encoder, x, mask)
    assert total.isfinite()
    assert count > 0


@pytest.mark.parametrize("kind", ["whisper", "hubert"])
@pytest.mark.parametrize("pooling", ["mean", "statistics", "attentive"])
def test_what_is_usual_for_a_speaker_is_subtracted_from_every_layer(kind: str, pooling: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = build(kind, tmp_path, freeze="all", pooling=pooling, speaker_normalization=True).eval()
    x, mask = padded(waves([1.0, 0.6]))
    with torch.no_grad():
        vectors = encoder.speaker_vector(x, mask)
        states, steps = encoder.frozen_states(x, mask)
        assert vectors.shape == (2, states.shape[2]) == (2, len(encoder.speaker_offset.mean))
        torch.testing.assert_close(vectors[1], states[1, steps[1]].mean(0))
        offset = torch.randn_like(vectors)
        expected = encoder(x, mask, (states - offset.unsqueeze(1), steps))
        torch.testing.assert_close(encoder(x, mask, offset=offset), expected)
        torch.testing.assert_close(encoder(x, mask, (states, steps), offset=offset), expected)
        assert not torch.allclose(expected, encoder(x, mask), atol=1e-3)


def test_states_that_change_are_not_compared(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="speaker_normalization: compares hidden states, which must not change: set"):
        build("hubert", tmp_path, speaker_normalization=True)
