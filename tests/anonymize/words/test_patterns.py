"""What the patterns find, and what they leave."""

from __future__ import annotations

import time

import pytest

from multiemo.anonymize.words.patterns import find_words


def masked(text: str) -> str:
    for start, end, kind in reversed(find_words(text)):
        text = f"{text[:start]}[{kind}]{text[end:]}"
    return text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # addresses
        ("Write to ada.l+x@mail.example.co.uk.", "Write to [EMAIL]."),
        ("See https://example.org/a?b=1, or www.example.net.", "See [URL], or [URL]."),
        ("it is on example.com somewhere", "it is on [URL] somewhere"),
        ("follow @ada_l now", "follow [HANDLE] now"),
        ("call +49 (0)30 901820 or 555-123-4567", "call [PHONE] or [PHONE]"),
        # numbers
        ("I paid $50.25 on 3/4/2024 at 10:30", "I paid $[NUMBER] on [NUMBER] at [NUMBER]"),
        ("she is twenty-five, not one", "she is [NUMBER], not one"),
        ("my code is five five one two", "my code is [NUMBER]"),
        ("one of these days, no one cares", "one of these days, no one cares"),
        # names
        ("my name is ada lovelace", "my name is [NAME] lovelace"),
        ("Hi, my name is Ada Lovelace.", "Hi, my name is [NAME]."),
        ("I told Dr. Okonkwo about it", "I told Dr. [NAME] about it"),
        ("Rachel, come here!", "[NAME], come here!"),
        ("that is Rachel's coat", "that is [NAME]'s coat"),
        ("we met Zelner in Tulsa last week", "we met [NAME] in [NAME] last week"),
        ("we met on Monday. Then I left.", "we met on Monday. Then I left."),
        ("Oh My God", "Oh My God"),
        ("WHAT DO YOU WANT", "WHAT DO YOU WANT"),
        # Chinese
        ("我叫王小明，电话是13812345678", "我叫[NAME]，电话是[PHONE]"),
        ("王先生说他是李雷。", "[NAME]先生说他是[NAME]。"),
        ("我和小李去找老张", "我和[NAME]去找[NAME]"),
        ("邮箱是bob@example.com谢谢", "邮箱是[EMAIL]谢谢"),
        ("我和John去看了", "我和[NAME]去看了"),
        ("号码幺三八零零一二三", "号码[NUMBER]"),
        ("小时候谢谢老师，万一呢", "小时候谢谢老师，万一呢"),
        ("", ""),
    ],
)
def test_found_and_left(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "part",
    ["a", "1", "a@", "@", "\n", ". ", "Aa ", "王", "one ", "http://", "a.", "小王", "-", "((1", "我是王", "  ", "Dr. "],
)
def test_the_time_grows_linearly(part: str) -> None:
    text = part * (60_000 // len(part))
    began = time.process_time()
    find_words(text)
    assert time.process_time() - began < 1.5  # 0.1 s; quadratic patterns take minutes
