"""Writes tables of any size in batches of rows and atomically: CSV, TSV, JSONL and Parquet.

A row is {column: value}, as :mod:`multiemo.tables.reading` reads it.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from multiemo.errors import ConfigError, first_line
from multiemo.files import system_error, unwritable
from multiemo.tables.reading import JSON_LINES, SCHEMA_ROWS, Columns, Row

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
#: Suffixes of the formats that can be written.
FORMATS: tuple[str, ...] = (*_DELIMITERS, *JSON_LINES, ".parquet")


def format_of(path: Path) -> str:
    """The format of a table to write: its suffix in lower case.

    Raises:
        ConfigError: the suffix is not that of a known format.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ConfigError(f"{path}: has no suffix of a table; give a file that ends in {', '.join(FORMATS)}")
    return suffix


def require_column(path: Path, columns: Iterable[str], name: str) -> None:
    """Check that a table has a column.

    Args:
        path: path of the table, for the message.
        columns: names of its columns.
        name: name of the required column.

    Raises:
        ConfigError: there is no such column; the message lists the columns.
    """
    if name not in columns:
        raise ConfigError(f"{path}: has no column {name!r}; it has {', '.join(map(repr, columns)) or 'none'}")


class Writer:
    """Writes a table. Use it as a context manager; the file appears, or is replaced, when it is complete.

    Args:
        path: file to write; its suffix is the format.
        columns: the columns in order. A CSV or TSV can have no others.

    Raises:
        ConfigError: the suffix is unknown, the folder is not writable, or the rows do not fit the format.
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
            elif self._suffix in JSON_LINES:
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
                with suppress(OSError):  # the buffer cannot be flushed to a full disk
                    self._file.close()
            self._draft.unlink(missing_ok=True)
            if self._suffix == ".parquet":
                shutil.rmtree(self._folder, ignore_errors=True)

    def _write_cells(self, rows: Iterable[Row]) -> None:
        for row in rows:
            try:
                self._cells.writerow({name: _cell(value) for name, value in row.items()})
            except ValueError:
                new = next(name for name in row if name not in self.columns)
                raise ConfigError(
                    f"{self.path}: a row has the column {new!r}, which is not in the first {SCHEMA_ROWS} rows and so "
                    "not in the header of the CSV; write .jsonl or .parquet"
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
        """The error for a file that cannot be written; it states the size so far, since the final size is unknown."""
        written = [self._draft, *self._parts]
        size = sum(file.stat().st_size for file in written if file.exists())
        return ConfigError(unwritable(self.path, error, written=size))

    def _unfit(self, error: Exception) -> ConfigError:
        reason = first_line(error)
        return ConfigError(f"{self.path}: a column has values of different types ({reason}); write .jsonl")


def _frame(rows: Sequence[Row], columns: Columns) -> pl.DataFrame:
    """The rows as a frame with every column, typed if its type is known."""
    names = dict.fromkeys([*columns, *(key for row in rows for key in row)])
    return pl.DataFrame([pl.Series(name, [row.get(name) for row in rows], dtype=columns.get(name)) for name in names])


def _cell(value: Any) -> Any:
    """A value as the content of one cell; nested values become JSON."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value
