"""Read a user's copy of an academic lexicon. Its format is recognised by the names of its columns or files."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from multiemo.errors import ConfigError, ManifestError
from multiemo.rules.cleaning import clean
from multiemo.rules.lexicon.academic import FORMATS, BadLineError, Format, HowNet, Line
from multiemo.rules.lexicon.words import Entry, Lexicon
from multiemo.tables.reading import text_encoding

_OPTION = "encoders.text.lexicon"
#: Lines that are read to recognise the format.
_HEAD = 20


def lexicon_digest(path: Path) -> str:
    """The SHA-256 of a lexicon file, or of the names and contents of the files of a folder.

    Raises:
        ConfigError: there is nothing at the path, or it cannot be read.
    """
    if not path.exists():
        raise ConfigError(f"{_OPTION}: {path} does not exist; give the file or folder of a lexicon")
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    digest = hashlib.sha256()
    try:
        for file in files:
            if path.is_dir():
                digest.update(file.name.encode() + b"\0")
            digest.update(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{_OPTION}: {path}: cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()


def read_lexicon(path: Path) -> Lexicon:
    """Read a lexicon: DUTIR, HowNet, CVAW, NRC EmoLex, or a list in VADER's format.

    Args:
        path: the file; for HowNet also the folder of its lists.

    Raises:
        ConfigError: the path is missing, the format is unknown, or a line is wrong.
    """
    if not path.exists():
        raise ConfigError(f"{_OPTION}: {path} does not exist; give the file or folder of a lexicon")
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if HowNet.sign(file.name))
    if not files:
        raise ConfigError(
            f"{_OPTION}: {path}: the folder has no word list of HowNet (正面情感词语（中文）.txt, ...); name a file"
        )
    try:
        entries = list(chain.from_iterable(map(_entries, files)))
    except (ManifestError, OSError) as error:
        raise ConfigError(f"{_OPTION}: {error}") from None
    if not entries:
        raise ConfigError(f"{_OPTION}: {path}: has no words with an emotion or valence")
    return Lexicon.of(entries[0].source, entries)


def _entries(path: Path) -> Iterator[Entry]:
    """The entries of one file.

    Raises:
        ConfigError: the format is unknown, or a line is wrong.
    """
    lines = _lines(path)
    head = list(islice(lines, _HEAD))
    kind = _recognise(path, head)
    for line in chain(head, lines):
        try:
            entry = kind.entry(line)
        except BadLineError as error:
            raise ConfigError(f"{_OPTION}: {path}: line {line.number}: {error}") from None
        if entry is not None and (entry.emotions or entry.valence):
            word = clean(entry.word.strip().lower()).text
            yield Entry(word, entry.emotions, entry.valence, entry.arousal, entry.source)


def _recognise(path: Path, head: list[Line]) -> Format:
    """The format of a file, by its name and its first lines.

    Raises:
        ConfigError: it is unknown.
    """
    for kind in FORMATS:
        found = kind.recognise(path.name, head)
        if found is not None:
            return found
    known = (
        "DUTIR (columns 词语, 情感分类, 强度), HowNet (lists such as 正面情感词语（中文）.txt), CVAW (columns Word, "
    )
    known += "Valence_Mean, Arousal_Mean), NRC EmoLex (word, emotion, 0 or 1) or VADER's format (word, mean)"
    shown = " | ".join(head[0].cells[:6]) if head else "an empty file"
    raise ConfigError(f"{_OPTION}: {path}: is no lexicon in a known format: {known}; it begins with {shown!r}")


def _lines(path: Path) -> Iterator[Line]:
    """The cells of each line that is not empty, of text (tabs or commas) or of the first sheet of a workbook."""
    with path.open("rb") as file:
        workbook = file.read(4) == b"PK\x03\x04"
    if workbook:
        from openpyxl import load_workbook

        sheet = load_workbook(path, read_only=True, data_only=True).worksheets[0]
        for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
            cells = tuple("" if cell is None else str(cell).strip() for cell in row)
            if any(cells):
                yield Line(number, cells)
        return
    encoding = text_encoding(path)
    with path.open(encoding=encoding.name, errors=encoding.errors, newline="") as text:
        start = text.read(4096)
        text.seek(0)
        separator = "\t" if "\t" in start or "," not in start else ","
        table = csv.reader(text, delimiter=",")
        if separator == "\t":  # here a quote may be part of an emoticon
            table = csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
        for number, row in enumerate(table, start=1):
            if any(cell.strip() for cell in row):
                yield Line(number, tuple(cell.strip().lstrip("\ufeff") for cell in row))
