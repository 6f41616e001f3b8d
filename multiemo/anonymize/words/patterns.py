"""Find names, numbers and addresses in English and Chinese text by patterns.

Every pattern has bounded repetitions or none that can match in two ways, so the time grows linearly with the text.
docs/privacy.md lists what patterns cannot find.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias, cast

from multiemo.anonymize.words.given_names import CAPITALISED, DOUBLE_SURNAMES, GIVEN_NAMES, SURNAMES

WordKind: TypeAlias = Literal["EMAIL", "URL", "HANDLE", "PHONE", "NUMBER", "NAME"]
#: Start and end index in the text, and the kind of word.
Span: TypeAlias = tuple[int, int, WordKind]

#: Letters of names, and what must not stand before and after a word: letters, but Chinese characters may.
_LETTERS = "A-Za-zÀ-ɏ"
_BEGIN, _END = f"(?<![{_LETTERS}])", f"(?![{_LETTERS}])"
#: What must not stand before and after an address; brackets belong to masks.
_BEGIN_ADDRESS, _END_ADDRESS = r"(?<![A-Za-z0-9_@.\]-])", r"(?![A-Za-z0-9_\[-])"

_EMAIL = r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}"
_IN_URL = r"[A-Za-z0-9_\-./?=&%#~+:,;@!$'*]"
_DOMAINS = "com|org|net|edu|gov|info|io|cn|uk|de|fr|jp|hk|tw|eu|us|me|tv|app|dev"
_URL = (
    rf"(?:https?://|ftp://|www\.){_IN_URL}{{0,500}}[A-Za-z0-9_/]"
    rf"|{_BEGIN_ADDRESS}[A-Za-z0-9-]{{1,63}}(?:\.[A-Za-z0-9-]{{1,63}}){{0,4}}\.(?:{_DOMAINS}){_END_ADDRESS}"
    rf"(?:/(?:{_IN_URL}{{0,500}}[A-Za-z0-9_/])?)?"
)
_HANDLE = rf"{_BEGIN_ADDRESS}@\w(?:[\w.-]{{0,61}}\w)?"
_PHONE = r"\+?\(?\d(?:[ .()/-]{0,2}\d){6,18}"
_DIGITS = r"\d+(?:[.,:/-]\d+)*"
_CHINESE_DIGITS = "[〇零一二两三四五六七八九十百千万亿幺]{3,}"
_SPELLED_DIGITS = (
    "zero|oh|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|"
    "seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion"
)
_SPELLED = rf"(?i:{_BEGIN}(?:{_SPELLED_DIGITS})(?:(?:[ -]|, | and )(?:{_SPELLED_DIGITS}){_END}){{1,30}})"
_ADDRESSES = re.compile(
    f"(?P<EMAIL>{_EMAIL})|(?P<URL>{_URL})|(?P<HANDLE>{_HANDLE})|(?P<PHONE>{_PHONE})"
    f"|(?P<NUMBER>{_DIGITS}|{_CHINESE_DIGITS}|{_SPELLED})"
)

#: A word of a name as it is written in a sentence, and one in any case.
_CAPITALISED_WORD = rf"[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ]{{1,30}}(?:['’-][A-ZÀ-ÖØ-Þ]?[a-zß-öø-ÿ]{{2,30}})?{_END}"
_ANY_WORD = rf"[{_LETTERS}][{_LETTERS}'’-]{{1,30}}"
#: What comes before a name in any case, and before a capitalised one.
_INTRODUCED = re.compile(
    rf"(?i:{_BEGIN}(?:my name is|my name['’]s|his name is|her name is|name['’]s|named|the name of)) "
    rf"(?P<name>{_ANY_WORD}(?: {_CAPITALISED_WORD})?)"
)
_TITLED = re.compile(
    rf"{_BEGIN}(?i:mr|mrs|ms|miss|dr|prof|professor|doctor|sir|aunt|uncle)\.? "
    rf"(?P<name>{_CAPITALISED_WORD}(?: {_CAPITALISED_WORD})?)"
)
#: A capitalised word, and what marks it as the first of a sentence.
_WORDS = re.compile(
    rf"(?P<start>^|[.!?…:;\n\"“”。！？：；]\s{{0,3}}|^[-–—]\s{{0,3}})?(?P<name>{_BEGIN}{_CAPITALISED_WORD})",
    re.MULTILINE,
)
#: A word that is not capitalised. A text without any is a title or in capitals, and capitals do not mark names in it.
_SMALL_WORD = re.compile(rf"{_BEGIN}[a-zß-öø-ÿ]{{2}}")

_HAN = "[\u4e00-\u9fff]"
_SURNAME = f"(?:{'|'.join(DOUBLE_SURNAMES)}|[{SURNAMES}])"
_TITLES = "先生|女士|小姐|太太|老师|教授|医生|大夫|律师|经理|总监|主任|局长|师傅|阿姨"
_CHINESE_NAMES = (
    re.compile(rf"(?:我叫|名叫|叫做|名字是|名字叫)(?P<name>{_HAN}{{1,3}})"),
    re.compile(rf"(?:我是|他是|她是|这是|我姓)(?P<name>{_SURNAME}{_HAN}{{0,2}})(?![\u4e00-\u9fff\[])"),
    re.compile(rf"(?P<name>(?<!谢)(?!谢谢){_SURNAME}{_HAN}{{0,2}}?)(?={_TITLES})"),
    re.compile(
        rf"(?:(?<![\w\]])|(?<=[和跟找叫问给对让把被向]))(?P<name>[小老阿][{SURNAMES}])(?!{_HAN}?[时子师路山州])"
    ),
)


def find_words(text: str) -> list[Span]:
    """Find everything to mask in a text, in order and without overlaps. Addresses and numbers come before names.

    Example:
        >>> text = "Hi, my name is Ada, call 030 1234567 or write to ada@example.org."
        >>> [(text[a:b], kind) for a, b, kind in find_words(text)]
        [('Ada', 'NAME'), ('030 1234567', 'PHONE'), ('ada@example.org', 'EMAIL')]
    """
    found: list[Span] = [(m.start(), m.end(), cast(WordKind, m.lastgroup)) for m in _ADDRESSES.finditer(text)]
    return without_overlaps([*found, *_names(text)])


def without_overlaps(spans: list[Span]) -> list[Span]:
    """Sort spans, and join those that overlap to one of the first one's kind.

    Example:
        >>> without_overlaps([(4, 9, "NAME"), (0, 5, "EMAIL"), (9, 10, "NUMBER")])
        [(0, 9, 'EMAIL'), (9, 10, 'NUMBER')]
    """
    joined: list[Span] = []
    for low, high, kind in sorted(spans, key=lambda span: span[0]):
        if joined and low < joined[-1][1]:
            joined[-1] = joined[-1][0], max(high, joined[-1][1]), joined[-1][2]
        else:
            joined.append((low, high, kind))
    return joined


def _names(text: str) -> Iterator[Span]:
    for pattern in (_INTRODUCED, _TITLED, *_CHINESE_NAMES):
        for match in pattern.finditer(text):
            yield match.start("name"), match.end("name"), "NAME"
    by_case = _SMALL_WORD.search(text) is not None
    for match in _WORDS.finditer(text):
        stem = re.split("['’]", match["name"], maxsplit=1)[0]
        if stem.lower() in GIVEN_NAMES:
            yield match.start("name"), match.start("name") + len(stem), "NAME"
        elif by_case and match["start"] is None and stem.lower() not in CAPITALISED:
            yield match.start("name"), match.end("name"), "NAME"
