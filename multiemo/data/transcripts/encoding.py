"""Bytes of a text file -> text: what encoding they are in, by marks, by rules, and last by which one gives sense."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from pathlib import Path

from multiemo.data.container import check_path, fail

#: A transcript of a day's speech has about 2 MB.
_MOST = 64 * 2**20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
#: In what share of its characters beyond ASCII a guess must make sense.
_SENSE = 0.7


def read_text(path: str | Path) -> tuple[str, list[str]]:
    """The text of a file with line ends ``\\n``, and a note when its encoding had to be guessed or mended.

    Raises:
        MediaError: no such file, empty, not text, or in no encoding that is known here.
    """
    file = check_path(path, "")
    if file.stat().st_size > _MOST:
        raise fail("", path, f"is larger than {_MOST >> 20} MB and cannot be a transcript; name another file")
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise fail("", path, f"cannot be read ({error.strerror}); check its permissions") from None
    text, notes = _decode(raw, file)
    if len(_CONTROL.findall(text)) > 0.01 * len(text):
        raise fail("", path, "is not text; name a transcript (SRT, WebVTT, JSON or plain text)")
    return _CONTROL.sub("", text).replace("\r\n", "\n").replace("\r", "\n"), notes


def _decode(raw: bytes, path: Path) -> tuple[str, list[str]]:
    for mark, name in _MARKS:
        if raw.startswith(mark):
            return _marked(raw, name)
    zeros = (raw[0::2].count(0), raw[1::2].count(0))
    if max(zeros) > 0.2 * len(raw) / 2 and min(zeros) < 0.1 * max(zeros):
        name = "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
        return _marked(raw, name)
    try:
        return raw.decode("utf-8"), []
    except UnicodeDecodeError:
        pass
    mended = raw.decode("utf-8", "ignore")
    lost = len(raw) - len(mended.encode())
    if len(_SEQUENCE.findall(raw)) > 10 * lost:
        return mended, [f"{lost} byte(s) that are not UTF-8 were left out of {path.name}"]
    name, text = _guess(raw, path)
    return text, [f"{path.name} is not UTF-8 and was read as {name}; if its words look wrong, save it as UTF-8"]


def _marked(raw: bytes, name: str) -> tuple[str, list[str]]:
    """Text whose encoding is beyond doubt; bytes that break its rules are left out, and counted."""
    text = raw.decode(name, "replace")
    broken = text.count("\ufffd")
    note = f"{broken} place(s) that are not {name.upper()} were left out"
    return text.replace("\ufffd", ""), [note] if broken else []


# --------------------------------------------------------------------------------------------------------------------
# Guessing. The encodings before Unicode give nearly any bytes a meaning; the right one gives frequent characters.


def _frequent(name: str, first: int, last: int, marks: str, commonest: str) -> Callable[[str], float]:
    """The share of characters beyond ASCII that the standard puts into its block of frequent ones, plus the share that
    is among the few that no page goes without."""

    def sense(text: str) -> float:
        beyond = [c for c in text if ord(c) > 127]
        codes = [c.encode(name, "ignore") for c in beyond]
        good = sum(len(b) == 2 and first <= b[0] <= last for b in codes) + sum(c in marks for c in beyond)
        return (good + sum(c in commonest for c in beyond)) / max(1, len(beyond))

    return sense


def _alphabet(letters: str, neighbours: str) -> Callable[[str], float]:
    """The share of characters beyond ASCII that are such a letter beside such a neighbour, or typographic marks."""
    word = re.compile(
        f"(?<=[{neighbours}])[{letters}]|[{letters}](?=[{neighbours}])|(?<![^\\s])[{letters}](?![^\\s,.])"
    )
    marks = re.compile("(?<![\u00c0-\u024f])[‘’“”–—…«»¿¡€£°\u00a0]|[‘’“”–—…«»€£°\u00a0](?![\u00c0-\u024f])")

    def sense(text: str) -> float:
        beyond = sum(ord(c) > 127 for c in text)
        return (len(word.findall(text)) + len(marks.findall(text))) / max(1, beyond)

    return sense


_PUNCTUATION = "，。、！？；：…—～·“”‘’「」『』《》（）【】・ー　"
_KANA = "".join(map(chr, (*range(0x3041, 0x3094), *range(0x30A1, 0x30F7))))
_KINDS: tuple[tuple[str, Callable[[str], float]], ...] = (
    ("cp1252", _alphabet("\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ffŒœŠšŽžŸ", "A-Za-z")),
    (
        "gb18030",
        _frequent("gb2312", 0xB0, 0xD7, _PUNCTUATION, "的一是不了我你在有他这么个们来说吗吧就好没要去那会啊嗯什么"),
    ),
    ("big5", _frequent("big5", 0xA4, 0xC6, _PUNCTUATION, "的一是不了我你在有他這麼個們來說嗎吧就好沒要去那會啊嗯什麼")),
    ("shift_jis", _frequent("shift_jis", 0x88, 0x97, _PUNCTUATION + _KANA, _KANA)),
    ("cp949", _frequent("euc_kr", 0xB0, 0xC8, "", "이다는을가에고의나도어지하를니기해요안사라그만아네서")),
    ("cp1251", _alphabet("А-яЁё", "а-яё")),
)
_DECODERS = {"shift_jis": "cp932", "big5": "cp950"}


def _guess(raw: bytes, path: Path) -> tuple[str, str]:
    """The encoding in which the bytes make most sense, and the text.

    Raises:
        MediaError: they make sense in none.
    """
    found: list[tuple[float, str, str]] = []
    for name, sense in _KINDS:
        try:
            text = raw.decode(_DECODERS.get(name, name))
        except UnicodeDecodeError:
            continue
        found.append((sense(text), name, text))
    best = max(found, default=(0.0, "", ""), key=lambda entry: entry[0])
    if best[0] < _SENSE:
        reason = "is neither UTF-8 nor UTF-16, nor do its bytes make sense in an older encoding; save it as UTF-8"
        raise fail("", path, reason)
    return best[1], best[2]
