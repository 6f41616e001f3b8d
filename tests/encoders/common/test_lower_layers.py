"""Training above frozen lower layers from their cached states is training of the whole backbone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from multiemo.encoders.base import Encoder
from multiemo.encoders.common.lora import Lora
from multiemo.errors import ConfigError
from tests.support.tensors import padded, waves
from tests.support.tiny_decoders import DECODERS, decoder
from tests.support.tiny_decoders import padded as padded_tokens
from tests.support.tiny_speech import build
from tests.support.tiny_text import ARCHITECTURES, batch, tiny

#: Architectures in which a later layer reads what the first one computed besides its output.
ENTANGLED = ["t5"]


def text(folder: Path, name: str, **options) -> tuple[Encoder, torch.Tensor, torch.Tensor]:
    """A text encoder and a batch, longer than the windows of local attention."""
    if name in ARCHITECTURES:
        return (tiny(folder, name, **options), *batch())
    x, mask = padded_tokens([torch.randint(9, 200, (n,), generator=torch.manual_seed(n)) for n in (30, 12, 21)])
    return (decoder(folder, name, **options), x, mask)


def of_cached(encoder: Encoder, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The embedding from states as the cache has them: the real steps of each clip."""
    with torch.no_grad():
        states, steps = encoder.eval().frozen_states(x, mask)
    assert steps.tolist() == steps.sort(1, descending=True).values.tolist()  # real steps come first
    return encoder.train()(x, mask, (states.masked_fill(~steps.unsqueeze(2), 7.0), steps))


def still(encoder: Encoder) -> Encoder:
    """Without dropout in training."""
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("dropout", "attention_dropout", "activation_dropout", "dropout_prob", "drop_prob"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    return encoder


def gradients(encoder: Encoder, embedding: torch.Tensor) -> dict[str, torch.Tensor]:
    encoder.zero_grad()
    embedding.square().sum().backward()
    return {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("lora", [None, Lora(rank=2)], ids=["weights", "adapters"])
@pytest.mark.parametrize("name", [n for n in (*ARCHITECTURES, *DECODERS) if n not in ENTANGLED])
def test_the_layers_above_learn_from_cached_states_what_they_learn_in_the_whole_model(name, lora, tmp_path):
    encoder, x, mask = text(tmp_path, name, frozen_layers=1, lora=lora)
    part = still(encoder).frozen_part()
    assert part is not None
    trained = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert part.weights
    assert not trained & {f"backbone.{name}" for name in part.weights}
    whole, parted = encoder.train()(x, mask), of_cached(encoder, x, mask)
    torch.testing.assert_close(parted, whole, rtol=1e-4, atol=1e-5)
    expected = gradients(encoder, encoder(x, mask))
    assert set(expected) <= trained
    assert any("layer" in name or name.startswith("backbone.h.") for name in expected)
    torch.testing.assert_close(gradients(encoder, of_cached(encoder, x, mask)), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ENTANGLED)
def test_layers_that_share_more_than_states_run_in_every_epoch(name, tmp_path):
    encoder, x, mask = text(tmp_path, name, frozen_layers=1)
    assert encoder.frozen_part() is None
    assert gradients(encoder, encoder.train()(x, mask))


@pytest.mark.parametrize("options", [{}, {"pooling": "mean"}, {"lora": {"rank": 2}}], ids=str)
def test_whisper_learns_above_its_lower_layers(options, tmp_path):
    encoder = still(build("whisper", tmp_path, frozen_layers=1, **options))
    x, mask = padded(waves([0.61, 1.0]))
    part = encoder.frozen_part()
    assert part is not None
    assert part.settings == {"layers": 1}
    whole = gradients(encoder, encoder.train()(x, mask))
    torch.testing.assert_close(gradients(encoder, of_cached(encoder, x, mask)), whole, rtol=1e-3, atol=1e-5)
    names = {name for name in whole if name.startswith("backbone.")}
    assert names
    assert not any(name.startswith(("backbone.layers.0.", "backbone.conv")) for name in names)


def test_only_whisper_s_own_window_is_cached(tmp_path):
    assert build("whisper", tmp_path, frozen_layers=1, whisper_window="30s").frozen_part() is None
    other = build("hubert", tmp_path, frozen_layers=1)
    assert other.frozen_part() is None
    x, mask = padded(waves([0.6, 1.0]))
    learnt = gradients(other, other.train()(x, mask))
    assert not any(".layers.0." in name or "feature" in name for name in learnt)
    assert any(".layers.1." in name for name in learnt)


def test_frozen_layers_have_no_dropout_in_training(tmp_path):
    encoder, *_ = text(tmp_path, "bert", frozen_layers=2)
    encoder.train()
    layers = encoder.backbone.encoder.layer
    assert not layers[1].attention.self.dropout.training
    assert not encoder.backbone.embeddings.training
    assert layers[2].attention.self.dropout.training
    assert not encoder.eval().backbone.encoder.layer[2].training


def test_no_layer_is_left_to_train(tmp_path):
    with pytest.raises(ConfigError, match=r"encoders\.text\.frozen_layers is 3, but the model has 3 layers"):
        text(tmp_path, "bert", frozen_layers=3)
    with pytest.raises(ConfigError, match=r"encoders\.text\.frozen_layers is 1, but .*freeze freezes all"):
        text(tmp_path / "a", "bert", frozen_layers=1, freeze=True)
    with pytest.raises(ConfigError, match=r"encoders\.speech\.freeze is 'all' and .*frozen_layers 1"):
        build("whisper", tmp_path, frozen_layers=1, freeze="all")
