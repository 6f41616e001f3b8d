"""The words, characters, marks and emoji of a text as it was written, with what cleaning makes of each."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from itertools import pairwise

from multiemo.preprocess.text import clean

#: Scripts that are written without spaces, so that a character is the smallest unit: Chinese, Japanese, Thai, Lao,
#: Khmer, Burmese.
_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNSPACED = re.compile(
    f"[{_HAN}\u3040-\u30ff\u0e01-\u0e4e\u0e81-\u0ece\u0edc-\u0edf\u1780-\u17d3\u17d7\u17dc\u17dd"
    "\u1000-\u103f\u1050-\u108f\u109a-\u109d\ua9e0-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa7f]"
)
_CHINESE = re.compile(f"[{_HAN}]")
#: The zero-width joiner, and the signs that write the next consonant beneath (Khmer coeng, Burmese virama).
_JOINERS = "\u200d\u17d2\u1039"
#: Variation selectors, the keycap mark and the tones of skin continue the emoji before them.
_CONTINUES = re.compile("[\ufe00-\ufe0f\u20e3\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]")


@dataclass(frozen=True, slots=True)
class Word:
    """A span of a text.

    Args:
        first, last: position of its first character in the original text, and of the one after its last; ``None`` if
            cleaning changed the text so much that positions are lost.
        begin, end: the same in the cleaned text.
        name: the span as it was written.
    """

    first: int | None
    last: int | None
    begin: int
    end: int
    name: str


def is_unspaced(text: str) -> bool:
    """Whether at least half of the letters belong to a script without spaces between words.

    Example:
        >>> is_unspaced("我很开心 ok"), is_unspaced("I am happy 很")
        (True, False)
    """
    letters = [c for c in text if c.isalpha()]
    return 2 * sum(bool(_UNSPACED.match(c)) for c in letters) >= len(letters) > 0


def is_chinese(text: str) -> bool:
    """Whether a text has Chinese characters, and no other script without spaces between words.

    Example:
        >>> is_chinese("我很开心 ok"), is_chinese("とても嬉しい"), is_chinese("ฉันมีความสุข")
        (True, False, False)
    """
    found = _UNSPACED.findall(text)
    return bool(found) and all(_CHINESE.match(c) for c in found)


def split_words(text: str) -> tuple[str, list[Word]]:
    """Split a text into words, single characters of scripts without spaces, runs of marks, and emoji.

    Args:
        text: the unprocessed text.

    Returns:
        The cleaned text, as the tokenizer reads it, and its spans in order. Spans that cleaning removes are left out.

    Example:
        >>> plain, words = split_words("Sooooooo  good！！ 我很开心")
        >>> plain, [w.name for w in words]
        ('Sooo good!! 我很开心', ['Sooooooo', 'good', '！！', '我', '很', '开', '心'])
    """
    plain = clean(text)
    words: list[Word] = []
    built = ""
    for match in re.finditer(r"\S+", text):
        cleaned = clean(match.group())
        if not cleaned:
            continue
        built += " " if built else ""
        edges = [0, *_edges(match.group()), len(match.group())]
        spans = list(pairwise(edges))
        pieces = [clean(match.group()[a:b]) for a, b in spans]
        if "".join(pieces) != cleaned:  # an entity, a link, a handle, or a misread character
            spans, pieces = [(0, len(match.group()))], [cleaned]
        for (a, b), piece in zip(spans, pieces, strict=True):
            if piece:
                first, begin = match.start() + a, len(built)
                words.append(Word(first, match.start() + b, begin, begin + len(piece), match.group()[a:b]))
            built += piece
    if built == plain:
        return plain, words
    return plain, [Word(None, None, m.start(), m.end(), m.group()) for m in re.finditer(r"\S+", plain)]


def grouped(words: list[Word], group_of: list[int], text: str) -> list[Word]:
    """Join neighbouring words of one group.

    Args:
        words: words in order.
        group_of: group of each word; equal numbers are neighbours.
        text: the original text, which names the joined words.
    """
    found: list[Word] = []
    last = None
    for word, group in zip(words, group_of, strict=True):
        if found and group == last:
            before = found[-1]
            known = before.first is not None and word.last is not None
            name = text[before.first : word.last] if known else f"{before.name} {word.name}"
            found[-1] = replace(before, last=word.last, end=word.end, name=name)
        else:
            found.append(word)
        last = group
    return found


def _edges(word: str) -> list[int]:
    """Positions within a word without spaces at which it is split."""
    return [i for i in range(1, len(word)) if not _joined(word, i)]


def _joined(word: str, at: int) -> bool:
    """Whether the characters before and at a position belong together."""
    before, here = word[at - 1], word[at]
    if before in _JOINERS or _CONTINUES.match(here) or unicodedata.category(here)[0] == "M":
        return True
    if _FLAG.match(before) and _FLAG.match(here):
        flags = len(word[:at]) - len(re.sub("[\U0001f1e6-\U0001f1ff]+$", "", word[:at]))
        return flags % 2 == 1
    if _UNSPACED.match(before) or _UNSPACED.match(here):
        return False
    if here in "'’" and 0 < at < len(word) - 1:
        return _is_letter(before) and _is_letter(word[at + 1])
    if before in "'’" and at > 1:
        return _is_letter(word[at - 2]) and _is_letter(here)
    if _is_letter(before) or _is_letter(here):
        return _is_letter(before) == _is_letter(here) or unicodedata.category(before)[0] == "M"
    return unicodedata.category(before)[0] == "P" == unicodedata.category(here)[0]


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"
