"""Pretrained text models of every architecture, built tiny on the spot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from multiemo.encoders.common.lora import Lora
from multiemo.encoders.text.text_pretrained import TextPretrained
from multiemo.encoders.text.text_transformer import utterance_mask
from multiemo.errors import ConfigError
from multiemo.preprocess.text import TextPreprocessor
from tests.support.no_sync import no_sync, skip_what_waits
from tests.support.parameters import gradients, names
from tests.support.tiny_decoders import decoder, padded
from tests.support.tiny_text import (
    ARCHITECTURES,
    LAYERS,
    SAVERS,
    SDPA,
    WORDS,
    batch,
    save_bert,
    save_gpt2,
    save_tiny,
    tiny,
    tokens,
)


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


@pytest.mark.parametrize("kind", SAVERS)
def test_rebuilt_from_assets_without_the_model_folder(tmp_path: Path, kind):
    model = SAVERS[kind](tmp_path / kind)
    first = TextPretrained(model=str(model), max_tokens=24, context=1).eval()
    first.save_assets(tmp_path / "assets")
    model.rename(tmp_path / "moved")
    again = TextPretrained(model=str(model), max_tokens=24, context=1, assets=tmp_path / "assets").eval()
    again.load_state_dict(first.state_dict())
    x, mask = tokens()
    assert torch.equal(first(x, mask), again(x, mask))
    assert not list((tmp_path / "assets").glob("*.safetensors"))


def test_context_moves_a_pretrained_embedding_but_is_not_pooled(tmp_path: Path):
    encoder = TextPretrained(model=str(save_bert(tmp_path / "bert")), max_tokens=24, context=1).eval()
    read = TextPreprocessor.from_pretrained(encoder.input_spec)
    alone, after_good, after_bad = (read("day", c) for c in ([], [(False, "good")], [(False, "bad")]))

    def embed(ids: torch.Tensor) -> torch.Tensor:
        return encoder(ids[None], torch.ones(1, len(ids), dtype=torch.bool))

    assert len(alone) < len(after_good)
    assert not torch.allclose(embed(after_good), embed(after_bad))
    ids = after_good[None]
    assert utterance_mask(ids, torch.ones_like(ids, dtype=torch.bool), encoder.separator).sum() == len(alone)


def test_frozen_backbone_learns_nothing_and_drops_nothing(tmp_path: Path):
    encoder = TextPretrained(model=str(save_bert(tmp_path / "bert")), max_tokens=24, freeze=True, pooling="attention")
    assert {n for n, p in encoder.named_parameters() if p.requires_grad} == {"pool.score.weight", "pool.score.bias"}
    x, mask = tokens()
    assert torch.equal(encoder.train()(x, mask), encoder(x, mask))


@pytest.mark.parametrize(("kind", "limit"), [("bert", 40), ("roberta", 38)])
def test_more_tokens_than_positions_are_refused(tmp_path: Path, kind, limit):
    model = str(SAVERS[kind](tmp_path / kind))
    assert TextPretrained(model=model, max_tokens=limit).input_spec.max_tokens == limit
    with pytest.raises(ConfigError, match=f"max_tokens: {limit + 1} exceeds the {limit} tokens"):
        TextPretrained(model=model, max_tokens=limit + 1)


def test_a_model_that_reads_no_text_is_refused(tmp_path: Path):
    from transformers import ViTConfig, ViTModel

    save_bert(tmp_path / "vit")
    config = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32)
    ViTModel(config).save_pretrained(tmp_path / "vit")
    with pytest.raises(ConfigError, match=r"encoders\.text\.model: .*(tokenizer|read text)"):
        TextPretrained(model=str(tmp_path / "vit"), max_tokens=24)


def test_a_folder_whose_tokenizer_is_missing_or_of_another_model(tmp_path: Path):
    from transformers import AutoModel, BertTokenizer

    folder = save_bert(tmp_path / "bert")
    tokenizer = BertTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<pause>"]})
    tokenizer.save_pretrained(folder)
    TextPretrained(model=str(folder), max_tokens=12)  # no text gives it, so that it has no embedding is no harm
    tokenizer.add_tokens(["<laugh>"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(
        ConfigError, match=r"bert: its tokenizer gives ids up to 12, but the model has only 11 embeddings"
    ):
        TextPretrained(model=str(folder), max_tokens=12)
    grown = AutoModel.from_pretrained(folder)
    grown.resize_token_embeddings(len(tokenizer))
    grown.save_pretrained(folder)
    TextPretrained(model=str(folder), max_tokens=12)
    for file in folder.iterdir():
        if file.name not in ("config.json", "model.safetensors"):
            file.unlink()
    with pytest.raises(ConfigError, match=r"bert.*tokenizer"):
        TextPretrained(model=str(folder), max_tokens=12)


def test_a_hub_name_when_offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match=r"encoders\.text\.model: 'no/such-model' is not in the local model cache"):
        TextPretrained(model="no/such-model")


def test_a_tokenizer_without_a_pad_token(tmp_path: Path):
    encoder = TextPretrained(model=str(save_gpt2(tmp_path / "gpt2")), max_tokens=24).eval()
    read = TextPreprocessor.from_pretrained(encoder.input_spec)
    assert read._pieces.tokenizer.pad_token_id is None
    assert encoder.backbone.config.pad_token_id is None
    texts = [read(t) for t in ("a longer text", "short")]
    x = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
    mask = torch.arange(x.shape[1]) < torch.tensor([[len(t)] for t in texts])
    alone = encoder(texts[1][None], torch.ones(1, len(texts[1]), dtype=torch.bool))
    assert torch.allclose(encoder(x, mask)[1:], alone, atol=1e-6)


@pytest.mark.parametrize("pooling", ["cls", "mean", "attention", "last"])
@pytest.mark.parametrize("name", ["bert", "qwen2"])
def test_the_states_of_a_frozen_model_stand_for_its_input(tmp_path: Path, name, pooling):
    if (name, pooling) == ("qwen2", "cls"):
        pytest.skip("a decoder has no such pooling")
    build = tiny if name == "bert" else decoder
    encoder = build(tmp_path, name, pooling=pooling, freeze=True, context=1, prefix="self: ").train()
    assert build(tmp_path, name).frozen_part() is None
    assert encoder.frozen_part().settings == {"pooling": pooling}
    read = TextPreprocessor.from_pretrained(encoder.input_spec)
    x, mask = padded([read(text, [(True, "bad")]) for text in ("good day", "day", "good bad good day")])
    values, own = encoder.frozen_states(x, mask)
    assert own.tolist() == own.sort(1, descending=True).values.tolist()  # real steps come first
    assert values.shape[1] == (1 if pooling != "attention" else x.shape[1])
    # The cache keeps real steps only, in half precision, and pads them again.
    kept = padded_states([v[: int(m.sum())].half() for v, m in zip(values, own, strict=True)])
    torch.testing.assert_close(encoder(x * 0, mask, kept), encoder(x, mask), atol=2e-3, rtol=2e-3)


def padded_states(rows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.arange(max(map(len, rows))) < torch.tensor([[len(row)] for row in rows])
    return nn.utils.rnn.pad_sequence(rows, batch_first=True), mask


def without(folder: Path, *parts: str) -> Path:
    """Remove from a model folder the weights whose name contains one of these parts."""
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not any(part in name for part in parts)}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("bert", "encoder.layer.2."), ("bert", "word_embeddings"), ("bert", "embeddings.LayerNorm"),
        ("t5", "block.1."), ("distilbert", "position_embeddings"), ("modernbert", "final_norm"),
    ],
)  # fmt: skip
def test_a_model_without_some_of_its_weights_is_refused(tmp_path: Path, name, part):
    folder = without(save_tiny(tmp_path / name, name), part)
    with pytest.raises(ConfigError, match=rf"encoders\.text\.model: .* lacks the weights of \d+ .*{part}"):
        TextPretrained(model=str(folder), max_tokens=24)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("auto", ["AutoModelForMaskedLM", "AutoModelForSequenceClassification"])
def test_a_model_of_another_task_is_complete_without_its_head(tmp_path: Path, name, auto):
    save_tiny(tmp_path, name)
    if name == "t5":
        auto = {"AutoModelForMaskedLM": "T5EncoderModel"}.get(auto, "T5ForConditionalGeneration")
        built = getattr(transformers, auto)(ARCHITECTURES[name]())
    else:
        built = getattr(transformers, auto).from_config(ARCHITECTURES[name]())
    built.save_pretrained(tmp_path)
    encoder = TextPretrained(model=str(tmp_path), max_tokens=24)
    theirs = built.get_encoder() if name == "t5" else built.base_model
    expected = {key: value for key, value in theirs.state_dict().items() if not key.startswith("pooler.")}
    found = encoder.backbone.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in expected.items())


def test_a_model_without_a_limit_of_positions_reads_any_length(tmp_path: Path):
    folder = save_tiny(tmp_path / "bert", "bert")
    config = transformers.XLNetConfig(vocab_size=len(WORDS), d_model=16, n_layer=2, n_head=2, d_inner=32)
    transformers.XLNetModel(config).save_pretrained(folder)
    assert config.max_position_embeddings == -1
    encoder = TextPretrained(model=str(folder), max_tokens=24)
    assert encoder.eval()(*batch()).isfinite().all()


def test_deberta_of_the_first_version_runs_in_float32_under_autocast(tmp_path: Path):
    folder = save_tiny(tmp_path / "bert", "bert")
    config = transformers.DebertaConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=40, relative_attention=True, pos_att_type=["p2c", "c2p"], type_vocab_size=0,
    )  # fmt: skip
    transformers.DebertaModel(config).save_pretrained(folder)
    encoder = TextPretrained(model=str(folder), max_tokens=24).eval()
    expected = encoder(*batch())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encoder(*batch()), expected)
        encoder.train()(*batch()).square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)


PADDING_READ = {
    "convbert": lambda: transformers.ConvBertConfig(
        vocab_size=len(WORDS), hidden_size=16, embedding_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=40, head_ratio=1, conv_kernel_size=3,
    ),
    "mobilebert": lambda: transformers.MobileBertConfig(
        vocab_size=len(WORDS), hidden_size=16, embedding_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=40, intra_bottleneck_size=16, normalization_type="layer_norm",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PADDING_READ)
def test_a_model_that_reads_padding_reads_each_text_alone(tmp_path: Path, name, monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, name, PADDING_READ[name])
    folder = save_tiny(tmp_path / name, name)
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][0] = 1.0  # as in published models, padding has a vector
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    encoder = TextPretrained(model=str(folder), max_tokens=24).eval()
    assert encoder.clip_by_clip
    x, mask = batch()
    assert not mask.all()
    together = encoder(x, mask)
    for row, (ids, real) in enumerate(zip(x, mask, strict=True)):
        alone = encoder(ids[None, real], real[None, real])
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-5)
    encoder.save_assets(tmp_path / "assets")
    rebuilt = TextPretrained(model="x", max_tokens=24, assets=tmp_path / "assets")
    assert rebuilt.clip_by_clip
    with pytest.raises(ConfigError, match=r"frozen_layers: .* reads the padding behind a text"):
        TextPretrained(model=str(folder), max_tokens=24, frozen_layers=1)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_other_models_read_a_batch_at_once(tmp_path: Path, name):
    assert not tiny(tmp_path, name).clip_by_clip
