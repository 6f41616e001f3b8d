"""What every architecture of text models must do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from multiemo.encoders.depth import depth_groups
from multiemo.encoders.lora import Lora
from multiemo.errors import ConfigError
from tests.support.no_sync import no_sync, skip_what_waits
from tests.support.parameters import gradients, names
from tests.support.tiny_text import ARCHITECTURES, LAYERS, SDPA, batch, scratch, tiny

SCRATCH = {"default": {}, "context": {"context": 1, "layers": 2}, "bags": {"layers": 0, "context": 1}}


def step(encoder, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    x, mask = batch()
    loss = encoder.train()(x, mask).square().sum()
    loss.backward()
    return loss


@pytest.mark.parametrize("lora", [None, Lora(rank=2)], ids=["whole", "lora"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_parameter_is_in_one_group_by_depth(tmp_path: Path, name, lora):
    encoder = tiny(tmp_path, name, pooling="attention", lora=lora)
    groups = names(encoder)
    assert len(groups) == LAYERS + 2
    assert sorted(n for g in groups for n in g) == sorted(n for n, _ in encoder.named_parameters())
    assert any(encoder.token_table().weight is p for p in encoder.layer_groups()[0])
    assert {"pool.score.weight", "pool.score.bias"} <= groups[-1]
    first, *layers, last = groups
    for index, layer in enumerate(layers):
        assert all(f".{index}." in n for n in layer)
    assert not any(f".{index}." in n for n in first | last for index in range(LAYERS))


@pytest.mark.parametrize("pooling", ["cls", "mean", "attention"])
def test_the_pooling_alone_is_new_in_a_pretrained_model(tmp_path: Path, pooling):
    encoder = tiny(tmp_path, "bert", pooling=pooling)
    new = {"pool.score.weight", "pool.score.bias"} if pooling == "attention" else set()
    assert encoder.untrained == new
    assert {id(p) for p in encoder.fresh_parameters()} == {id(p) for n, p in encoder.named_parameters() if n in new}


def test_a_table_that_all_layers_read_comes_first(tmp_path: Path):
    first, *_, last = names(tiny(tmp_path, "deberta-v2"))
    assert "backbone.encoder.rel_embeddings.weight" in first
    assert last == {"backbone.encoder.LayerNorm.weight", "backbone.encoder.LayerNorm.bias"}


def test_the_layers_are_the_list_of_most_parameters():
    front = nn.ModuleList(nn.Linear(2, 2) for _ in range(5))
    net = nn.Sequential(front, nn.ModuleList(nn.Linear(9, 9) for _ in range(2)), nn.ModuleList())
    assert [len(group) for group in depth_groups(net, net)] == [10, 2, 2, 0]


def test_a_backbone_without_layers_is_one_group():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    assert [len(group) for group in depth_groups(net, net[0])] == [2, 2]


@pytest.mark.parametrize("name", SCRATCH)
def test_groups_of_the_small_encoder(name):
    encoder = scratch(**SCRATCH[name])
    groups = names(encoder)
    assert sorted(n for g in groups for n in g) == sorted(n for n, _ in encoder.named_parameters())
    assert len(groups) == (1 if name == "bags" else len(encoder.transformer.blocks) + 2)
    assert "ngrams.table.weight" in groups[-1]


@pytest.mark.parametrize("name", SDPA)
def test_attention_is_sdpa_and_reads_nothing_back(tmp_path: Path, name):
    skip_what_waits(name)
    encoder = tiny(tmp_path, name)
    assert "sdpa" in encoder.backbone.config._attn_implementation
    x, mask = batch()
    got = encoder.eval()(x, mask)
    encoder.backbone.set_attn_implementation("eager")
    torch.testing.assert_close(encoder(x, mask), got, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_training_step_reads_nothing_back(tmp_path: Path, name):
    skip_what_waits(name)
    encoder = tiny(tmp_path, name, pooling="attention", context=1).train()
    x, mask = batch()
    with no_sync():
        encoder(x, mask).square().sum().backward()
    encoder.recompute_activations()
    with no_sync():
        encoder(x, mask).square().sum().backward()


@pytest.mark.parametrize("name", SCRATCH)
def test_a_training_step_of_the_small_encoder_reads_nothing_back(name):
    encoder = scratch(**SCRATCH[name], token_dropout=0.2, ngram_dropout=0.2, ngram_weighting="tfidf").train()
    x, mask = batch()
    with no_sync():
        encoder(x, mask).square().sum().backward()


@pytest.mark.parametrize("lora", [None, Lora(rank=2, dropout=0.3)], ids=["whole", "lora"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_recomputed_activations_give_the_same_gradients(tmp_path: Path, name, lora):
    encoder = tiny(tmp_path, name, lora=lora)
    kept = step(encoder)
    expected = gradients(encoder)
    encoder.zero_grad()
    calls = []
    layers = max((m for m in encoder.modules() if isinstance(m, nn.ModuleList)), key=len)
    inner = next(m for m in layers[0].modules() if isinstance(m, nn.Linear))
    inner.register_forward_pre_hook(lambda *_: calls.append(1))
    encoder.recompute_activations()
    assert torch.equal(step(encoder), kept)
    assert len(calls) == 2  # once more in the backward pass
    got = gradients(encoder)
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(got[key], value, atol=1e-6, rtol=1e-5)


def test_a_model_that_cannot_recompute_is_refused(tmp_path: Path, monkeypatch):
    encoder = tiny(tmp_path, "bert")
    monkeypatch.setattr(type(encoder.backbone), "supports_gradient_checkpointing", False)
    with pytest.raises(ConfigError, match=r"encoders\.text\.model: a 'bert' model cannot recompute"):
        encoder.recompute_activations()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_rebuilt_from_assets_with_the_same_attention_and_precision(tmp_path: Path, name):
    first = tiny(tmp_path, name).eval()
    first.save_assets(tmp_path / "assets")
    again = type(first)(model="gone/model", max_tokens=24, assets=tmp_path / "assets").eval()
    again.load_state_dict(first.state_dict())
    assert torch.equal(first(*batch()), again(*batch()))
    assert again.backbone.config._attn_implementation == first.backbone.config._attn_implementation
    assert {p.dtype for p in again.parameters()} == {torch.float32}


def test_half_precision_weights_are_trained_in_full(tmp_path: Path):
    from transformers import AutoModel

    whole = tiny(tmp_path, "bert")
    folder = tmp_path / "bert"
    AutoModel.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    half = type(whole)(model=str(folder), max_tokens=24)
    half.save_assets(tmp_path / "assets")
    again = type(whole)(model="gone/model", max_tokens=24, assets=tmp_path / "assets")
    assert {p.dtype for e in (half, again) for p in e.parameters()} == {torch.float32}
