"""How pretrained speech models are fine-tuned: adapters, depth, masks, recomputing, prosody beside them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from multiemo.config import TrainingConfig
from multiemo.encoders.lora import Lora
from multiemo.encoders.speech import SpeechProsody
from multiemo.encoders.speech_backbones import ONE_BY_ONE
from multiemo.encoders.speech_pretrained import SpeechPretrained
from multiemo.errors import ConfigError
from multiemo.model import EmotionModel
from multiemo.preprocess.speech import WaveformPreprocessor
from multiemo.registry import encoders
from multiemo.training.objectives import Labels
from multiemo.training.optim import build_optimizer
from tests.support.no_sync import no_sync
from tests.support.parameters import names, trained
from tests.support.tensors import padded, tracks, waves
from tests.support.tiny_speech import FAMILIES, KINDS, P, assert_blind_to_padding, assert_trains, save_model

TOGETHER = [kind for kind in KINDS if kind not in ONE_BY_ONE]


def build(kind: str, tmp_path: Path, rate: int | None = None, **options: Any) -> SpeechPretrained:
    folder = save_model(kind, tmp_path)
    if rate is not None:
        transformers.Wav2Vec2FeatureExtractor(sampling_rate=rate).save_pretrained(str(folder))
    encoder = encoders.build("speech_pretrained", {"model": str(folder), "out_dim": 12, **options}, where="x")
    assert isinstance(encoder, SpeechPretrained)
    return encoder


# --------------------------------------------------------------------------------------------------------------------
# Adapters


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
    with pytest.raises(ConfigError, match=r"encoders\.speech\.freeze is 'all' and encoders\.speech\.lora is given"):
        build("hubert", tmp_path, freeze="all", lora={})
    with pytest.raises(ConfigError, match=r"encoders\.speech\.lora\.targets: .*'no_such'.*q_proj"):
        build("hubert", tmp_path, lora={"targets": ["no_such"]})


# --------------------------------------------------------------------------------------------------------------------
# Computing


def test_wavlm_attends_as_the_library_does(tmp_path: Path) -> None:
    encoder = build("wavlm", tmp_path).eval()
    theirs = transformers.AutoModel.from_pretrained(str(tmp_path / "wavlm")).eval()
    (clip,) = waves([0.4])
    x, mask = clip.T, torch.ones(1, len(clip), dtype=torch.bool)
    with torch.no_grad():
        ours, _ = encoder._layers(x, mask)
        out = theirs(x, attention_mask=mask.long(), output_hidden_states=True)
    torch.testing.assert_close(ours, torch.stack(out.hidden_states), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("wavlm", "sew-d")])
def test_attention_is_sdpa(kind: str, tmp_path: Path) -> None:
    encoder = build(kind, tmp_path).eval()
    if not encoder.backbone._supports_sdpa:
        pytest.skip(f"transformers {transformers.__version__} has no SDPA attention for {kind}")
    assert "sdpa" in encoder.backbone.config._attn_implementation
    clips = padded(waves([0.4, 0.2]))
    with torch.no_grad():
        fused = encoder(*clips)
        encoder.backbone.set_attn_implementation("eager")
        torch.testing.assert_close(encoder(*clips), fused, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", TOGETHER)
def test_a_training_step_reads_nothing_back(kind: str, tmp_path: Path) -> None:
    encoder = build(kind, tmp_path, freeze="none", prosody=True).train()
    x, mask = padded([torch.randn(n, 160 + P) for n in (40, 20, 5)])
    with no_sync():
        encoder(x, mask).square().sum().backward()
    encoder.recompute_activations()
    with no_sync():
        encoder(x, mask).square().sum().backward()


def test_a_training_step_of_the_small_encoder_reads_nothing_back() -> None:
    x, mask = padded(tracks([93, 40, 7]))
    encoder = SpeechProsody().train()
    with no_sync():
        encoder(x, mask).square().sum().backward()


@pytest.mark.parametrize("lora", [None, {"rank": 2}], ids=["whole", "lora"])
@pytest.mark.parametrize("kind", KINDS)
def test_recomputed_activations_give_the_same_gradients(kind: str, lora: Any, tmp_path: Path) -> None:
    encoder = build(kind, tmp_path, freeze="none", lora=lora).train()
    batches = [padded(waves([0.3, 0.2])), padded(waves([0.1, 0.35]))]

    def gradients() -> dict[str, torch.Tensor]:
        encoder.zero_grad()
        torch.manual_seed(1)
        # The second batch goes in before the gradients of the first are asked for.
        sum(encoder(*batch).square().sum() for batch in batches).backward()  # type: ignore[union-attr]
        return {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}

    before = gradients()
    encoder.recompute_activations()
    layers = [m for m in encoder.backbone.modules() if getattr(m, "gradient_checkpointing", False)]
    assert len(layers) >= 2
    after = gradients()
    assert before.keys() == after.keys()
    for name, gradient in before.items():
        torch.testing.assert_close(after[name], gradient, msg=name)


@pytest.mark.parametrize("kind", ["wav2vec2-group", "wavlm"])
def test_half_precision_is_as_near_as_the_library_s(kind: str, tmp_path: Path) -> None:
    encoder = build(kind, tmp_path).eval()
    theirs = transformers.AutoModel.from_pretrained(str(tmp_path / kind)).eval()
    (clip,) = waves([0.3])
    x, mask = clip.T, torch.ones(1, len(clip), dtype=torch.bool)

    def both() -> list[torch.Tensor]:
        return [encoder._layers(x, mask)[0].float(), torch.stack(theirs(x, output_hidden_states=True).hidden_states)]

    with torch.no_grad():
        exact = both()
        with torch.autocast("cpu", torch.bfloat16):
            near = both()
    ours, library = ((a - b).square().mean().sqrt() for a, b in zip(exact, near, strict=True))
    assert ours < 1.05 * library


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_copy_stands_on_its_own(kind: str, tmp_path: Path) -> None:
    encoder = build(kind, tmp_path, time_mask=1.0).eval()
    clips = padded(waves([0.2]))
    with torch.no_grad():
        before = encoder(*clips)
        twin = copy.deepcopy(encoder)
        assert torch.equal(twin(*clips), before)
        for parameter in encoder.parameters():
            parameter.zero_()
        encoder.train()(*clips)
        assert torch.equal(twin(*clips), before)


def test_frozen_convolutions_are_not_gone_through_backwards(tmp_path: Path) -> None:
    encoder = build("wav2vec2-group", tmp_path).train()
    needed: list[bool] = []
    encoder.backbone.feature_extractor.register_forward_hook(lambda *given: needed.append(given[2].requires_grad))
    encoder(*padded(waves([0.2]))).sum().backward()
    assert needed == [False]


# --------------------------------------------------------------------------------------------------------------------
# Depth


@pytest.mark.parametrize("options", [{}, {"lora": {"rank": 2}, "prosody": True}])
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "sew-d"])
def test_every_parameter_is_in_one_group_by_depth(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    encoder = build(kind, tmp_path, **options)
    groups = names(encoder)
    assert sorted(n for g in groups for n in g) == sorted(n for n, _ in encoder.named_parameters())
    assert len(groups) == 4
    front = ("feature_extractor", "feature_projection", "conv1", "conv2", "encoder.pos_conv_embed")
    assert {n for n, _ in encoder.named_parameters() if n.removeprefix("backbone.").startswith(front)} <= groups[0]
    for i in (1, 2):
        assert all(f"layers.{i - 1}." in n for n in groups[i])
    assert {n for n, _ in encoder.named_parameters() if not n.startswith("backbone.")} <= groups[3]


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


@pytest.mark.parametrize("options", [{}, {"prosody": False}, {"n_mels": 0}])
def test_groups_of_the_small_encoder(options: dict[str, Any]) -> None:
    encoder = SpeechProsody(**options)
    groups = names(encoder)
    assert sorted(n for g in groups for n in g) == sorted(n for n, _ in encoder.named_parameters())
    assert len(groups) == (7 if options == {"n_mels": 0} else 8)
    assert all(".0." in n for n in groups[0])
    assert all(n.startswith(("pool.", "project.", "summary.")) for n in groups[-1])


# --------------------------------------------------------------------------------------------------------------------
# Masks


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
    torch.testing.assert_close(frozen(*clips), frozen.eval()(*clips))


# --------------------------------------------------------------------------------------------------------------------
# Sample rates and prosody


def voice(seconds: float, rate: int, pitch: float) -> Any:
    t = np.arange(round(seconds * rate)) / rate
    f0 = pitch * (1 + 0.2 * np.sin(2 * np.pi * 1.5 * t))
    phase = 2 * np.pi * np.cumsum(f0) / rate
    wave = sum(np.sin(k * phase) / k for k in range(1, 6)) * (0.1 + 0.05 * np.sin(2 * np.pi * 3 * t))
    return wave.astype(np.float32)


@pytest.mark.parametrize("prosody", [False, True])
@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_a_model_hears_at_its_own_rate(rate: int, prosody: bool, tmp_path: Path) -> None:
    encoder = build("hubert", tmp_path, rate=rate, prosody=prosody)
    prepare = WaveformPreprocessor(encoder.input_spec)
    clips = [prepare(voice(s, 22050, p), 22050) for s, p in ((0.7, 120), (0.43, 220), (0.06, 180))]
    row = rate // 100 if prosody else 1
    assert clips[0].shape == (round(0.7 * rate) // row, row + P * prosody)
    if prosody:
        encoder.fit_statistics(clips)
        assert encoder.prosody is not None
        torch.testing.assert_close(encoder.prosody.standardize.mean, torch.cat(clips)[:, row:].mean(0))
    assert_blind_to_padding(encoder, clips, atol=1e-5)
    assert_trains(encoder, *padded(clips))


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


# --------------------------------------------------------------------------------------------------------------------
# Bad folders


def test_weights_that_are_not_all_there_are_refused(tmp_path: Path) -> None:
    folder = save_model("hubert", tmp_path)
    weights = load_file(folder / "model.safetensors")
    kept = {n: w for n, w in weights.items() if ".layers.1." not in n}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"encoders\.speech\.model: .*lacks the weights of 16 parameters .*layers\.1"):
        SpeechPretrained(model=str(folder))
