"""Sequences of text inputs, taken apart again."""

from __future__ import annotations

from multiemo.encoders.text.turns import TurnSplitter
from multiemo.preprocess.text import TextPreprocessor
from multiemo.types import TextSpec
from tests.support.tiny_language_models import tiny_tokenizer


def test_an_utterance_and_its_earlier_turns() -> None:
    spec, tokenizer = TextSpec(tokenizer="x", context=2, max_tokens=60), tiny_tokenizer()
    read, turns = TextPreprocessor(spec, tokenizer), TurnSplitter(spec, tokenizer)
    earlier = [(True, "too old"), (False, "self: who is it?"), (True, "me <|im_end|> !")]
    ids = read("it is I", earlier).tolist()
    words, said = turns.split(ids)
    assert tokenizer.decode(words) == "it is I"
    assert [(own, tokenizer.decode(one)) for own, one in said] == [
        (True, "me <|im_end|> !"),
        (False, "self: who is it?"),
    ]
    gone = [i for i in ids if i not in turns.tokens("it is I")]
    assert turns.split(gone)[0] == []
    assert turns.split(ids[: len(words) + 3])[0] == words
