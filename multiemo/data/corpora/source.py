"""What the adapters share: how a corpus folder is looked at, and its text tables are read."""

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

#: Reports what is left out: (file or row, reason).
Skip: TypeAlias = Callable[[str, str], None]
#: Told of a label that is met: (as it is written, what it becomes or ``None`` where it has no place).
Became: TypeAlias = Callable[[str, "str | None"], None]

#: Endings of the recordings of corpora that were distributed as these, and what they hold.
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
    """Collects what :func:`note` is told meanwhile."""
    notes: list[str] = []
    token = _NOTES.set(notes)
    try:
        yield notes
    finally:
        _NOTES.reset(token)


def note(text: str) -> None:
    """Say how a corpus was read where a user should know it and nothing is left out; the same is said once."""
    notes = _NOTES.get()
    if notes is not None and text not in notes:
        notes.append(text)


class RowTroubleError(ValueError):
    """Why a row is left out; the message says which cell and what to do."""


class NotTheCorpus(ManifestError):
    """A folder does not look like the corpus."""


def not_the_corpus(corpus: str, root: Path, expected: str) -> NotTheCorpus:
    """The error for a folder that does not look like ``corpus``; it lists the first entries found there."""
    if not root.exists():
        return NotTheCorpus(f"{corpus}: {root} does not exist; expected {expected}")
    if root.is_file():
        return NotTheCorpus(f"{corpus}: {root} is a file; expected a folder with {expected}")
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in root.iterdir())
    found = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "") if names else "nothing"
    return NotTheCorpus(f"{corpus}: {root} does not look like the corpus: expected {expected}; found {found}")


def walk(root: Path, suffixes: Iterable[str] | None) -> Iterator[Path]:
    """Files under ``root`` with one of the (lower-case) suffixes, or all, sorted.

    Hidden files and those of systems are passed over, and links to a folder that they lie in, such as that of a
    manifest inside its corpus.
    """
    wanted = None if suffixes is None else frozenset(suffixes)
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not is_hidden(name) and not _leads_back(folder, name))
        for name in sorted(files):
            if (wanted is None or os.path.splitext(name)[1].lower() in wanted) and not is_hidden(name):
                yield Path(folder, name)


def _leads_back(folder: str, name: str) -> bool:
    path = os.path.join(folder, name)
    return os.path.islink(path) and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(path))


def part_of(name: str) -> str | None:
    """``train``, ``val`` or ``test`` where a folder, file or cell is called after a part of a corpus.

    Example:
        >>> part_of("Validation"), part_of("val_set"), part_of("Development"), part_of("happy")
        ('val', 'val', 'val', None)
    """
    return _PARTS.get(re.sub(r"[ _-]*(set|data|split)$", "", name.strip().lower()))


def part_folders(top: Path) -> dict[Path, str]:
    """{folder in ``top`` that is called after a part: that part}, train first, then val and test."""
    inside = sorted(path for path in top.iterdir() if path.is_dir()) if top.is_dir() else []
    found = {path: part for path in inside if (part := part_of(path.name)) is not None}
    return dict(sorted(found.items(), key=lambda entry: PARTS.index(entry[1])))


def nearest(root: Path, *names: str) -> Path | None:
    """The file or folder called by one of the names that lies least deep under ``root``; earlier names go first."""
    for name in names:
        found = min(root.rglob(name), key=lambda path: (len(path.parts), path), default=None)
        if found is not None:
            return found
    return None


def unit(value: float, low: float, high: float) -> float:
    """A rating on the scale ``low``..``high`` brought to -1..1; one beyond the scale is taken at its end.

    ``low`` is the number that stands for little: the larger of the two where a scale runs downwards.

    Example:
        >>> unit(1, 1, 5), unit(4.5, 1, 5), unit(5.5, 1, 5)
        (-1.0, 0.75, 1.0)
        >>> unit(1, 5, 1), unit(4.5, 5, 1)
        (1.0, -0.75)
    """
    return min(1.0, max(-1.0, (2 * value - low - high) / (high - low)))


def keep_first(found: dict[str, str], key: str, name: str, skip: Skip) -> bool:
    """Keep a file unless there is one of its key already; the second is skipped.

    Args:
        found: {key: file}, to which it is added.
        key: of what the file holds.
        name: of the file, as :func:`relative` gives it.
        skip: told of a second copy.

    Returns:
        Whether it is the first.
    """
    if key in found:
        skip(name, f"is a second copy of {found[key]}")
        return False
    found[key] = name
    return True


def relative(path: Path, root: Path) -> str:
    """``path`` below ``root`` in POSIX form."""
    return path.relative_to(root).as_posix()


def read_text(path: Path) -> str:
    """A text file in whatever encoding it is; one that is not UTF-8 is noted.

    Raises:
        ManifestError: the file cannot be read, or is no text.
    """
    encoding = text_encoding(path)
    for said in encoding.notes:
        note(said)
    return path.read_bytes().decode(encoding.name, encoding.errors)


def read_table(path: Path, *, columns: Iterable[str], corpus: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV with a header line; spaces around the names in it are taken off, an empty cell is ``""``.

    Args:
        columns: must all be there.

    Yields:
        (row number counted from 1 after the header, {column: value}); a row that cannot be read is noted.

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
    for said in table.notes:
        note(said)


def mend(text: str) -> str:
    """``text`` with Windows-1252 punctuation restored where an earlier program read its bytes in the wrong encoding.

    Two kinds of damage occur in published corpora: UTF-8 bytes read as Windows-1252 or Latin-1, and Windows-1252
    bytes kept as C1 control characters.

    Example:
        >>> mend("he\\u00e2\\u20ac\\u2122s"), mend("he\\x92s"), mend("Nestl\\u00e9")
        ('he’s', 'he’s', 'Nestlé')
    """
    return _C1.sub(lambda match: _as_cp1252(ord(match[0])), _HIGH_RUN.sub(lambda match: _reread(match[0]), text))


def _as_cp1252(byte: int) -> str:
    return bytes([byte]).decode("cp1252", errors="ignore")


def _reread(run: str) -> str:
    """A run of characters above ASCII read as UTF-8 after all, or as it stands where it is not that."""
    try:
        raw = b"".join(bytes([ord(c)]) if ord(c) < 256 else c.encode("cp1252") for c in run)
        return raw.decode("utf-8")
    except UnicodeError:
        return run
