"""The text encoder from scratch: gradients, padding, word order, context."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from multiemo.encoders.text.text_pretrained import TextPretrained
from multiemo.encoders.text.text_transformer import utterance_mask
from multiemo.errors import ConfigError
from multiemo.registry import encoders
from tests.support.no_sync import no_sync
from tests.support.parameters import names
from tests.support.tiny_text import SAVERS, SEP, batch, save_bert, scratch, tokens


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


SCRATCH = {"default": {}, "context": {"context": 1, "layers": 2}, "bags": {"layers": 0, "context": 1}}


@pytest.mark.parametrize("name", SCRATCH)
def test_groups_of_the_small_encoder(name):
    encoder = scratch(**SCRATCH[name])
    groups = names(encoder)
    assert sorted(n for g in groups for n in g) == sorted(n for n, _ in encoder.named_parameters())
    assert len(groups) == (1 if name == "bags" else len(encoder.transformer.blocks) + 2)
    assert "ngrams.table.weight" in groups[-1]


@pytest.mark.parametrize("name", SCRATCH)
def test_a_training_step_of_the_small_encoder_reads_nothing_back(name):
    encoder = scratch(**SCRATCH[name], token_dropout=0.2, ngram_dropout=0.2, ngram_weighting="tfidf").train()
    x, mask = batch()
    with no_sync():
        encoder(x, mask).square().sum().backward()
