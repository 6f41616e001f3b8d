"""Low-rank adapters in text backbones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from multiemo.encoders.common.lora import Lora
from multiemo.errors import ConfigError
from multiemo.registry import encoders
from tests.support.parameters import trained
from tests.support.tiny_text import ARCHITECTURES, batch, save_tiny, tiny


def fill(encoder) -> None:
    """Set the second factors, which start at zero, so that the first ones get gradients."""
    for name, parameter in encoder.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_only_adapters_and_pooling_learn(tmp_path: Path, name):
    encoder = tiny(tmp_path, name, pooling="attention", lora=Lora(rank=2)).train()
    plain = tiny(tmp_path / "plain", name, pooling="attention")
    assert trained(encoder)
    assert all("lora_" in n or n.startswith("pool.") for n in trained(encoder))
    fill(encoder)
    encoder(*batch()).square().sum().backward()
    assert {n for n, p in encoder.named_parameters() if p.grad is not None and p.grad.any()} == trained(encoder)
    assert sum(p.numel() for p in encoder.parameters() if p.requires_grad) < 0.2 * sum(
        p.numel() for p in plain.parameters()
    )


def test_adapters_start_as_the_pretrained_model_does(tmp_path: Path):
    plain, adapted = tiny(tmp_path, "bert").eval(), tiny(tmp_path, "bert", lora=Lora()).eval()
    assert torch.equal(plain(*batch()), adapted(*batch()))


def test_the_update_is_the_scaled_product_of_two_factors(tmp_path: Path):
    encoder = tiny(tmp_path, "bert", lora=Lora(rank=3, alpha=6.0, targets=("query",))).eval()
    plain = tiny(tmp_path, "bert").eval()
    for layer, bare in zip(encoder.backbone.encoder.layer, plain.backbone.encoder.layer, strict=True):
        query = layer.attention.self.query
        a, b = query.lora_A["default"].weight, query.lora_B["default"].weight
        torch.nn.init.normal_(b)
        bare.attention.self.query.weight.data += 6.0 / 3 * (b @ a).detach()
    torch.testing.assert_close(encoder(*batch()), plain(*batch()), atol=1e-5, rtol=1e-5)


def test_the_backbones_dropout_stays_on(tmp_path: Path):
    encoder = tiny(tmp_path, "bert", lora=Lora(dropout=0.0)).train()
    x, mask = batch()
    assert not torch.equal(encoder(x, mask), encoder(x, mask))
    assert torch.equal(encoder.eval()(x, mask), encoder(x, mask))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_checkpoint_holds_the_adapters(tmp_path: Path, name):
    lora = Lora(rank=2)
    first = tiny(tmp_path, name, lora=lora).eval()
    fill(first)
    first.save_assets(tmp_path / "assets")
    save_file(first.state_dict(), tmp_path / "model.safetensors")
    again = type(first)(model="gone/model", max_tokens=24, lora=lora, assets=tmp_path / "assets").eval()
    again.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(first(*batch()), again(*batch()))
    assert trained(again) == trained(first)
    assert list(again.state_dict()) == list(first.state_dict())


def test_an_adapter_beside_what_is_never_read_does_not_train(tmp_path: Path):
    encoder = tiny(tmp_path, "bert", lora=Lora(rank=2, targets=("dense",))).train()
    encoder(*batch()).square().sum().backward()
    assert not [n for n in trained(encoder) if "pooler" in n]
    assert all(p.grad is not None for n, p in encoder.named_parameters() if n in trained(encoder))


def test_from_a_config(tmp_path: Path):
    model = str(save_tiny(tmp_path / "bert", "bert"))
    where = "encoders.text"
    encoder = encoders.build("text_pretrained", {"model": model, "max_tokens": 24, "lora": {"rank": 4}}, where=where)
    assert {p.shape[0] for n, p in encoder.named_parameters() if "lora_A" in n} == {4}
    bad = {
        r"encoders\.text\.lora\.rank": {"rank": 0},
        r"encoders\.text\.lora\.ranks": {"ranks": 4},
        r"encoders\.text\.lora\.targets: the backbone has no layer 'quary'": {"targets": ["quary"]},
    }
    for message, lora in bad.items():
        with pytest.raises(ConfigError, match=message):
            encoders.build("text_pretrained", {"model": model, "max_tokens": 24, "lora": lora}, where=where)


def test_not_together_with_freeze(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"encoders\.text\.freeze and encoders\.text\.lora"):
        tiny(tmp_path, "bert", freeze=True, lora=Lora())
