"""Detect the encoding of a text file: by byte order marks, by validity, and finally by plausibility of the text.

Files may be larger than memory, so they are read in blocks. Plausibility is estimated on lines with non-ASCII bytes.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UTF8_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_NON_ASCII_LINE = re.compile(rb"[^\r\n]*[\x80-\xff][^\r\n]*")
#: Number of bytes that are examined: of non-ASCII lines for plausibility, and of the beginning for marks and zeros.
_SAMPLE_BYTES = 1 << 16
#: Minimum share of plausible characters among the non-ASCII ones.
_MIN_PLAUSIBILITY = 0.7
#: Name of the codec error handler that decodes a lone byte between ASCII characters as Windows-1252.
_LONE_BYTE_HANDLER = "multiemo.lone_byte"

#: A function that returns the blocks of a file from its beginning, each time it is called.
Blocks = Callable[[], Iterable[bytes]]


class UnknownEncodingError(ValueError):
    """The bytes are not plausible text in any known encoding."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How to read a text file.

    Args:
        name: name of the Python codec.
        errors: error handler for invalid bytes; ``strict`` if there are none.
        notes: remarks for the user: an encoding other than UTF-8, and bytes that were lost.
    """

    name: str
    errors: str = "strict"
    notes: tuple[str, ...] = ()


def find_encoding(blocks: Blocks, name: str) -> Encoding:
    """Detect the encoding of a text.

    Args:
        blocks: returns its bytes in blocks.
        name: name of the file, for the notes.

    Raises:
        UnknownEncodingError: the text is not plausible in any known encoding.

    Example:
        >>> find_encoding(lambda: ["你好".encode("utf-16")], "a.txt").name
        'utf-16'
        >>> find_encoding(lambda: ["caf\\u00e9".encode("cp1252")], "a.txt").notes
        ('a.txt is not UTF-8 and was read as cp1252; if its words look wrong, save it as UTF-8',)
    """
    start = _beginning(blocks)
    codec = next((codec for mark, codec in _BYTE_ORDER_MARKS if start.startswith(mark)), None) or _utf16_by_zeros(start)
    if codec is not None:
        notes = [] if codec == "utf-8-sig" else [f"{name} was read as {codec.upper()}"]
        return _checked(blocks, codec, notes)
    if _is_utf8(blocks):
        return Encoding("utf-8")
    sample = _sample(blocks)
    lost = len(sample) - len(sample.decode("utf-8", "ignore").encode())
    if len(_UTF8_SEQUENCE.findall(sample)) > 10 * lost:
        return Encoding("utf-8", _LONE_BYTE_HANDLER, _lone_byte_notes(blocks, name))
    codec = _guess(sample, name)
    encoding = _ENCODING_NAMES.get(codec, codec)
    note = f"{name} is not UTF-8 and was read as {encoding}; if its words look wrong, save it as UTF-8"
    return _checked(blocks, codec, [note])


def _beginning(blocks: Blocks) -> bytes:
    found = b""
    for block in blocks():
        found += block
        if len(found) >= _SAMPLE_BYTES:
            break
    return found[:_SAMPLE_BYTES]


def _utf16_by_zeros(start: bytes) -> str | None:
    """Detect UTF-16 without a byte order mark: the zero bytes of its ASCII characters have the same parity."""
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
    """Return the encoding for a given codec. Invalid bytes are counted, noted, and ignored when reading."""
    decoder = codecs.getincrementaldecoder(codec)("replace")
    broken = sum(decoder.decode(block).count("\ufffd") for block in blocks())
    broken += decoder.decode(b"", final=True).count("\ufffd")
    if broken:
        notes = [*notes, f"{broken} place(s) that are not {codec.upper()} were left out"]
    return Encoding(codec, "ignore" if broken else "strict", tuple(notes))


def _sample(blocks: Blocks) -> bytes:
    """Return complete lines with non-ASCII bytes."""
    lines: list[bytes] = []
    size, rest = 0, b""
    for block in blocks():
        rest += block
        cut = max(rest.rfind(b"\n"), rest.rfind(b"\r")) + 1
        found = _NON_ASCII_LINE.findall(rest[:cut])
        rest = rest[cut:]
        lines.extend(found)
        size += sum(map(len, found))
        if size >= _SAMPLE_BYTES:
            return b"\n".join(lines)
    return b"\n".join([*lines, *_NON_ASCII_LINE.findall(rest)])


# --------------------------------------------------------------------------------------------------------------------
# Damaged UTF-8: text that was cut within a character, or joined from files of which one was Windows-1252.


def _lone_byte_notes(blocks: Blocks, name: str) -> tuple[str, ...]:
    """Return notes on the number of bytes that are not UTF-8 and how they were read."""
    counts = []
    for errors in (
        "surrogateescape",
        _LONE_BYTE_HANDLER,
        "ignore",
    ):  # an invalid byte becomes: one character; one or none; none
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
    """Codec error handler: decode an invalid byte between ASCII characters as Windows-1252, and drop any other."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    raw, place = error.object, error.start
    around = raw[max(0, place - 1) : place] + raw[place + 1 : place + 2]
    is_lone = all(byte < 0x80 for byte in around)
    return raw[place : place + 1].decode("cp1252", "ignore") if is_lone else "", place + 1


codecs.register_error(_LONE_BYTE_HANDLER, _lone_byte)


# --------------------------------------------------------------------------------------------------------------------
# Plausibility. Nearly any bytes are valid in the legacy encodings, but only the right one yields frequent characters.


def _frequent(name: str, first: int, last: int, marks: str, commonest: str) -> Callable[[str], float]:
    """Return a plausibility function for East Asian text.

    It adds two shares of the non-ASCII characters: frequent characters by the standard, and the most common ones.

    Args:
        name: codec of the standard.
        first: first lead byte of the standard's block of frequent characters.
        last: last lead byte of this block.
        marks: further characters that count as frequent.
        commonest: the most common characters, which count twice.
    """

    def plausibility(text: str) -> float:
        beyond = [c for c in text if ord(c) > 127]
        codes = [c.encode(name, "ignore") for c in beyond]
        good = sum(len(b) == 2 and first <= b[0] <= last for b in codes) + sum(c in marks for c in beyond)
        return (good + sum(c in commonest for c in beyond)) / max(1, len(beyond))

    return plausibility


def _alphabet(letters: str, neighbours: str) -> Callable[[str], float]:
    """Return a plausibility function for alphabetic text.

    It is the share of non-ASCII characters that are letters beside a typical neighbour, punctuation marks or signs. A
    sign counts only without a non-ASCII character before it and a letter after it, where it could be half of a Chinese
    or Japanese character.

    Args:
        letters: non-ASCII letters, as the inside of a character class.
        neighbours: letters beside them, as the inside of a character class.
    """
    word = re.compile(
        f"(?<=[{neighbours}])[{letters}]|[{letters}](?=[{neighbours}])|(?<![^\\s])[{letters}](?![^\\s,.])"
    )
    marks = re.compile(
        "(?<![\u00c0-\u024f])[‘’“”„–—…«»¿¡€£°\u00a0]|[‘’“”„–—…«»€£°\u00a0](?![\u00c0-\u024f])"
        "|(?<![^\\x00-\\x7f])[©®™±×÷²³¹¼½¾µ·•†‡‰§¶¢¥ªº](?![^\\x00-\\x3f])"
    )

    def plausibility(text: str) -> float:
        beyond = sum(ord(c) > 127 for c in text)
        return (len(word.findall(text)) + len(marks.findall(text))) / max(1, beyond)

    return plausibility


#: Names of emotions: tables of this field may have no other non-ASCII characters.
_EMOTIONS = (
    "高兴快乐喜悦生气愤怒难过悲伤惊讶害怕恐惧厌恶中性平静",
    "高興快樂喜悅生氣憤怒難過悲傷驚訝害怕恐懼厭惡中性平靜",
)
_PUNCTUATION = "，。、！？；：…—～·“”‘’「」『』《》（）【】・ー　"
_KANA = "".join(map(chr, (*range(0x3041, 0x3094), *range(0x30A1, 0x30F7))))
_LEGACY_CODECS: tuple[tuple[str, Callable[[str], float]], ...] = (
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

_CENTRAL = _alphabet("ÁáÂâÄäÇçÉéËëÍíÎîÓóÔôÖöÚúÜüÝýßĂăĄąĆćČčĎďĐđĘęĚěĹĺĽľŁłŃńŇňŐőŔŕŘřŚśŞşŠšŢţŤťŮůŰűŹźŻżŽž", "A-Za-z")
#: Code pages whose text is also plausible in cp1252, or else in none of the above.
_LATIN_CODECS: tuple[tuple[str, Callable[[str], float]], ...] = (
    ("cp1250", _CENTRAL),
    ("iso8859-2", _CENTRAL),
    ("cp1254", _alphabet("\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ffĞğİıŞşŒœŠšŸ", "A-Za-z")),
)
#: The non-ASCII letters of Polish, Czech, Slovak, Hungarian, Croatian with Slovene, and Romanian.
_CENTRAL_ALPHABETS = ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "čćđšž", "ăâîşţ")
#: {Latin code page: the non-ASCII letters of languages that are written in it, in lower case}. Those of cp1252 are
#: French with Italian, Spanish with Catalan, Portuguese, German, Scandinavian, Icelandic and Dutch. Icelandic has few
#: ``ý``, which would be a common letter of Turkish.
_ALPHABETS: dict[str, tuple[str, ...]] = {
    "cp1252": (
        "àâçèéêëìîïòôùúûüœ",
        "àáçèéíïñòóúüªº¿¡",
        "àáâãçéêíóôõúªº",
        "äöüß",
        "åäöæøéüšž",
        "áðéíóúþæöø",
        "áèéëïóöü",
    ),
    "cp1250": _CENTRAL_ALPHABETS,
    "iso8859-2": _CENTRAL_ALPHABETS,
    "cp1254": ("âçğıîöşüûİ",),
}
#: Punctuation marks of all alphabets.
_QUOTES = "‘’“”„‚–—…«»‹›°\u00a0"
#: A Latin code page is preferred to cp1252 if it is as plausible but for this much, this share of the letters more
#: belongs to one alphabet, and this number of characters differs.
_EQUAL, _ALPHABET_LEAD, _MIN_DIFFERENT = 0.05, 0.1, 3
#: Text that is plausible in no other code page is read in a Latin one in which it is plausible, or in which this share
#: of the characters is, if this share of the letters belongs to one alphabet.
_MIN_BESIDE, _MIN_ONE_ALPHABET = 0.3, 0.9
#: {Windows code page: common name of the encoding}.
_ENCODING_NAMES = {"cp950": "big5", "cp932": "shift_jis", "iso8859-2": "iso-8859-2"}


def _guess(sample: bytes, name: str) -> str:
    """Return the codec in which the bytes are most plausible.

    Raises:
        UnknownEncodingError: they are plausible in none.
    """
    score, codec = max(_scores(sample, _LEGACY_CODECS), default=(0.0, ""), key=lambda entry: entry[0])
    if score >= _MIN_PLAUSIBILITY:
        return _latin_like(sample, score) if codec == "cp1252" else codec
    latin = [(_alphabet_share(sample, name), name, beside) for beside, name in _scores(sample, _LATIN_CODECS)]
    plausible = [
        (share, name)
        for share, name, beside in latin
        if beside >= _MIN_PLAUSIBILITY or (beside >= _MIN_BESIDE and share >= _MIN_ONE_ALPHABET)
    ]
    if not plausible:
        raise UnknownEncodingError(
            "is neither UTF-8 nor UTF-16, and not plausible text in any known older encoding; save it as UTF-8"
        )
    return max(plausible, key=lambda entry: entry[0])[1]


def _scores(sample: bytes, codecs_: Iterable[tuple[str, Callable[[str], float]]]) -> Iterator[tuple[float, str]]:
    """Yield the plausibility of the bytes in each codec in which they are valid, and its name."""
    for codec, plausibility in codecs_:
        try:
            yield plausibility(sample.decode(codec)), codec
        except UnicodeDecodeError:
            continue


def _latin_like(sample: bytes, score: float) -> str:
    """Return cp1252, in which the bytes have a plausibility, or another Latin code page whose letters fit better."""
    text = sample.decode("cp1252")
    lead = _alphabet_share(sample, "cp1252") + _ALPHABET_LEAD
    better = []
    for other, codec in _scores(sample, _LATIN_CODECS):
        different = sum(a != b for a, b in zip(text, sample.decode(codec), strict=True))
        share = _alphabet_share(sample, codec)
        if other >= score - _EQUAL and different >= _MIN_DIFFERENT and share >= lead:
            better.append((share, codec))
    return max(better, default=(0.0, "cp1252"), key=lambda entry: entry[0])[1]


def _alphabet_share(sample: bytes, codec: str) -> float:
    """Return the share of the non-ASCII characters, without punctuation marks, that belong to the best alphabet."""
    letters = [c for c in sample.decode(codec) if ord(c) > 127 and c not in _QUOTES]
    counts = (sum(c in alphabet + alphabet.upper() for c in letters) for alphabet in _ALPHABETS[codec])
    return max(counts) / max(1, len(letters))
