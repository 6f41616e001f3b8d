"""Helpers shared by the adapters: walk through a corpus folder and read its text files and tables."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeAlias

from multiemo.data.manifest.rows import PARTS
from multiemo.data.system_files import is_hidden
from multiemo.errors import ManifestError
from multiemo.tables.delimited import BadRow
from multiemo.tables.reading import open_table, text_encoding

#: Reports that something is left out: (file or row, reason).
Skip: TypeAlias = Callable[[str, str], None]
#: Reports how a label is mapped: (label as written, mapped label or ``None``).
Became: TypeAlias = Callable[[str, "str | None"], None]

#: File suffixes of recordings in the published corpora, and their medium.
RECORDINGS = {".wav": "audio", ".flac": "audio", ".avi": "video", ".mp4": "video"}

_NOTES: ContextVar[list[str] | None] = ContextVar("notes", default=None)
_PARTS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "devel", "development"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
_HIGH_RUN = re.compile(r"[^\x00-\x7f]{2,}")
_C1 = re.compile(r"[\x80-\x9f]")


@contextmanager
def noting() -> Iterator[list[str]]:
    """Collect the notes of :func:`note` made within the ``with`` block."""
    notes: list[str] = []
    token = _NOTES.set(notes)
    try:
        yield notes
    finally:
        _NOTES.reset(token)


def note(text: str) -> None:
    """Add a note for the user about how a corpus was read; repeated notes are added once."""
    notes = _NOTES.get()
    if notes is not None and text not in notes:
        notes.append(text)


class RowTroubleError(ValueError):
    """A row is left out. The message names the cell and says what to do."""


class NotTheCorpus(ManifestError):
    """A folder does not look like the corpus."""


def not_the_corpus(corpus: str, root: Path, expected: str) -> NotTheCorpus:
    """Return the error for a folder that does not look like a corpus; its message lists the first entries found.

    Args:
        corpus: name of the adapter.
        root: the given folder or file.
        expected: description of the expected files.
    """
    if not root.exists():
        return NotTheCorpus(f"{corpus}: {root} does not exist; expected {expected}")
    if root.is_file():
        return NotTheCorpus(f"{corpus}: {root} is a file; expected a folder with {expected}")
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in root.iterdir())
    found = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "") if names else "nothing"
    return NotTheCorpus(f"{corpus}: {root} does not look like the corpus: expected {expected}; found {found}")


def walk(root: Path, suffixes: Iterable[str] | None) -> Iterator[Path]:
    """Yield the files below ``root`` with one of the given lower-case suffixes, or all files, sorted.

    Hidden and system files are skipped, and so are links to a parent folder, such as the link beside a manifest inside
    its corpus.
    """
    wanted = None if suffixes is None else frozenset(suffixes)
    for folder, _, files in _tree(root):
        for name in files:
            if wanted is None or os.path.splitext(name)[1].lower() in wanted:
                yield Path(folder, name)


def _tree(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield (folder, its folders, its files), sorted, without what :func:`walk` skips; unreadable folders are noted."""

    def unreadable(error: OSError) -> None:
        if os.path.isdir(error.filename):
            note(f"{error.filename} is left out: the folder cannot be read ({error.strerror})")

    for folder, folders, files in os.walk(root, followlinks=True, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not is_hidden(name) and not _leads_back(folder, name))
        yield folder, folders, sorted(name for name in files if not is_hidden(name))


def _leads_back(folder: str, name: str) -> bool:
    path = os.path.join(folder, name)
    return os.path.islink(path) and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(path))


def part_of(name: str) -> str | None:
    """Return ``train``, ``val`` or ``test`` if a name is that of a part of a corpus, else ``None``.

    Example:
        >>> part_of("Validation"), part_of("val_set"), part_of("Development"), part_of("happy")
        ('val', 'val', 'val', None)
    """
    return _PARTS.get(re.sub(r"[ _-]*(set|data|split)$", "", name.strip().lower()))


def part_folders(top: Path) -> dict[Path, str]:
    """Return {folder: part} for the folders in ``top`` named after a part; train first, then val and test."""
    inside = sorted(path for path in top.iterdir() if path.is_dir()) if top.is_dir() else []
    found = {path: part for path in inside if (part := part_of(path.name)) is not None}
    return dict(sorted(found.items(), key=lambda entry: PARTS.index(entry[1])))


def folders_below(root: Path) -> Iterator[Path]:
    """Yield the folders below ``root``, sorted, without those that :func:`walk` skips."""
    for folder, folders, _ in _tree(root):
        yield from (Path(folder, name) for name in folders)


def nearest(root: Path, *names: str) -> Path | None:
    """Return the least deep file or folder below ``root`` with one of the names; earlier names take priority.

    What :func:`walk` skips is not found.
    """
    wanted = {name: rank for rank, name in enumerate(names)}
    found = (
        (wanted[name], Path(folder, name))
        for folder, folders, files in _tree(root)
        for name in (*folders, *files)
        if name in wanted
    )
    best = min(found, key=lambda entry: (entry[0], len(entry[1].parts), entry[1]), default=None)
    return None if best is None else best[1]


def unit(value: float, low: float, high: float) -> float:
    """Rescale a rating from ``low``..``high`` to -1..1, clipping it to that range.

    Args:
        value: the rating.
        low: end of the scale that means little; the larger number if the scale is inverted.
        high: end of the scale that means much.

    Example:
        >>> unit(1, 1, 5), unit(4.5, 1, 5), unit(5.5, 1, 5)
        (-1.0, 0.75, 1.0)
        >>> unit(1, 5, 1), unit(4.5, 5, 1)
        (1.0, -0.75)
    """
    return min(1.0, max(-1.0, (2 * value - low - high) / (high - low)))


def keep_first(found: dict[str, str], key: str, name: str, skip: Skip) -> bool:
    """Register a file under a key; skip it if the key already has a file.

    Args:
        found: {key: file}, updated here.
        key: identifies the content of the file.
        name: path of the file, as returned by :func:`relative`.
        skip: called for a second copy.

    Returns:
        Whether the file is the first with this key.
    """
    if key in found:
        skip(name, f"is a second copy of {found[key]}")
        return False
    found[key] = name
    return True


def relative(path: Path, root: Path) -> str:
    """Return the path relative to ``root`` in POSIX form."""
    return path.relative_to(root).as_posix()


def read_text(path: Path) -> str:
    """Read a text file in its detected encoding; an encoding other than UTF-8 is noted.

    Raises:
        ManifestError: the file cannot be read, or is not text.
    """
    encoding = text_encoding(path)
    for message in encoding.notes:
        note(message)
    return path.read_bytes().decode(encoding.name, encoding.errors)


def read_table(path: Path, *, columns: Iterable[str], corpus: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Read the rows of a CSV with a header line. Column names are stripped; an empty cell is ``""``.

    Args:
        path: the CSV.
        columns: required columns.
        corpus: name of the adapter, for error messages.

    Yields:
        (row number numbered from 1 after the header, {column: value}); rows that cannot be read are noted.

    Raises:
        ManifestError: the file cannot be read, or lacks a column.
    """
    table = open_table(path)
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ManifestError(f"{corpus}: {path} lacks the column {missing[0]!r}; it has: {', '.join(table.columns)}")
    for number, row in enumerate(table.rows, start=1):
        if isinstance(row, BadRow):
            note(f"{path.name} {row.place} is left out: {row.reason}")
        else:
            yield number, {name: cell or "" for name, cell in row.items()}
    for message in table.notes:
        note(message)


def mend(text: str) -> str:
    """Restore Windows-1252 punctuation that was decoded in the wrong encoding.

    Two kinds of damage occur in published corpora: UTF-8 bytes decoded as Windows-1252 or Latin-1, and Windows-1252
    bytes decoded as C1 control characters.

    Example:
        >>> mend("he\\u00e2\\u20ac\\u2122s"), mend("he\\x92s"), mend("Nestl\\u00e9")
        ('he’s', 'he’s', 'Nestlé')
    """
    return _C1.sub(lambda match: _as_cp1252(ord(match[0])), _HIGH_RUN.sub(lambda match: _reread(match[0]), text))


def _as_cp1252(byte: int) -> str:
    return bytes([byte]).decode("cp1252", errors="ignore")


def _reread(run: str) -> str:
    """Decode a run of non-ASCII characters as UTF-8, or return it unchanged if that is not possible."""
    try:
        raw = b"".join(bytes([ord(c)]) if ord(c) < 256 else c.encode("cp1252") for c in run)
        return raw.decode("utf-8")
    except UnicodeError:
        return run
