"""Corruptions of text: their documented properties, measured independently."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torchaudio

from multiemo.benchmark.robustness.corrupt_text import _NEIGHBOURS, Vocabulary, Wording
from multiemo.benchmark.robustness.corruptions import CORRUPTIONS
from tests.support.corrupted import CHINESE, apply, wordings


def units(text, chinese):
    return list(text.rstrip("。")) if chinese else text.rstrip("!").split()


@pytest.mark.parametrize("chinese", [False, True])
@pytest.mark.parametrize("rate", [0.05, 0.3, 0.6])
def test_word_errors_have_the_asked_rate(chinese, rate):
    errors = words = longer = 0
    for i, wording in enumerate(wordings(100)[chinese]):
        got = apply("asr_errors", wording, rate, clip=str(i)).text
        before, after = units(wording.text, chinese), units(got, chinese)
        errors += torchaudio.functional.edit_distance(before, after)
        words += len(before)
        longer += len(after) - len(before)
    assert errors / words == pytest.approx(rate, abs=0.025)
    assert longer / errors == pytest.approx(0.11 - 0.28, abs=0.09)


def test_word_errors_draw_from_the_vocabulary_and_keep_punctuation():
    wording = Wording("Well, I am fine - 我很好，真的！", vocabulary=Vocabulary(("zebra",), ("象",)))
    got = apply("asr_errors", wording, 1.0).text
    assert {c for c in got if not c.isalnum() and c != " "} == {",", "-", "，", "！"}
    assert set(got) & set("象zebra")
    alone = apply("asr_errors", Wording("one two three four five six"), 1.0).text
    assert set(alone.split()) <= {"one", "two", "three", "four", "five", "six"}


def test_earlier_utterances_of_the_dialogue_get_errors_too():
    wording = Wording(
        "good day to you", ((True, "one two three four five"), (False, "six seven eight")), Vocabulary(("x",))
    )
    got = apply("asr_errors", wording, 1.0)
    assert [same for same, _ in got.earlier] == [True, False]
    assert got.earlier[0][1] != wording.earlier[0][1]
    assert got.earlier[1][1] != wording.earlier[1][1]


def test_typos_hit_their_share_of_the_letters():
    text = "the quick brown fox jumps over the lazy dog while nobody is watching him " * 12
    letters = sum(c.isalpha() for c in text)
    for rate in (0.1, 0.3):
        got = apply("typos", Wording(text), rate).text
        edits = torchaudio.functional.edit_distance(list(text), list(got))
        # a swap is two edits of Levenshtein's, and takes a second letter with it
        assert 0.85 * rate < edits / letters < 1.4 * rate
        assert got.count(" ") == text.count(" ")


def test_a_wrong_key_is_a_neighbour():
    text = "Hello there my dear friends of the keyboard " * 30
    got = apply("typos", Wording(text), 0.2).text
    rows = ["qwertyuiop", "asdfghjkl", "zxcvbnm"]
    place = {c: (x, y) for y, row in enumerate(rows) for x, c in enumerate(row)}
    for letter, near in _NEIGHBOURS.items():
        assert near
        for other in near:
            assert letter in _NEIGHBOURS[other]
            assert max(abs(a - b) for a, b in zip(place[letter], place[other], strict=True)) == 1
    assert sum(c.isupper() for c in got) > 15


def test_typos_of_chinese_only_drop_and_swap():
    text = "".join(CHINESE)
    got = apply("typos", Wording(text), 0.3).text
    assert set(got) < set(text)
    assert 0.75 * len(text) < len(got) < 0.95 * len(text)
    assert any(got.find(b) < got.find(a) for a, b in pairwise(text) if a in got and b in got)


def test_a_higher_rate_hits_the_same_words_and_more():
    (wording, *_), _ = wordings(1)
    kept = [
        set(wording.text.rstrip("!").split()) & set(apply("asr_errors", wording, rate).text.rstrip("!").split())
        for rate in (0.1, 0.3, 0.6)
    ]
    assert len(kept[0]) > len(kept[1]) > len(kept[2])


@pytest.mark.parametrize("name", ["asr_errors", "typos"])
@pytest.mark.parametrize("text", ["", "   ", "!?", "a", "我", "😀 ok"])
def test_hardly_any_text_is_no_reason_to_stop(name, text):
    for severity in CORRUPTIONS[name].severities:
        for clip in "abcdef":
            assert isinstance(apply(name, Wording(text), severity, clip=clip).text, str)
