"""Layouts of an utterance with its context, and finding the utterance in them."""

from __future__ import annotations

import pytest
import torch

from multiemo.encoders.text.decoders import last_utterance_mask
from multiemo.errors import ConfigError
from multiemo.preprocess.sequences import UtterancePlace
from multiemo.preprocess.text import TextPreprocessor, train_tokenizer
from multiemo.types import TextSpec
from tests.support.tiny_decoders import byte_tokenizer

END = 0


def reader(**options) -> TextPreprocessor:
    return TextPreprocessor(TextSpec(tokenizer="m", **{"layout": "utterance_last", **options}), byte_tokenizer())


def text_of(ids: torch.Tensor) -> str:
    return byte_tokenizer().decode(ids).replace("<|end|>", "|")


def test_the_utterance_is_last_and_the_oldest_turn_first():
    read = reader(context=2)
    turns = [(True, "forgotten"), (True, "so?"), (False, "no!"), (False, "")]
    assert text_of(read("well", turns[:-1])) == "self:so?|other:no!|well|"
    assert text_of(read("well", turns)) == "other:no!|well|"  # an empty turn takes its place, as in other layouts
    assert text_of(read("well")) == "well|"


def test_the_oldest_context_is_cut_first_and_the_beginning_of_the_utterance_last():
    turns = [(True, "first"), (False, "second")]
    sizes = {size: text_of(reader(context=2, max_tokens=size)("well", turns)) for size in (40, 28, 24, 22, 12, 5, 4)}
    assert sizes == {
        40: "self:first|other:second|well|",
        28: "self:irst|other:second|well|",
        24: "other:second|well|",
        22: "other:second|well|",
        12: "well|",
        5: "well|",
        4: "ell|",
    }


def test_a_prefix_is_kept_whatever_is_cut():
    read = reader(context=1, max_tokens=16, prefix="query: ")
    assert text_of(read("well", [(False, "no!")])) == "query: well|"
    assert text_of(read("so long a sentence")) == "query: sentence|"
    first = reader(layout="utterance_first", max_tokens=14, prefix="query: ")
    assert text_of(first("so long a sentence")) == "query: so lon|"
    with pytest.raises(ConfigError, match="max_tokens: 8 leaves no room for text; give at least 9"):
        reader(max_tokens=8, prefix="query: ")


@pytest.mark.parametrize("prefix", ["query: ", "Ask:\n", "查询："])
def test_prefix_and_utterance_are_tokenized_as_one_text(prefix):
    read = reader(prefix=prefix)
    ids = read("well now").tolist()
    assert ids == [*byte_tokenizer()(prefix + "well now")["input_ids"], END]
    turns = read.turns("well now")
    assert turns.count(0) == len("well now")
    assert read.token_ends("well now", [4, 8])[-1] == 8
    assert len(read.token_ends("well now", [4, 8])) == turns.count(0)
    assert read.own_text(ids) == [turn == 0 for turn in turns]


def test_both_ways_of_finding_the_utterance_agree():
    """One in Python for single sequences, one for padded batches."""
    torch.manual_seed(0)
    for place in (
        UtterancePlace(),
        UtterancePlace(start=1, before=(3,), after=1),
        UtterancePlace(start=2, prefix=1, before=(3, 4), after=2),
    ):
        x = torch.randint(3, 6, (200, 12))
        found = last_utterance_mask(x, torch.ones_like(x, dtype=torch.bool), place)
        for ids, own in zip(x.tolist(), found.tolist(), strict=True):
            begin, stop = place.begin(ids) + place.prefix, len(ids) - place.after
            expected = [begin <= i < stop for i in range(len(ids))]
            assert own == (expected if any(expected) else [False] * 11 + [True])


def test_only_a_pretrained_tokenizer_has_a_chat_template():
    tokenizer = train_tokenizer(["good day"] * 9, 512)
    with pytest.raises(ConfigError, match="only the tokenizer of a pretrained model"):
        TextPreprocessor(TextSpec(layout="chat"), tokenizer)
    read = TextPreprocessor(TextSpec(layout="utterance_last", context=1), tokenizer)
    assert [tokenizer.id_to_token(i) for i in read("good", [(True, "day")]).tolist()] == [
        *("[CLS]", "[SELF]", "▁day", "[SEP]", "▁good", "[SEP]")
    ]
