"""Read tables row by row: CSV and its variants, JSON, Parquet and Excel, with any separator and encoding.

The format is recognised by the content, except that only the extension distinguishes JSON from CSV. CSV cells stay text
(``007`` is ``"007"``), and an empty cell is ``None``. A JSON row keeps its own keys. A row that cannot be read is
returned as a :class:`BadRow`, and reading continues after it.
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

#: A row as stored: {column: cell}. A cell is text or ``None``; in JSON and Parquet also a number, a list or an object.
Row: TypeAlias = dict[str, Any]
#: {column: its type, or ``None`` if the type is that of the cells}.
Columns: TypeAlias = dict[str, "pl.DataType | None"]

JSON_LINES = (".jsonl", ".ndjson")
#: Extensions by which a table is found in a folder.
TABLES: tuple[str, ...] = (".csv", ".tsv", *JSON_LINES, ".json", ".parquet", ".xlsx")
#: Number of rows of a JSON file whose keys determine the columns.
SCHEMA_ROWS = 1000
#: Number of rows of a Parquet file that are in memory at a time.
_PARQUET_BATCH = 65536
_BLOCK_BYTES = 1 << 20
#: {first bytes: description and advice} of binary formats that are not supported.
_UNSUPPORTED = {
    b"\xd0\xcf\x11\xe0": "an Excel workbook of before 2007 or another old Office file; save it as CSV or .xlsx",
    b"\x1f\x8b": "compressed by gzip; unpack it",
    b"\xfd7zXZ": "compressed by xz; unpack it",
    b"BZh": "compressed by bzip2; unpack it",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it",
}


@dataclass(frozen=True, slots=True)
class Table:
    """An open table.

    Args:
        path: path of the file.
        columns: in order. For JSON these are the keys of the first thousand rows.
        rows: iterator that reads the rows on demand.
        notes: remarks for the user. Notes on rows are added while these are read.
        all_text: whether every cell is text or ``None``.
    """

    path: Path
    columns: Columns
    rows: Iterator[Row | BadRow]
    notes: list[str]
    all_text: bool = False


def open_table(path: Path) -> Table:
    """Recognise the format of a table and open it.

    Raises:
        ManifestError: the file is missing, not a table, has two columns of one name, or is in an unknown encoding.
    """
    try:
        if not path.is_file():
            reason = "is a folder; name a table in it" if path.is_dir() else "no such file; check the path"
            raise ManifestError(f"{path}: {reason}")
        with path.open("rb") as file:
            magic = file.read(6)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None
    if magic.startswith(b"PAR1") or path.suffix.lower() == ".parquet":
        return _parquet(path)
    if magic.startswith(b"PK\x03\x04"):
        from multiemo.tables.excel import read_excel  # imported on demand, since few tables are workbooks

        columns, sheet, notes = read_excel(path)
        return Table(path, dict.fromkeys(columns), sheet, notes, all_text=True)
    for first, what in _UNSUPPORTED.items():
        if magic.startswith(first):
            raise ManifestError(f"{path}: is {what}")
    encoding = text_encoding(path)
    notes = list(encoding.notes)
    if path.suffix.lower() in (*JSON_LINES, ".json"):
        rows = _json_rows(path, encoding)
        head = list(islice(rows, SCHEMA_ROWS))
        names = [key for row in head if isinstance(row, dict) for key in row]
        return Table(path, dict.fromkeys(names), chain(head, rows), notes)
    text = Delimited(path, encoding, notes)
    names = text.columns
    if not names:
        raise ManifestError(f"{path}: has no header; its first line must name the columns")
    duplicates = [name for name in names if names.count(name) > 1]
    if duplicates:
        raise ManifestError(f"{path}: has the column {duplicates[0]!r} twice; rename one of them")
    return Table(path, dict.fromkeys(names), text.rows(), notes, all_text=True)


def text_encoding(path: Path) -> Encoding:
    """Detect the encoding of a text file.

    Raises:
        ManifestError: the file cannot be read, is not text, or is in an unknown encoding.
    """

    def blocks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block

    try:
        found = find_encoding(blocks, path.name)
        with path.open(encoding=found.name, errors=found.errors) as file:
            start = file.read(_BLOCK_BYTES)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnknownEncodingError as error:
        raise ManifestError(f"{path}: {error}") from None
    if sum(c < "\t" or "\r" < c < " " for c in start) > max(4, 0.01 * len(start)):
        raise ManifestError(f"{path}: is not text; name a table")
    return found


def _json_rows(path: Path, encoding: Encoding) -> Iterator[Row | BadRow]:
    """Yield the rows of a JSON file: one object per line, or one list of objects."""
    with path.open(encoding=encoding.name, errors=encoding.errors, newline="") as file:
        if path.suffix.lower() == ".json" and file.read(_BLOCK_BYTES).lstrip().startswith("["):
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
            yield row if isinstance(row, dict) else BadRow(f"line {number}", "is not a JSON object; write one per line")


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
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise ManifestError(f"{path}: is not a Parquet file, or a damaged one ({reason}); write it again") from None

    def rows() -> Iterator[Row | BadRow]:
        number = 0
        while not (some := part(number, _PARQUET_BATCH)).is_empty():
            number += len(some)
            yield from some.iter_rows(named=True)

    return Table(path, dict(part(0, 0).schema), rows(), [])
