from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from multiemo.encoders.ngrams import HashedNgrams
from multiemo.encoders.pretrained import resolve_model
from multiemo.encoders.text import utterance_mask
from multiemo.encoders.text_pretrained import TextPretrained
from multiemo.errors import ConfigError
from multiemo.preprocess.text import TextPreprocessor
from multiemo.registry import encoders
from multiemo.types import TEXT_SPECIALS
from tests.support.tiny_text import (
    SAVERS,
    SEP,
    save_bert,
    save_gpt2,
    scratch,
)


def tokens(rows: int = 3, length: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    x = torch.randint(len(TEXT_SPECIALS), 11, (rows, length))
    x[:, 0], x[:, -1] = 2, SEP
    return x, torch.ones(rows, length, dtype=torch.bool)


@pytest.fixture(params=["scratch", "context", "no bag", "bags only", "tfidf", *SAVERS, "cls", "attention"])
def encoder(request, tmp_path: Path):
    name = request.param
    if name in SAVERS:
        return TextPretrained(model=str(SAVERS[name](tmp_path / name)), max_tokens=24, context=1)
    if name in ("cls", "attention"):
        return TextPretrained(model=str(save_bert(tmp_path / "bert")), max_tokens=24, pooling=name)
    return scratch(
        **{
            "scratch": {},
            "context": {"context": 2},
            "no bag": {"ngram_dim": 0},
            "bags only": {"layers": 0, "context": 1},
            "tfidf": {"layers": 0, "context": 1, "ngram_weighting": "tfidf"},
        }[name]
    )


def test_width_and_padding(encoder):
    encoder.eval()
    x, mask = tokens()
    expected = encoder(x, mask)
    assert expected.shape == (3, encoder.out_dim)
    padded = torch.cat([x, torch.zeros(3, 7, dtype=torch.long)], dim=1)
    mask = torch.cat([mask, torch.zeros(3, 7, dtype=torch.bool)], dim=1)
    assert torch.allclose(encoder(padded, mask), expected, atol=1e-5)
    assert torch.allclose(encoder(padded[1:2], mask[1:2]), expected[1:2], atol=1e-5)
    assert not torch.allclose(encoder(x.flip(0), mask[:, :9]), expected)


def test_every_trainable_parameter_gets_a_gradient(encoder):
    encoder.train()
    x, mask = tokens(rows=8, length=12)
    x[:, 6] = SEP
    encoder(x, mask).square().sum().backward()
    starved = [n for n, p in encoder.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert starved == []


@pytest.mark.parametrize("context", [0, 2])
def test_utterance_of_one_token(context):
    encoder = scratch(context=context).eval()
    assert encoder(torch.tensor([[9]]), torch.ones(1, 1, dtype=torch.bool)).isfinite().all()


def test_utterance_mask_without_separator_is_everything_real():
    mask = torch.tensor([[True, True, False]])
    assert utterance_mask(torch.tensor([[9, 9, 3]]), mask, 3).tolist() == mask.tolist()


def test_tokens_are_hidden_in_training_only():
    encoder = scratch(dropout=0.0, token_dropout=0.5, ngram_dropout=0.5)
    x, mask = tokens(rows=2, length=24)
    assert not torch.equal(encoder.train()(x, mask), encoder(x, mask))
    assert torch.equal(encoder.eval()(x, mask), encoder(x, mask))


def test_heads_must_divide_width():
    with pytest.raises(ConfigError, match="heads: 3 must divide dim"):
        scratch(heads=3)


def test_something_must_read():
    with pytest.raises(ConfigError, match="layers and ngram_dim are both 0"):
        scratch(layers=0, ngram_dim=0)


def test_hashed_runs_tell_word_order_apart():
    encoder = scratch(layers=0, ngram_buckets=4096).eval()
    x, mask = torch.tensor([[2, 8, 9, SEP], [2, 9, 8, SEP]]), torch.ones(2, 4, dtype=torch.bool)
    assert not torch.allclose(*encoder(x, mask))


def test_tfidf_bag_is_that_of_scikit_learn():
    from sklearn.feature_extraction.text import TfidfVectorizer

    torch.manual_seed(0)
    bag = HashedNgrams(5, buckets=50, orders=2, dropout=0.0, weighting="tfidf")
    texts = [torch.randint(7, 17, (1, length)) for length in (4, 9, 9, 12, 6, 1)]
    masks = [torch.ones_like(x, dtype=torch.bool) for x in texts]
    rows = [bag._runs(x, mask)[0][0].tolist() for x, mask in zip(texts, masks, strict=True)]
    bag.fit(zip(texts, masks, strict=True))
    oracle = TfidfVectorizer(analyzer=lambda runs: runs, min_df=2, sublinear_tf=True, vocabulary=None)
    expected = oracle.fit_transform(rows).toarray()
    assert max(row.count(x) for row in rows for x in row) > 1  # the sublinear term is used
    assert len(oracle.vocabulary_) < len({x for row in rows for x in row})  # and rare runs are left out
    table = bag.table.weight.detach()[list(oracle.get_feature_names_out())]
    got = torch.cat([bag(x, mask) for x, mask in zip(texts, masks, strict=True)])
    assert torch.allclose(got, torch.tensor(expected, dtype=torch.float32) @ table, atol=1e-6)


def test_tfidf_weights_are_learnt_from_each_part_and_kept():
    x = torch.tensor([2, 8, SEP, 6, 9, SEP])
    encoder = scratch(layers=0, context=1, ngram_weighting="tfidf", ngram_buckets=4096)
    before = encoder.state_dict()["ngrams.idf"].clone()
    encoder.fit_statistics(iter([x, x, torch.tensor([2, 10, SEP])]))
    assert not torch.equal(encoder.ngrams.idf, before)
    own, context = (bag.idf.count_nonzero() for bag in (encoder.ngrams, encoder.context_ngrams))
    assert (own, context) == (6, 5)  # runs of three tokens, and of up to two; what stands in one text weighs nothing
    again = scratch(layers=0, context=1, ngram_weighting="tfidf", ngram_buckets=4096)
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again.ngrams.idf, encoder.ngrams.idf)


def test_built_from_config_options():
    encoder = encoders.build("text_transformer", {"dim": 32, "context": 3}, where="text.encoder")
    assert encoder.input_spec.context == 3
    assert encoders.build("text_transformer", {"characters": True}, where="e").input_spec.characters
    assert encoders.facts("text_pretrained")["modality"] == "text"
    with pytest.raises(ConfigError, match=r"text\.encoder\.pooling"):
        encoders.build("text_pretrained", {"model": "x", "pooling": "max"}, where="text.encoder")


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
    with pytest.raises(ConfigError, match=f"max_tokens: {limit + 1} is more than the {limit}"):
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
    with pytest.raises(ConfigError, match=r"bert: its tokenizer gives ids up to 12, and the model has 11 embeddings"):
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


def test_folders_that_are_no_models(tmp_path: Path):
    where = "text.encoder.model"
    with pytest.raises(ConfigError, match=r"text\.encoder\.model: .* it has no config\.json"):
        resolve_model(str(tmp_path), where)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"no \*.safetensors weights"):
        resolve_model(str(tmp_path), where)
    (tmp_path / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ConfigError, match="does not load as a text model"):
        TextPretrained(model=str(tmp_path))
    for name, words in {
        str(tmp_path / "config.json"): "is not a folder",
        "./missing": "is not a folder",
        "package:no_such_package_here": "no Python package",
        "package:json": "carries no folder",
        "a/b/c": "neither a folder nor a hub name",
    }.items():
        with pytest.raises(ConfigError, match=words):
            resolve_model(name, where)


def test_a_hub_name_when_offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match=r"encoders\.text\.model: 'no/such-model' is not in the local model cache"):
        TextPretrained(model="no/such-model")


def test_a_tokenizer_without_a_pad_token(tmp_path: Path):
    encoder = TextPretrained(model=str(save_gpt2(tmp_path / "gpt2")), max_tokens=24).eval()
    read = TextPreprocessor.from_pretrained(encoder.input_spec)
    assert read._pieces._tokenizer.pad_token_id is None
    assert encoder.backbone.config.pad_token_id is None
    texts = [read(t) for t in ("a longer text", "short")]
    x = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
    mask = torch.arange(x.shape[1]) < torch.tensor([[len(t)] for t in texts])
    alone = encoder(texts[1][None], torch.ones(1, len(texts[1]), dtype=torch.bool))
    assert torch.allclose(encoder(x, mask)[1:], alone, atol=1e-6)


def test_the_network_is_not_asked_when_offline(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match="'no/such-model' is not in the local model cache and this run is offline"):
        resolve_model("no/such-model", "text.encoder.model")


def test_an_unreachable_hub_is_said_at_once(monkeypatch):
    import huggingface_hub

    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)
    with pytest.raises(ConfigError, match=r"text\.encoder\.model: the hub cannot be reached for 'no/such-model'"):
        resolve_model("no/such-model", "text.encoder.model")


def test_a_model_inside_an_installed_package(monkeypatch, tmp_path: Path):
    package = tmp_path / "some_model_wheel"
    save_bert(package / "deep" / "model")
    (package / "__init__.py").write_text("")
    (package / "deep" / "config.json").write_text("{}")
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve_model("package:some_model_wheel", "text.encoder.model") == str(package / "deep" / "model")
