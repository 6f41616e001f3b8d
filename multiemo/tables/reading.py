"""The one reader of tables: CSV and its kin, JSON, Parquet, Excel, row by row, whatever the separator and the encoding.

What a file is shows in its content; of text only the ending tells JSON lines from CSV. The cells of a CSV stay the text
that they are, so that ``007`` comes out as ``007``; an empty cell is ``None``. A row of JSON keeps the keys it has. A
row that cannot be read is a :class:`BadRow` in its place, and the rows after it are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from multiemo.errors import ManifestError
from multiemo.tables.delimited import BadRow, Delimited
from multiemo.tables.text_encoding import Encoding, UnknownEncodingError, find_encoding

if TYPE_CHECKING:
    import polars as pl

#: A row of somebody's table, before anything is known of it: {column: cell}. A cell is text or ``None``; of JSON and
#: Parquet also a number, a list or an object.
Row: TypeAlias = dict[str, Any]
#: {column: its type, or ``None`` where the rows say it}.
Columns: TypeAlias = dict[str, "pl.DataType | None"]

JSON_LINES = (".jsonl", ".ndjson")
#: Endings by which a table is found in a folder.
TABLES: tuple[str, ...] = (".csv", ".tsv", *JSON_LINES, ".json", ".parquet", ".xlsx")
#: Rows of a JSON file whose keys say what columns there are.
FIRST = 1000
#: Rows of a Parquet file that are in memory at a time.
_ROWS = 65536
_BLOCK = 1 << 20
#: First bytes of what is no text and no table either -> what it is.
_OTHERS = {
    b"\xd0\xcf\x11\xe0": "an Excel workbook of before 2007 or another old Office file; save it as CSV or .xlsx",
    b"\x1f\x8b": "compressed by gzip; unpack it",
    b"\xfd7zXZ": "compressed by xz; unpack it",
    b"BZh": "compressed by bzip2; unpack it",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is open.

    Args:
        path: of the file.
        columns: in order; for JSON the keys of the first thousand rows.
        rows: read as they are asked for.
        notes: what a user should know of how it is read; those on rows come as these are read.
        all_text: every cell is text or ``None``.
    """

    path: Path
    columns: Columns
    rows: Iterator[Row | BadRow]
    notes: list[str]
    all_text: bool = False


def open_table(path: Path) -> Table:
    """Look what a table is, and begin to read it.

    Raises:
        ManifestError: the file is not there, is no table, or is in no encoding that is known here.
    """
    try:
        if not path.is_file():
            trouble = "is a folder; name a table in it" if path.is_dir() else "no such file; check the path"
            raise ManifestError(f"{path}: {trouble}")
        with path.open("rb") as file:
            magic = file.read(6)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None
    if magic.startswith(b"PAR1") or path.suffix.lower() == ".parquet":
        return _parquet(path)
    if magic.startswith(b"PK\x03\x04"):
        from multiemo.tables.excel import read_excel  # few tables are one

        columns, sheet, notes = read_excel(path)
        return Table(path, dict.fromkeys(columns), sheet, notes, all_text=True)
    for first, what in _OTHERS.items():
        if magic.startswith(first):
            raise ManifestError(f"{path}: is {what}")
    encoding = text_encoding(path)
    notes = list(encoding.notes)
    if path.suffix.lower() in (*JSON_LINES, ".json"):
        rows = _json_rows(path, encoding)
        head = list(islice(rows, FIRST))
        names = [key for row in head if isinstance(row, dict) for key in row]
        return Table(path, dict.fromkeys(names), chain(head, rows), notes)
    text = Delimited(path, encoding, notes)
    names = text.columns
    if not names:
        raise ManifestError(f"{path}: has no header; its first line must name the columns")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ManifestError(f"{path}: has the column {twice[0]!r} twice; rename one of them")
    return Table(path, dict.fromkeys(names), text.rows(), notes, all_text=True)


def text_encoding(path: Path) -> Encoding:
    """The encoding of a text file.

    Raises:
        ManifestError: it cannot be read, is not text, or is in no encoding that is known here.
    """

    def blocks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block

    try:
        found = find_encoding(blocks, path.name)
        with path.open(encoding=found.name, errors=found.errors) as file:
            start = file.read(_BLOCK)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnknownEncodingError as error:
        raise ManifestError(f"{path}: {error}") from None
    if sum(c < "\t" or "\r" < c < " " for c in start) > max(4, 0.01 * len(start)):
        raise ManifestError(f"{path}: is not text; name a table")
    return found


def _json_rows(path: Path, encoding: Encoding) -> Iterator[Row | BadRow]:
    """One object a line, or one list of objects."""
    with path.open(encoding=encoding.name, errors=encoding.errors, newline="") as file:
        if path.suffix.lower() == ".json" and file.read(_BLOCK).lstrip().startswith("["):
            yield from _json_list(path, encoding)
            return
        file.seek(0)
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield BadRow(f"line {number}", f"is not JSON ({error})")
                continue
            yield row if isinstance(row, dict) else BadRow(f"line {number}", "is not a JSON object; write one a line")


def _json_list(path: Path, encoding: Encoding) -> Iterator[Row | BadRow]:
    try:
        values = json.loads(path.read_text(encoding.name, encoding.errors))
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: is not JSON ({error}); write it again") from None
    for number, row in enumerate(values, start=1):
        yield row if isinstance(row, dict) else BadRow(f"entry {number}", "is not a JSON object")


def _parquet(path: Path) -> Table:
    import polars as pl

    table = pl.scan_parquet(path, glob=False)

    def part(number: int, rows: int) -> pl.DataFrame:
        try:
            return table.slice(number, rows).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise ManifestError(f"{path}: is not a Parquet file, or a damaged one ({reason}); write it again") from None

    def rows() -> Iterator[Row | BadRow]:
        number = 0
        while not (some := part(number, _ROWS)).is_empty():
            number += len(some)
            yield from some.iter_rows(named=True)

    return Table(path, dict(part(0, 0).schema), rows(), [])
