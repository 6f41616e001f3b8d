"""Low-rank adapters in text backbones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from multiemo.encoders.common.lora import Lora, add_lora, check_adapters
from multiemo.encoders.face.face_timm import TimmFaceEncoder
from multiemo.errors import ConfigError
from multiemo.registry import encoders
from tests.support.parameters import trained
from tests.support.tensors import crops
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


#: Vision transformers that add the bias of query and value apart from the layer, at their smallest.
VISION = {
    "beit_base_patch16_224": (32, {"img_size": 32, "depth": 2, "embed_dim": 24, "num_heads": 3}),
    "beitv2_base_patch16_224": (32, {"img_size": 32, "depth": 2, "embed_dim": 24, "num_heads": 3}),
    "eva02_tiny_patch14_224": (28, {"img_size": 28, "depth": 2, "embed_dim": 24, "num_heads": 3}),
    "swinv2_tiny_window8_256": (32, {"img_size": 32, "window_size": 4, "embed_dim": 12, "depths": (1, 1, 1, 1)}),
}


@pytest.mark.parametrize("name", VISION)
def test_adapters_learn_where_a_vision_transformer_has_its_bias_apart(name):
    size, options = VISION[name]
    torch.manual_seed(0)
    given = {"backbone": name, "backbone_options": options, "size": size, "dim": 8}
    encoder, plain = TimmFaceEncoder(**given, lora=Lora(rank=2)), TimmFaceEncoder(**given)
    plain.load_state_dict(
        {k.replace(".base_layer", ""): v for k, v in encoder.state_dict().items() if ".lora_" not in k}
    )
    x, mask = crops(2, 1, size=size)
    torch.testing.assert_close(encoder.eval()(x, mask), plain.eval()(x, mask), atol=1e-5, rtol=1e-5)
    fill(encoder)
    for module in encoder.modules():
        if isinstance(module, torch.nn.LayerNorm):  # those of Swin-V2 start at zero
            torch.nn.init.ones_(module.weight)
    encoder(x, mask).square().sum().backward()
    adapters = [p for n, p in encoder.named_parameters() if "lora_" in n]
    assert adapters
    assert all(p.grad is not None and p.grad.any() for p in adapters)


class Folded(torch.nn.Module):
    """Attention that reads the weights of its projection, and a layer that it calls."""

    def __init__(self):
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(4, 2, batch_first=True)
        self.query = torch.nn.Linear(4, 4)

    def forward(self, x):
        x = self.query(x)
        return self.attention(x, x, x)[0]


@pytest.mark.parametrize(("targets", "count"), [(("out_proj",), 1), (("out_proj", "query"), 1), (("query",), 0)])
def test_an_adapter_of_a_layer_that_is_never_called_is_refused(targets, count):
    backbone = Folded().train()
    add_lora(backbone, Lora(rank=2, targets=targets), "encoders.x")

    def check():
        check_adapters(backbone, lambda: backbone(torch.zeros(1, 3, 4)), "encoders.x")

    if count:
        with pytest.raises(
            ConfigError, match=r"encoders\.x\.lora\.targets: .* nothing in 1 layers, .*'attention\.out_proj'"
        ):
            check()
    else:
        check()
        assert backbone.training
        assert all(p.grad is None for p in backbone.parameters())


def test_a_check_of_adapters_draws_no_random_numbers(tmp_path, monkeypatch):
    """What is initialised after it starts as before."""
    states = []
    for name in ("checked", "unchecked"):
        if name == "unchecked":
            monkeypatch.setattr("multiemo.encoders.text.text_pretrained.check_adapters", lambda *_: None)
        states.append(tiny(tmp_path / name, "bert", pooling="attention", lora=Lora(rank=2)).state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
