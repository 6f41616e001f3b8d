"""Removes a person from the contents of files: members of JSON, lines of JSON Lines, rows of tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from multiemo.files import parse_json
from multiemo.runs.purge.names import IDENTITY, Names

#: Formats of text that are removed as a whole if they name the person: pages, timelines, captions, figures.
_WHOLE = frozenset(
    {".html", ".md", ".txt", ".srt", ".vtt", ".ass", ".sbv", ".eaf", ".textgrid", ".tex", ".svg", ".log", ".tier"}
)
_REMOVED: Any = object()


@dataclass(frozen=True, slots=True)
class CleanedFile:
    """A file without the person.

    Args:
        content: new content; ``None`` if the file is removed as a whole.
        count: number of rows, members or lines that were removed; 1 for a whole file.
    """

    content: bytes | None
    count: int


def cleaned(path: Path, data: bytes, names: Names) -> CleanedFile | None:
    """Remove the person from a file.

    Args:
        path: its path; the suffix states the format.
        data: its content.
        names: names of the person.

    Returns:
        ``None`` if the file does not name the person, or if its format cannot be edited.
    """
    suffix = path.suffix.lower()
    if suffix in _WHOLE:
        return CleanedFile(None, 1) if names.occur(data.decode("utf-8", "replace")) else None
    editor = _EDITORS.get(suffix)
    try:
        return None if editor is None else editor(data, names)
    except (ValueError, csv.Error):  # not what its suffix says
        return None


def _json(data: bytes, names: Names) -> CleanedFile | None:
    value, counter = parse_json(data), _Counter()
    left = _without(value, None, names, counter, top=True)
    if not counter.count:
        return None
    if left is _REMOVED:
        return CleanedFile(None, 1)
    return CleanedFile(_encoded(left, indent=2), counter.count)


def _json_lines(data: bytes, names: Names) -> CleanedFile | None:
    kept: list[bytes] = []
    count = 0
    for line in data.splitlines(keepends=True):
        counter = _Counter()
        try:
            value = parse_json(line) if line.strip() else None
        except ValueError:
            value = line.decode("utf-8", "replace")
        left = _without(value, None, names, counter)
        count += counter.count
        if not counter.count:
            kept.append(line)
        elif left is not _REMOVED:
            kept.append(_encoded(left))
    return CleanedFile(b"".join(kept), count) if count else None


def _encoded(value: Any, indent: int | None = None) -> bytes:
    return (json.dumps(value, indent=indent, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def _names_it(value: Any, names: Names) -> bool:
    counter = _Counter()
    _without(value, None, names, counter)
    return counter.count > 0


@dataclass(slots=True)
class _Counter:
    count: int = 0


def _without(value: Any, member: str | None, names: Names, counter: _Counter, *, top: bool = False) -> Any:
    """A JSON value without everything that names the person.

    The smallest object or list element that names the person is removed. Of the outermost object of a document only
    the member is removed, unless it says what the document is about.

    Args:
        value: JSON value.
        member: member that holds it; elements of a list have the member of the list.
        names: names of the person.
        counter: counts what is removed.
        top: whether it is a whole document.
    """
    if isinstance(value, str):
        if not names.identify(member, value):
            return value
        counter.count += 1
        return _REMOVED
    if isinstance(value, list):
        return [left for x in value if (left := _without(x, member, names, counter)) is not _REMOVED]
    if not isinstance(value, dict):
        return value
    named = {key for key, x in value.items() if isinstance(x, str) and names.identify(key, x)}
    if named and (not top or named & (IDENTITY | {"file", "audio", "video", "image"})):
        counter.count += 1
        return _REMOVED
    left = {}
    for key, x in value.items():
        if names.occur(key):
            counter.count += 1
        elif (kept := _without(x, key, names, counter)) is not _REMOVED:
            left[key] = kept
    return left


def _delimited(delimiter: str) -> Callable[[bytes, Names], CleanedFile | None]:
    def clean(data: bytes, names: Names) -> CleanedFile | None:
        lines = data.decode("utf-8", "surrogateescape").splitlines(keepends=True)
        kept: list[str] = []
        head: list[str] = []
        count = 0
        for row, raw in _records(lines, delimiter):
            head = head or row
            if any(names.identify(head[i].lower() if i < len(head) else None, cell) for i, cell in enumerate(row)):
                count += 1
            else:
                kept.append(raw)
        return CleanedFile("".join(kept).encode("utf-8", "surrogateescape"), count) if count else None

    return clean


def _records(lines: list[str], delimiter: str) -> Iterator[tuple[list[str], str]]:
    """Each record of a delimited text, and its lines as they are written."""
    reader = csv.reader(lines, delimiter=delimiter)
    before = 0
    for row in reader:
        yield row, "".join(lines[before : reader.line_num])
        before = reader.line_num


def _parquet(data: bytes, names: Names) -> CleanedFile | None:
    import polars as pl

    try:
        table = pl.read_parquet(BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(str(error)) from None
    kept = [not _names_it(row, names) for row in table.iter_rows(named=True)]
    if all(kept):
        return None
    written = BytesIO()
    table.filter(pl.Series(kept, dtype=pl.Boolean)).write_parquet(written)
    return CleanedFile(written.getvalue(), kept.count(False))


_EDITORS: dict[str, Callable[[bytes, Names], CleanedFile | None]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".parquet": _parquet,
}
