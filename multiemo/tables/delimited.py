"""Read CSV and its variants: detect the separator, split records, and isolate broken ones.

RFC 4180, extended by what common programs write: comma, semicolon, tab or bar between the cells, Excel's first line
``sep=;``, cells of any length, and line ends of any system.
"""

from __future__ import annotations

import csv
import re
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from multiemo.tables.text_encoding import Encoding

#: A row as text; ``None`` is an empty cell.
TextRow: TypeAlias = dict[str, "str | None"]

_SEPARATORS = (",", "\t", ";", "|")
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)
#: Maximum length of a cell: the largest value that every platform accepts. The ``csv`` module has one limit for the
#: whole process, so it is set only while a record is read, and then restored.
_MAX_CELL_LENGTH = (1 << 31) - 1
#: A row of more lines than this is reported in a note.
_LONG_ROW_LINES = 100
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read.

    Args:
        place: its place in the file, such as ``line 7``.
        reason: why it cannot be read, and what to do.
    """

    place: str
    reason: str


class Delimited:
    """A delimited text whose first line has the names of the columns.

    Args:
        path: the file.
        encoding: its encoding.
        notes: receives notes on unusual rows while these are read.
    """

    def __init__(self, path: Path, encoding: Encoding, notes: list[str]) -> None:
        self._path, self._notes = path, notes
        self._source = _lines(path, encoding)
        self._pushed_back: deque[str] = deque()  # lines to be read again
        self._number = 0  # number of the last line returned
        first = ""
        while not first.strip() and (line := self._line()) is not None:
            first = line
        declared = _SEPARATOR_LINE.fullmatch(first)
        if declared is None:
            self._pushed_back.append(first)
            self._number -= 1
        self._separator = declared[1] if declared else separator_of(first, path)
        header = next(self._records(0), None)
        #: Names of the columns, stripped. Unnamed columns are named by their position. Empty for an empty file.
        self.columns: list[str] = _column_names(header[1]) if isinstance(header, tuple) else []

    def rows(self) -> Iterator[TextRow | BadRow]:
        """Yield the rows below the header. Blank lines are skipped."""
        width, short, first = len(self.columns), 0, 0
        for record in self._records(width):
            if isinstance(record, BadRow):
                yield record
                continue
            number, cells = record
            if not cells and width > 1:
                continue
            if any(cells[width:]):
                reason = (
                    f"{len(cells)} cells, but {width} columns; put quotation marks around a text that contains "
                    f"{self._separator!r}, and double those within it"
                )
                yield BadRow(f"line {number}", reason)
                continue
            if len(cells) < width and cells:
                short, first = short + 1, first or number
            cells.extend([""] * (width - len(cells)))
            yield {name: cell or None for name, cell in zip(self.columns, cells, strict=False)}
        if short:
            self._notes.append(
                f"{short} row(s) of {self._path.name} have fewer cells than columns, the first in line {first}; the "
                "missing ones count as empty"
            )

    def _line(self) -> str | None:
        """Return the next line, or ``None`` after the last."""
        line = self._pushed_back.popleft() if self._pushed_back else next(self._source, None)
        self._number += line is not None
        return line

    def _records(self, width: int) -> Iterator[tuple[int, list[str]] | BadRow]:
        """Yield the line number and the cells of each record; no cells for a blank line.

        An unclosed quotation mark would swallow the rows after it. The line with it becomes one bad row, and the next
        line begins a new record. In tab-separated text it is an ordinary character, since that format (IANA,
        text/tab-separated-values) has no quotation.

        Args:
            width: number of cells per row; 0 for the header.
        """
        while (line := self._line()) is not None:
            number, plain = self._number, line.rstrip("\r\n")
            if '"' not in line:
                yield number, plain.split(self._separator) if plain else []
                continue
            held: list[str] = []
            cells, reason = self._quoted(line, held)
            if len(held) > _LONG_ROW_LINES:
                self._notes.append(
                    f"the row in line {number} of {self._path.name} spans {len(held)} lines; perhaps a quotation mark "
                    "in it is not closed"
                )
            if not reason and not self._is_several_rows(held, width):
                yield number, cells
                continue
            self._pushed_back.extendleft(reversed(held[1:]))
            self._number = number
            if self._separator == "\t":
                yield number, plain.split("\t")
            else:
                yield BadRow(f"line {number}", f"is not CSV ({reason}); double the quotation marks within a text")

    def _quoted(self, first: str, held: list[str]) -> tuple[list[str], str]:
        """Parse a record with quotation marks.

        Args:
            first: its first line.
            held: receives its lines.

        Returns:
            The cells, and the reason why it cannot be parsed, or an empty string.
        """

        def lines() -> Iterator[str]:
            line: str | None = first
            while line is not None:
                held.append(line)
                yield line
                line = self._line()

        reader = csv.reader(lines(), delimiter=self._separator, strict=True)
        with _LOCK:
            limit = csv.field_size_limit(_MAX_CELL_LENGTH)
            try:
                return next(reader), ""
            except csv.Error as error:
                return [], str(error)
            finally:
                csv.field_size_limit(limit)

    def _is_several_rows(self, held: list[str], width: int) -> bool:
        """Whether a record is several complete rows of a tab-separated file within one pair of quotation marks."""
        several = self._separator == "\t" and width > 1 and len(held) > 1
        return several and all(line.count("\t") == width - 1 for line in held)


def _lines(path: Path, encoding: Encoding) -> Iterator[str]:
    with path.open(encoding=encoding.name, errors=encoding.errors, newline="") as file:
        yield from file


def separator_of(header: str, path: Path) -> str:
    """Return the separator that splits a header into most cells.

    Args:
        header: first line of the file.
        path: the file. Of equally good separators the usual one for its extension is preferred.
    """
    usual = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    order = (usual, *(mark for mark in _SEPARATORS if mark != usual))
    return max(order, key=lambda mark: _unquoted(header).count(mark))


def _unquoted(line: str) -> str:
    """Return a line without its quoted parts."""
    return "".join(line.split('"')[::2])


def _column_names(header: list[str]) -> list[str]:
    """Return the stripped names of the columns. If several have no name, each is named by its position."""
    names = [name.strip("\ufeff \t\r\n") for name in header]
    unnamed = names.count("") > 1
    return [name or (f"column {place}" if unnamed else "") for place, name in enumerate(names, start=1)]
