"""The lists of the package."""

from __future__ import annotations

import pytest

from multiemo.rules.cleaning import clean
from multiemo.rules.findings import EMOTIONS
from multiemo.rules.lexicon.builtin import base_forms, chinese, english, english_entry, symbols, vader
from multiemo.rules.lexicon.words import Lexicon


@pytest.mark.parametrize("lexicon", [chinese(), english(), symbols()], ids=lambda lexicon: lexicon.name)
def test_the_lists_are_sound(lexicon: Lexicon) -> None:
    for word, entry in lexicon.entries.items():
        assert set(entry.emotions) <= set(EMOTIONS), word
        assert all(0 < strength <= 1 for strength in entry.emotions.values()), word
        assert entry.valence is None or -1 <= entry.valence <= 1, word
        assert clean(word).text == word, "a word that cleaning changes is never found"
    covered = {emotion for entry in lexicon.entries.values() for emotion in entry.emotions}
    assert covered == set(EMOTIONS)


def test_each_list_has_a_few_hundred_words() -> None:
    assert len(chinese().entries) > 500
    assert len(english().entries) > 500
    assert len(vader().entries) > 7000


@pytest.mark.parametrize(
    ("form", "base"),
    [("hugging", "hug"), ("happier", "happy"), ("happiest", "happy"), ("worries", "worry"), ("worried", "worry"),
     ("hated", "hate"), ("sadly", "sad"), ("loneliness", "lonely"), ("annoyingly", "annoying"), ("smiles", "smile")],
)  # fmt: skip
def test_inflections(form: str, base: str) -> None:
    assert base in list(base_forms(form))


def test_valence_comes_from_vader_and_emotions_from_our_list() -> None:
    entry = english_entry("furious")
    assert entry is not None
    assert (entry.emotions, entry.valence) == ({"angry": 1.0}, vader().entries["furious"].valence)
    assert english_entry("like") is not None
    assert not english_entry("like").emotions  # type: ignore[union-attr]
    assert english_entry("table") is None
