"""Tables of any size, row by row: CSV, TSV, JSONL and Parquet in, any of them out, whole or not at all.

A row is {column: value}. The cells of a CSV stay the text that they are, so that ``007`` comes out as ``007``; an empty
cell is ``None``. A row of a JSONL file keeps the keys that it has.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import polars as pl

from multiemo.errors import ConfigError, ManifestError
from multiemo.files import system_error, unwritable

Row: TypeAlias = dict[str, Any]
#: {column: its type, or ``None`` where the rows say it}.
Columns: TypeAlias = dict[str, "pl.DataType | None"]

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON = (".jsonl", ".ndjson")
#: File formats, by suffix.
FORMATS: tuple[str, ...] = (*_DELIMITERS, *_JSON, ".parquet")
#: Rows of a JSONL file whose keys say what columns there are.
_FIRST = 1000
#: Rows of a Parquet file that are in memory at a time.
_ROWS = 65536


def format_of(path: Path) -> str:
    """The suffix that says the format.

    Raises:
        ConfigError: none that is known.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ConfigError(f"{path}: is no table by its name; give a file that ends in {', '.join(FORMATS)}")
    return suffix


def read_rows(path: Path) -> tuple[Columns, Iterator[Row]]:
    """The columns of a table, in order, and its rows, which are read as they are asked for.

    Returns:
        Columns (for JSONL, the keys of the first thousand rows), rows.

    Raises:
        ConfigError: the suffix is not one of ``FORMATS``.
        ManifestError: the file is not there or not such a table; while reading, the row that breaks it is named.
    """
    suffix = format_of(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; check the path")
    if suffix == ".parquet":
        return _parquet(path)
    if suffix in _JSON:
        rows = _json_rows(path)
        first = list(islice(rows, _FIRST))
        return dict.fromkeys(key for row in first for key in row), chain(first, rows)
    return _csv(path, _DELIMITERS[suffix])


def _csv(path: Path, delimiter: str) -> tuple[Columns, Iterator[Row]]:
    lines = _csv_lines(path, delimiter)
    _, columns = next(lines, (0, []))
    if not columns:
        raise ManifestError(f"{path}: has no header; its first line must name the columns")
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise ManifestError(f"{path}: has the column {twice[0]!r} twice; rename one of them")

    def rows() -> Iterator[Row]:
        for number, cells in lines:
            if not cells and len(columns) > 1:
                continue  # a blank line
            cells = cells or [""]
            if len(cells) != len(columns):
                raise ManifestError(
                    f"{path} line {number}: {len(cells)} cells, but {len(columns)} columns; put quotation marks around "
                    f"a text that holds {delimiter!r}, and double those within it"
                )
            yield {name: cell or None for name, cell in zip(columns, cells, strict=True)}

    return dict.fromkeys(columns, pl.String()), rows()


def _csv_lines(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each record, and the line it ends on."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for cells in reader:
                yield reader.line_num, cells
        except UnicodeDecodeError:
            raise ManifestError(f"{path}: is not UTF-8 text after line {reader.line_num}; save it as UTF-8") from None
        except csv.Error as error:
            raise ManifestError(f"{path} line {reader.line_num}: is not CSV ({error})") from None


def _json_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError) as error:
                raise ManifestError(f"{path} line {number}: is not JSON in UTF-8 ({error})") from None
            if not isinstance(row, dict):
                raise ManifestError(f"{path} line {number}: is not a JSON object; write one a line")
            yield row


def _parquet(path: Path) -> tuple[Columns, Iterator[Row]]:
    table = pl.scan_parquet(path, glob=False)

    def part(number: int, rows: int) -> pl.DataFrame:
        try:
            return table.slice(number, rows).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise ManifestError(f"{path}: is not a Parquet file, or a damaged one ({reason}); write it again") from None

    def rows() -> Iterator[Row]:
        number = 0
        while not (some := part(number, _ROWS)).is_empty():
            number += len(some)
            yield from some.iter_rows(named=True)

    return dict(part(0, 0).schema), rows()


def require_column(path: Path, columns: Iterable[str], name: str) -> None:
    """Raises:
    ConfigError: the table has no such column; lists those that it has.
    """
    if name not in columns:
        raise ConfigError(f"{path}: has no column {name!r}; it has {', '.join(map(repr, columns)) or 'none'}")


class Writer:
    """Writes a table; use as a context manager. The file appears when it is complete, in the place of an older one.

    Args:
        path: its suffix says the format.
        columns: in order; a CSV holds just these.

    Raises:
        ConfigError: unknown suffix, the folder cannot be written, or the rows do not fit the format.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path, self.columns = path, columns
        self._suffix = format_of(path)
        self._draft = path.with_name(path.name + ".tmp")
        self._parts: list[Path] = []

    def __enter__(self) -> Writer:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self._suffix == ".parquet":
                self._folder = self.path.with_name(self.path.name + ".parts")
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder.mkdir()
                return self
            self._file = self._draft.open("w", encoding="utf-8", errors="backslashreplace", newline="")
            if self._suffix in _DELIMITERS:
                delimiter = _DELIMITERS[self._suffix]
                self._cells = csv.DictWriter(self._file, list(self.columns), delimiter=delimiter, lineterminator="\n")
                self._cells.writeheader()
        except OSError as error:
            raise self._unwritable(error) from None
        return self

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows."""
        try:
            if self._suffix == ".parquet":
                self._write_part(rows)
            elif self._suffix in _JSON:
                self._file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
            else:
                self._write_cells(rows)
        except OSError as error:
            raise self._unwritable(error) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                if self._suffix == ".parquet":
                    self._join_parts()
                else:
                    self._file.flush()
                    os.fsync(self._file.fileno())
                    self._file.close()
                self._draft.replace(self.path)
        except OSError as found:
            raise self._unwritable(found) from None
        finally:
            if self._suffix != ".parquet":
                with suppress(OSError):  # what is left in the buffer of a disk that is full
                    self._file.close()
            self._draft.unlink(missing_ok=True)
            if self._suffix == ".parquet":
                shutil.rmtree(self._folder, ignore_errors=True)

    def _write_cells(self, rows: Iterable[Row]) -> None:
        for row in rows:
            try:
                self._cells.writerow({name: _cell(value) for name, value in row.items()})
            except ValueError:
                late = next(name for name in row if name not in self.columns)
                raise ConfigError(
                    f"{self.path}: a row has {late!r}, which none of the first {_FIRST} has, and a CSV has its columns "
                    "from the start; write .jsonl or .parquet"
                ) from None

    def _write_part(self, rows: Sequence[Row]) -> None:
        part = self._folder / f"{len(self._parts):06d}.parquet"
        try:
            _frame(rows, self.columns).write_parquet(part)
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
            raise system_error(error) or self._unfit(error) from None
        self._parts.append(part)

    def _join_parts(self) -> None:
        try:
            if not self._parts:
                _frame([], self.columns).write_parquet(self._draft)
                return
            parts = [pl.scan_parquet(part, glob=False) for part in self._parts]
            pl.concat(parts, how="diagonal_relaxed").sink_parquet(self._draft)
        except pl.exceptions.PolarsError as error:
            raise system_error(error) or self._unfit(error) from None

    def _unwritable(self, error: OSError) -> ConfigError:
        """Of what is there so far: how many rows are still to come, nobody knows."""
        written = [self._draft, *self._parts]
        size = sum(file.stat().st_size for file in written if file.exists())
        return ConfigError(unwritable(self.path, error, written=size))

    def _unfit(self, error: Exception) -> ConfigError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return ConfigError(f"{self.path}: the rows are not of one type a column ({reason}); write .jsonl")


def _frame(rows: Sequence[Row], columns: Columns) -> pl.DataFrame:
    """The rows with every column, of its type."""
    names = dict.fromkeys([*columns, *(key for row in rows for key in row)])
    return pl.DataFrame([pl.Series(name, [row.get(name) for row in rows], dtype=columns.get(name)) for name in names])


def _cell(value: Any) -> Any:
    """A value as one cell; what is nested becomes JSON."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value
