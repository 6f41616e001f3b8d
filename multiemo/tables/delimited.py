"""CSV and its kin: which character parts the cells, where a record ends, and what becomes of one that is broken.

RFC 4180 with what people's programs write: comma, semicolon, tab or bar between the cells, Excel's first line
``sep=;``, cells of any length, line ends of any system.
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
_TOLD = re.compile(r"sep=(.)\s*", re.IGNORECASE)
#: The module csv has one limit of a cell's length for all readers of a process. This is the most that every platform
#: takes, and it holds while a record of ours is read; then the limit is again what others made it.
_LIMIT = (1 << 31) - 1
#: Lines of a row that are too many to be believed without a note.
_LONG = 100
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read.

    Args:
        place: where in the file.
        reason: why, and what to do.
    """

    place: str
    reason: str


class Delimited:
    """A text of cells, with its columns named by the first line.

    Args:
        path: the file.
        encoding: how it is read.
        notes: gets one on the rows that have fewer cells than there are columns, when all are read.
    """

    def __init__(self, path: Path, encoding: Encoding, notes: list[str]) -> None:
        self._path, self._notes = path, notes
        self._text = _lines(path, encoding)
        self._waiting: deque[str] = deque()  # lines that are to be read again
        self._number = 0  # of the last line that was handed out
        first = ""
        while not first.strip() and (line := self._line()) is not None:
            first = line
        told = _TOLD.fullmatch(first)
        if told is None:
            self._waiting.append(first)
            self._number -= 1
        self._separator = told[1] if told else separator_of(first, path)
        header = next(self._records(0), None)
        #: Names without the spaces around them; what has no name is called by its place. Empty for an empty file.
        self.columns: list[str] = _names(header[1]) if isinstance(header, tuple) else []

    def rows(self) -> Iterator[TextRow | BadRow]:
        """Every row below the header; blank lines are passed over."""
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
                    f"{len(cells)} cells, but {width} columns; put quotation marks around a text that holds "
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
        """The next line, or ``None`` after the last."""
        line = self._waiting.popleft() if self._waiting else next(self._text, None)
        self._number += line is not None
        return line

    def _records(self, width: int) -> Iterator[tuple[int, list[str]] | BadRow]:
        """The line on which each record begins, and its cells; none for a blank line.

        A quotation mark that is not closed would swallow the rows after it: such a line is one bad row, and the next
        line begins a new record. Where tabs part the cells it is text, since the format (IANA,
        text/tab-separated-values) knows no quotation.

        Args:
            width: how many cells a row has; 0 for the header.
        """
        while (line := self._line()) is not None:
            number, plain = self._number, line.rstrip("\r\n")
            if '"' not in line:
                yield number, plain.split(self._separator) if plain else []
                continue
            held: list[str] = []
            cells, reason = self._quoted(line, held)
            if len(held) > _LONG:
                self._notes.append(
                    f"the row in line {number} of {self._path.name} goes on for {len(held)} lines; perhaps a quotation "
                    "mark in it is not closed"
                )
            if not reason and not self._swallowed(held, width):
                yield number, cells
                continue
            self._waiting.extendleft(reversed(held[1:]))
            self._number = number
            if self._separator == "\t":
                yield number, plain.split("\t")
            else:
                yield BadRow(f"line {number}", f"is not CSV ({reason}); double the quotation marks within a text")

    def _quoted(self, first: str, held: list[str]) -> tuple[list[str], str]:
        """The cells of a record with quotation marks, or why there are none; ``held`` gets its lines."""

        def lines() -> Iterator[str]:
            line: str | None = first
            while line is not None:
                held.append(line)
                yield line
                line = self._line()

        reader = csv.reader(lines(), delimiter=self._separator, strict=True)
        with _LOCK:
            limit = csv.field_size_limit(_LIMIT)
            try:
                return next(reader), ""
            except csv.Error as error:
                return [], str(error)
            finally:
                csv.field_size_limit(limit)

    def _swallowed(self, held: list[str], width: int) -> bool:
        """Whether a record is several whole rows within one pair of quotation marks; no text holds so many tabs."""
        several = self._separator == "\t" and width > 1 and len(held) > 1
        return several and all(line.count("\t") == width - 1 for line in held)


def _lines(path: Path, encoding: Encoding) -> Iterator[str]:
    with path.open(encoding=encoding.name, errors=encoding.errors, newline="") as file:
        yield from file


def separator_of(header: str, path: Path) -> str:
    """The one that parts the header into most cells."""
    usual = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    order = (usual, *(mark for mark in _SEPARATORS if mark != usual))
    return max(order, key=lambda mark: _unquoted(header).count(mark))


def _unquoted(line: str) -> str:
    """A line without what stands in quotation marks."""
    return "".join(line.split('"')[::2])


def _names(header: list[str]) -> list[str]:
    """The columns' names; of several without a name each is called by its place."""
    names = [name.strip("\ufeff \t\r\n") for name in header]
    unnamed = names.count("") > 1
    return [name or (f"column {place}" if unnamed else "") for place, name in enumerate(names, start=1)]
