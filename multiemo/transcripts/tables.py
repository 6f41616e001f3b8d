"""Read tables of words: CSV and TSV with the columns start, end and text, as Whisper and whisper.cpp write them.

Whisper counts milliseconds, which is found out later; see :mod:`multiemo.transcripts.fitting`.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from itertools import pairwise

from multiemo.transcripts.cues import CaptionFile, RawCue, time_of

_COLUMNS = {"start", "end", "text"}
_DELIMITERS = "\t;,"
#: A quoted cell in which all quotes are doubled.
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')


def read_table(text: str) -> CaptionFile | None:
    """Parse a table to raw cues; ``None`` if its first line does not name the columns start, end and text.

    The columns may have any order, and there may be others; ``speaker`` is read, too. Times are numbers or timestamps.
    """
    for delimiter in _DELIMITERS:
        rows = _rows(text, delimiter)
        try:
            names = [name.strip().lower() for name in next(rows, [])]
        except csv.Error:
            continue
        if set(names) >= _COLUMNS:
            return _cues(names, rows, delimiter)
    return None


def is_table(text: str) -> bool:
    """Whether a text looks like a table with times, whatever its columns are called.

    Every line has at least three cells, and in all lines but the first, the same two of them are a start and an end.

    Example:
        >>> is_table("begin;end;said\\n0.0;00:01.5;Well"), is_table("One, two, three.\\nAnd three, two, one.")
        (True, False)
    """
    lines = [line for line in text.split("\n") if line.strip()]
    return len(lines) > 1 and any(_has_time_columns(lines, delimiter) for delimiter in _DELIMITERS)


def _has_time_columns(lines: list[str], delimiter: str) -> bool:
    if lines[0].count(delimiter) < 2:
        return False
    found: set[int] | None = None
    for line in lines[1:]:
        cells = line.split(delimiter)
        times = pairwise(time_of(cell.strip().strip('"')) for cell in cells)
        spans = {place for place, (start, end) in enumerate(times) if start <= end}
        found = spans if found is None else found & spans
        if len(cells) < 3 or not found:
            return False
    return True


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Yield the rows of a table.

    Whisper does not quote the cells of a TSV file, so a quote in them is part of the text unless it encloses the cell.

    Raises:
        csv.Error: a cell is longer than any text; a quote in it is not closed.
    """
    file = io.StringIO(text, newline="")
    if delimiter != "\t":
        yield from csv.reader(file, delimiter=delimiter)
        return
    for row in csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_NONE):
        yield [_unquoted(cell.strip()) for cell in row]


def _unquoted(cell: str) -> str:
    quoted = _QUOTED.fullmatch(cell)
    return cell if quoted is None else quoted[1].replace('""', '"')


def _cues(names: list[str], rows: Iterator[list[str]], delimiter: str) -> CaptionFile:
    """Return the cues of the rows after the first. Cells beyond the last column belong to it if it is the text."""
    raws: list[RawCue] = []
    notes: list[str] = []
    broken = 0
    last = len(names) - 1
    try:
        for row in filter(None, rows):
            if names[last] == "text":
                row = [*row[:last], delimiter.join(row[last:])]
            cells = dict(zip(names, row, strict=False))
            start, end = time_of(cells.get("start")), time_of(cells.get("end"))
            if math.isnan(start) or math.isnan(end):
                broken += 1
                continue
            raws.append(RawCue(start, end, cells.get("text", "").split("\n"), cells.get("speaker", "").strip() or None))
    except csv.Error:
        notes.append(f"the table is damaged after row {len(raws) + broken}, and the rest was left out")
    if broken:
        notes.append(f"{broken} row(s) whose times cannot be read were left out")
    return CaptionFile(raws, notes)
