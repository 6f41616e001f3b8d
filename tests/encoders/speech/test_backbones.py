"""Pretrained speech models compute the same as the library's, in any precision, and can be grouped by depth."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.measure import fake_gpu
from multiemo.encoders.speech.backbones import FROM_BANDS, ONE_BY_ONE, PADDABLE, frame_mask
from multiemo.encoders.speech.speech_pretrained import SpeechPretrained
from multiemo.errors import ConfigError
from multiemo.preprocess.voice.tensors import WaveformPreprocessor
from tests.support.no_copies import HostCopy, needs_fake_gpu, no_copies
from tests.support.parameters import names
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


def rename(folder: Path, change: Callable[[str], str | None]) -> str:
    """Rename the weights of a model folder, or remove those whose new name is ``None``."""
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for old, value in weights.items() if (name := change(old)) is not None}
    assert kept.keys() != weights.keys()
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("hubert", "encoder.layers.1."), ("hubert", "feature_extractor.conv_layers.0.conv."),
        ("wavlm", "feature_projection.projection."), ("wav2vec2-layer", "encoder.pos_conv_embed.conv."),
        ("wav2vec2-group", "encoder.layer_norm."), ("wav2vec2-bert", "feature_projection."),
        ("sew", "encoder.layers.1."), ("sew-d", "encoder.encoder.layer.1."), ("whisper", "encoder.conv1."),
        ("whisper", "encoder.conv2."), ("whisper", "encoder.layer_norm."), ("whisper", "encoder.layers.1."),
    ],
)  # fmt: skip
def test_weights_that_are_not_all_there_are_refused(kind: str, part: str, tmp_path: Path) -> None:
    folder = rename(save_model(kind, tmp_path), lambda name: None if name.startswith(part) else name)
    own = part.removeprefix("encoder.") if kind == "whisper" else part
    with pytest.raises(ConfigError, match=rf"encoders\.speech\.model: .*lacks the weights of \d+ parameters .*'{own}"):
        SpeechPretrained(model=folder)


UNREAD = ("masked_spec_embed", "encoder.upsample.", "decoder.")


@pytest.mark.parametrize("kind", ["hubert", "sew", "whisper", "wav2vec2-conformer", "wav2vec2-bert"])
def test_weights_that_are_never_read_may_be_missing(kind: str, tmp_path: Path) -> None:
    unread = (*UNREAD, "encoder.pos_conv_embed.") if kind == "wav2vec2-conformer" else UNREAD
    folder = rename(save_model(kind, tmp_path), lambda name: None if name.startswith(unread) else name)
    SpeechPretrained(model=folder)


@pytest.mark.parametrize("kind", ["wav2vec2-layer", "wavlm", "sew", "unispeech-sat"])
def test_weights_are_found_under_the_names_of_earlier_versions_of_torch(kind: str, tmp_path: Path) -> None:
    """The positional convolution was stored as ``weight_g`` and ``weight_v`` once."""
    plain = build(kind, tmp_path).backbone.state_dict()
    new, old = [f"parametrizations.weight.original{i}" for i in (0, 1)], ["weight_g", "weight_v"]
    folder = rename(tmp_path / kind, lambda name: name.replace(new[0], old[0]).replace(new[1], old[1]))
    found = SpeechPretrained(model=folder).backbone.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in plain.items())


#: Kinds of which padded clips share a batch.
PADDABLE_KINDS = [kind for kind in KINDS if kind.startswith((*PADDABLE,)) and kind not in (*ONE_BY_ONE, *FROM_BANDS)]


def states_of(model: Any, clip: torch.Tensor, **options: Any) -> torch.Tensor:
    """All hidden states of the library's own model."""
    out = model(clip, output_hidden_states=True, **options)
    return torch.stack([*out.hidden_states[:-1], out.last_hidden_state])


@pytest.mark.parametrize("kind", PADDABLE_KINDS)
def test_hidden_states_are_the_library_s_with_and_without_padding(kind: str, tmp_path: Path) -> None:
    """In double precision. With padding, each clip equals the library's result for the clip alone."""
    encoder = build(kind, tmp_path).double().eval()
    theirs = transformers.AutoModel.from_pretrained(str(tmp_path / kind), attn_implementation="eager").double().eval()
    clips = [clip.double() for clip in waves([0.3, 0.3, 0.17])]
    with torch.no_grad():
        even = torch.stack(clips[:2]).squeeze(2)
        ours, steps = encoder._layers(even, torch.ones_like(even, dtype=torch.bool), padded=False)
        torch.testing.assert_close(ours, states_of(theirs, even), rtol=1e-9, atol=1e-10)
        assert steps.all()
        x, mask = padded(clips, extra=77)
        ours, steps = encoder._layers(x.squeeze(2), mask)
        for row, clip in enumerate(clips):
            alone = states_of(theirs, clip.T)[:, 0]
            assert int(steps[row].sum()) == alone.shape[1]
            torch.testing.assert_close(ours[:, row, : alone.shape[1]], alone, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("convolutions", [((10, 3, 3), (5, 4, 4)), ((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))])
def test_the_frame_mask_is_the_library_s(convolutions: Any) -> None:
    kernels, strides = convolutions
    config = transformers.Wav2Vec2Config(conv_kernel=kernels, conv_stride=strides, conv_dim=(4,) * len(kernels))
    with torch.device("meta"):
        model = transformers.Wav2Vec2Model(config)
    lengths = torch.cat([torch.arange(400, 700), torch.tensor([9999, 16000])])
    real = torch.arange(16000) < lengths.unsqueeze(1)
    made = frame_mask(real, kernels, strides)
    assert torch.equal(made, model._get_feature_vector_attention_mask(made.shape[1], real.long()))


@needs_fake_gpu
@pytest.mark.parametrize("even", [False, True], ids=["padded", "even"])
@pytest.mark.parametrize("kind", PADDABLE_KINDS)
def test_a_step_copies_nothing_to_the_device(kind: str, even: bool, tmp_path: Path) -> None:
    mode = FakeTensorMode()
    encoder = fake_gpu.move(build(kind, tmp_path, freeze="none", prosody=True).train(), mode)
    with mode, no_copies(), fake_gpu.autocast(torch.bfloat16):
        x = torch.zeros(2, 40, 160 + P, device="cuda")
        fake_gpu.backward(encoder(x, x[..., 0] == 0, padded=not even).sum())
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)


@needs_fake_gpu
def test_the_library_s_own_frame_mask_would_copy(tmp_path: Path) -> None:
    build("hubert", tmp_path)
    theirs = transformers.AutoModel.from_pretrained(str(tmp_path / "hubert"))
    with FakeTensorMode(), pytest.raises(HostCopy), no_copies():
        theirs._get_feature_vector_attention_mask(49, torch.zeros(2, 4000, dtype=torch.long, device="cuda"))
