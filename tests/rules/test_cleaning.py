"""Cleaning keeps where every character came from."""

from __future__ import annotations

import pytest

from multiemo.rules.cleaning import clean


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("I&#39;m ok", "I'm ok"),
        ("&#55357;&#56832;", "\U0001f600"),
        ("see https://a.b/c?d=1 now", "see  now"),
        ("@bob hi", " hi"),
        ("a@b.org", "a@b.org"),
        ("#happy", "happy"),
        ("sooooo", "soo"),
        ("哈哈哈哈", "哈哈"),
        ("2000000", "2000000"),
        ("！？，", "!?,"),
        ("ｈａｐｐｙ", "happy"),
        ("don’t", "don't"),
        ("開心難過", "开心难过"),
        ("👍🏽❤️", "👍❤"),
    ],
)
def test_normal_forms(text: str, cleaned: str) -> None:
    assert clean(text).text == cleaned


def test_every_character_has_its_span() -> None:
    text = "@bo I&#39;m soooo 開心！ https://x.org 👍🏽"
    cleaned = clean(text)
    assert len(cleaned.spans) == len(cleaned.text)
    for word, original in (("soo", "soooo"), ("开心", "開心"), ("I'm", "I&#39;m"), ("!", "！"), ("👍", "👍")):
        at = cleaned.text.index(word)
        first, last = cleaned.original(at, at + len(word))
        assert text[first:last] == original
    assert [cleaned.text[place] for place in cleaned.drawn_out] == ["o"]
