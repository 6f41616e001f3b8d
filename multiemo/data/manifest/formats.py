"""The file formats of a manifest: JSONL and Parquet, read and written row by row without validating the rows."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiemo.data.manifest.rows import format_row
from multiemo.errors import ManifestError
from multiemo.types import DIMENSIONS, Clip

if TYPE_CHECKING:
    import polars as pl

_JSONL = (".jsonl", ".ndjson")
_FORMATS = f"{', '.join(_JSONL)} or .parquet"
#: Rows of a Parquet file that are converted at a time.
_CHUNK_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that breaks a rule of the manifest.

    Args:
        row: row number, numbered from 1; the line number in JSONL.
        id: clip id, or ``None`` if the row has none.
        message: names the key and the value, and says what to do.
    """

    row: int
    id: str | None
    message: str

    def __str__(self) -> str:
        clip = "" if self.id is None else f" (clip {self.id!r})"
        return f"row {self.row}{clip}: {self.message}"


def format_of(path: Path) -> str:
    """Return the suffix of a manifest's file name in lower case.

    Raises:
        ManifestError: the suffix is not that of a manifest, or the path is a folder.
    """
    if os.path.isdir(path):
        raise ManifestError(f"{path}: is a folder; name a manifest")
    suffix = path.suffix.lower()
    if suffix not in (*_JSONL, ".parquet"):
        raise ManifestError(f"{path}: unknown manifest format {path.suffix!r}; use {_FORMATS}")
    return suffix


def file_rows(path: Path) -> Iterator[tuple[int, object]]:
    """Yield (row number, row) without validation; the row is a :class:`Problem` where a line cannot be decoded.

    Raises:
        ManifestError: the file is missing, unreadable or in an unknown format.
    """
    suffix = format_of(path)
    if not os.path.isfile(path):
        raise ManifestError(f"{path}: no such file; name a manifest")
    yield from _parquet_rows(path) if suffix == ".parquet" else _json_rows(path)


def write_parquet(clips: Iterable[Clip], rows: Iterable[dict[str, Any]], path: Path) -> None:
    """Write clips as a Parquet file.

    Args:
        clips: the clips to write.
        rows: the rows of the same clips; iterated once to find the columns that occur.
        path: the file to write.
    """
    _columns(clips, _schema(rows)).write_parquet(path, row_group_size=_CHUNK_ROWS)


def write_jsonl(rows: Iterable[dict[str, Any]], path: Path) -> None:
    """Write rows as JSON lines."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _columns(clips: Iterable[Clip], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """Convert the clips to a data frame, chunk by chunk, so that few Python rows are in memory at a time."""
    import polars as pl  # not needed for JSONL

    rows = map(format_row, clips)
    parts: list[pl.DataFrame] = []
    while chunk := list(islice(rows, _CHUNK_ROWS)):
        parts.append(pl.DataFrame(chunk, schema=schema))
    return pl.concat(parts, rechunk=False)


def _json_rows(path: Path) -> Iterator[tuple[int, object]]:
    try:
        for number, raw in enumerate(_lines(path), start=1):
            if not raw.strip():
                continue
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                row = json.loads(line)
                if "\\ud" in line or "\\uD" in line:  # an escaped lone surrogate is not valid text
                    json.dumps(row, ensure_ascii=False).encode()
            except UnicodeError:
                yield number, Problem(number, None, "is not UTF-8 text; save the file as UTF-8")
            except (ValueError, RecursionError) as error:
                reason = getattr(error, "msg", str(error))
                yield number, Problem(number, None, f"is not JSON ({reason}); write one JSON object a line")
            else:
                yield number, row
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from None


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file in UTF-8. A file with a UTF-16 byte order mark (PowerShell writes it) is converted."""
    with path.open("rb") as file:
        is_utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        file.seek(0)
        if is_utf16:
            yield from (line.encode() for line in TextIOWrapper(file, "utf-16", errors="replace"))
        else:
            yield from file


def _parquet_rows(path: Path) -> Iterator[tuple[int, object]]:
    import polars as pl

    table = pl.scan_parquet(path, glob=False)
    number = 0
    while True:
        try:
            chunk = table.slice(number, _CHUNK_ROWS).collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise ManifestError(f"{path}: is not a Parquet file ({reason}); write it again") from None
        if chunk.is_empty():
            return
        for row in chunk.iter_rows(named=True):
            number += 1
            yield number, _without_nulls(row)


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    """Remove null entries, also inside nested objects: a Parquet struct holds null for every absent key."""
    kept: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            value = _without_nulls(value) or None
        if value is not None:
            kept[key] = value
    return kept


def _schema(rows: Iterable[dict[str, Any]]) -> dict[str, pl.DataType]:
    """Return the column types of the keys that occur; objects become structs with the union of their keys."""
    import polars as pl

    members: dict[str, dict[str, None]] = {}
    for row in rows:
        for key, value in row.items():
            names = members.setdefault(key, {})
            if isinstance(value, dict):
                names.update(dict.fromkeys(value))
    reference = pl.Struct({"path": pl.String, "key": pl.String})
    objects: dict[str, Any] = {"features": reference, "votes": pl.Float64}
    objects |= {"modality_labels": pl.String, "attributes": pl.String}
    types: dict[str, pl.DataType] = {}
    for key, names in members.items():
        if key in objects:
            types[key] = pl.Struct(dict.fromkeys(names, objects[key]))
        elif key == "labels":
            types[key] = pl.List(pl.String)
        elif key == "cropped":
            types[key] = pl.Boolean()
        else:
            types[key] = pl.Float64() if key in ("start", "end", *DIMENSIONS) else pl.String()
    return types
