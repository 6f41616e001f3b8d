"""Bytes of a text file -> what encoding they are in: by marks, by rules, and last by which one gives sense.

A file may be larger than memory: it is looked through in blocks, and a guess is made from lines that have bytes beyond
ASCII.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_BEYOND = re.compile(rb"[^\r\n]*[\x80-\xff][^\r\n]*")
#: Bytes of such lines that a guess is made from, and bytes that marks and zeros are looked for in.
_SAMPLE = 1 << 16
#: In what share of its characters beyond ASCII a guess must make sense.
_SENSE = 0.7
#: Name of the codec error handler that reads a lone byte within ASCII as Windows-1252.
_LONE = "multiemo.lone_byte"

#: Gives the blocks of a file from its beginning, as often as it is called.
Blocks = Callable[[], Iterable[bytes]]


class UnknownEncodingError(ValueError):
    """The bytes make sense in no encoding that is known here; the message says so and what to do."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How to read a text file.

    Args:
        name: of Python's codec.
        errors: how that codec takes bytes that break its rules; ``strict`` where there are none.
        notes: what a user should know: the encoding where it is not UTF-8, and what was lost.
    """

    name: str
    errors: str = "strict"
    notes: tuple[str, ...] = ()


def find_encoding(blocks: Blocks, name: str) -> Encoding:
    """The encoding of a text.

    Args:
        blocks: its bytes.
        name: of the file, for the notes.

    Raises:
        UnknownEncodingError: no encoding that is known here gives sense.

    Example:
        >>> find_encoding(lambda: ["你好".encode("utf-16")], "a.txt").name
        'utf-16'
        >>> find_encoding(lambda: ["caf\\u00e9".encode("cp1252")], "a.txt").notes
        ('a.txt is not UTF-8 and was read as cp1252; if its words look wrong, save it as UTF-8',)
    """
    start = _beginning(blocks)
    codec = next((codec for mark, codec in _MARKS if start.startswith(mark)), None) or _by_zeros(start)
    if codec is not None:
        said = [] if codec == "utf-8-sig" else [f"{name} was read as {codec.upper()}"]
        return _checked(blocks, codec, said)
    if _is_utf8(blocks):
        return Encoding("utf-8")
    sample = _sample(blocks)
    lost = len(sample) - len(sample.decode("utf-8", "ignore").encode())
    if len(_SEQUENCE.findall(sample)) > 10 * lost:
        return Encoding("utf-8", _LONE, _lone_notes(blocks, name))
    codec = _guess(sample, name)
    told = _NAMES.get(codec, codec)
    note = f"{name} is not UTF-8 and was read as {told}; if its words look wrong, save it as UTF-8"
    return _checked(blocks, codec, [note])


def _beginning(blocks: Blocks) -> bytes:
    found = b""
    for block in blocks():
        found += block
        if len(found) >= _SAMPLE:
            break
    return found[:_SAMPLE]


def _by_zeros(start: bytes) -> str | None:
    """UTF-16 without a mark: the zeros that its ASCII characters have stand all on one side."""
    zeros = (start[0::2].count(0), start[1::2].count(0))
    few = max(zeros) < 0.2 * len(start) / 2
    if not any(zeros) or min(zeros) > 0.3 * max(zeros) or (few and _is_utf8(lambda: [start.replace(b"\0", b"")])):
        return None
    codec = "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    try:
        codecs.getincrementaldecoder(codec)().decode(start)
    except UnicodeDecodeError:
        return None
    return codec


def _is_utf8(blocks: Blocks) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in blocks():
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _checked(blocks: Blocks, codec: str, notes: list[str]) -> Encoding:
    """An encoding that is settled; bytes that break its rules are left out, and counted."""
    decoder = codecs.getincrementaldecoder(codec)("replace")
    broken = sum(decoder.decode(block).count("\ufffd") for block in blocks())
    broken += decoder.decode(b"", final=True).count("\ufffd")
    if broken:
        notes = [*notes, f"{broken} place(s) that are not {codec.upper()} were left out"]
    return Encoding(codec, "ignore" if broken else "strict", tuple(notes))


def _sample(blocks: Blocks) -> bytes:
    """Whole lines that have bytes beyond ASCII."""
    lines: list[bytes] = []
    size, rest = 0, b""
    for block in blocks():
        rest += block
        cut = max(rest.rfind(b"\n"), rest.rfind(b"\r")) + 1
        found = _BEYOND.findall(rest[:cut])
        rest = rest[cut:]
        lines.extend(found)
        size += sum(map(len, found))
        if size >= _SAMPLE:
            return b"\n".join(lines)
    return b"\n".join([*lines, *_BEYOND.findall(rest)])


# --------------------------------------------------------------------------------------------------------------------
# UTF-8 with damage: text that was cut within a character, or joined from files of which one was Windows-1252.


def _lone_notes(blocks: Blocks, name: str) -> tuple[str, ...]:
    """How many bytes are not UTF-8, and what becomes of them."""
    counts = []
    for errors in ("surrogateescape", _LONE, "ignore"):  # one character each; one or none; none
        decoder = codecs.getincrementaldecoder("utf-8")(errors)
        counts.append(sum(len(decoder.decode(block)) for block in blocks()) + len(decoder.decode(b"", final=True)))
    left_out, read = counts[0] - counts[1], counts[1] - counts[2]
    notes = []
    if read:
        notes.append(f"{read} byte(s) that are not UTF-8 were read as cp1252 in {name}")
    if left_out:
        notes.append(f"{left_out} byte(s) that are not UTF-8 were left out of {name}")
    return tuple(notes)


def _lone_byte(error: UnicodeError) -> tuple[str, int]:
    """A byte between ASCII characters is a letter or a mark of Windows-1252; any other is left out."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    raw, place = error.object, error.start
    around = raw[max(0, place - 1) : place] + raw[place + 1 : place + 2]
    alone = all(byte < 0x80 for byte in around)
    return raw[place : place + 1].decode("cp1252", "ignore") if alone else "", place + 1


codecs.register_error(_LONE, _lone_byte)


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
    """The share of characters beyond ASCII that are such a letter beside such a neighbour, or marks and signs.

    A sign counts where nothing beyond ASCII is before it and no letter after it, which would make it half a character
    of Chinese or Japanese.
    """
    word = re.compile(
        f"(?<=[{neighbours}])[{letters}]|[{letters}](?=[{neighbours}])|(?<![^\\s])[{letters}](?![^\\s,.])"
    )
    marks = re.compile(
        "(?<![\u00c0-\u024f])[‘’“”–—…«»¿¡€£°\u00a0]|[‘’“”–—…«»€£°\u00a0](?![\u00c0-\u024f])"
        "|(?<![^\\x00-\\x7f])[©®™±×÷²³¹¼½¾µ·•†‡‰§¶¢¥ªº](?![^\\x00-\\x3f])"
    )

    def sense(text: str) -> float:
        beyond = sum(ord(c) > 127 for c in text)
        return (len(word.findall(text)) + len(marks.findall(text))) / max(1, beyond)

    return sense


#: Few, but tables of this field have columns of nothing else.
_EMOTIONS = (
    "高兴快乐喜悦生气愤怒难过悲伤惊讶害怕恐惧厌恶中性平静",
    "高興快樂喜悅生氣憤怒難過悲傷驚訝害怕恐懼厭惡中性平靜",
)
_PUNCTUATION = "，。、！？；：…—～·“”‘’「」『』《》（）【】・ー　"
_KANA = "".join(map(chr, (*range(0x3041, 0x3094), *range(0x30A1, 0x30F7))))
_KINDS: tuple[tuple[str, Callable[[str], float]], ...] = (
    ("cp1252", _alphabet("\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ffŒœŠšŽžŸ", "A-Za-z")),
    (
        "gb18030",
        _frequent(
            "gb2312",
            0xB0,
            0xD7,
            _PUNCTUATION,
            "的一是不了我你在有他这么个们来说吗吧就好没要去那会啊嗯什么" + _EMOTIONS[0],
        ),
    ),
    (
        "cp950",
        _frequent(
            "big5",
            0xA4,
            0xC6,
            _PUNCTUATION,
            "的一是不了我你在有他這麼個們來說嗎吧就好沒要去那會啊嗯什麼" + _EMOTIONS[1],
        ),
    ),
    ("cp932", _frequent("shift_jis", 0x88, 0x97, _PUNCTUATION + _KANA, _KANA)),
    ("cp949", _frequent("euc_kr", 0xB0, 0xC8, "", "이다는을가에고의나도어지하를니기해요안사라그만아네서")),
    ("cp1251", _alphabet("А-яЁё", "а-яё")),
)
#: How the encodings are called that a codec of Windows stands for.
_NAMES = {"cp950": "big5", "cp932": "shift_jis"}


def _guess(sample: bytes, name: str) -> str:
    """The codec in which the bytes make most sense.

    Raises:
        UnknownEncodingError: they make sense in none.
    """
    found: list[tuple[float, str]] = []
    for codec, sense in _KINDS:
        try:
            found.append((sense(sample.decode(codec)), codec))
        except UnicodeDecodeError:
            continue
    best = max(found, default=(0.0, ""), key=lambda entry: entry[0])
    if best[0] < _SENSE:
        raise UnknownEncodingError(
            "is neither UTF-8 nor UTF-16, nor do its bytes make sense in an older encoding; save it as UTF-8"
        )
    return best[1]
