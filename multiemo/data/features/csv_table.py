"""CSVs of features as they lie in the file: which columns are features, which describe the row, which rows a clip has.

Polars does not read them: its thread pool hangs in a worker process that was forked after its first use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.errors import ManifestError, MediaError
from multiemo.tables.delimited import BadRow
from multiemo.tables.reading import open_table

#: Names of facial action units, as OpenFace and py-feat write them.
ACTION_UNIT = re.compile(r"AU\d+(_[rc])?")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
#: Columns of OpenFace and py-feat that describe the row, not the face.
_BOOKKEEPING = frozenset(
    ("frame", "face_id", "timestamp", "confidence", "success", "input", "approx_time", "FaceScore", "Identity")
)


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """A CSV read once.

    Args:
        names: of the feature columns.
        values: ``[rows, dim]`` float64; NaN where a cell was empty or said so.
        bookkeeping: {column: ``[rows]`` float64} of those that hold numbers.
        first: the first column as text.
        rows: {value of the first column: its rows}.
    """

    names: tuple[str, ...]
    values: np.ndarray
    bookkeeping: dict[str, np.ndarray]
    first: tuple[str, ...]
    rows: dict[str, np.ndarray]


@lru_cache(maxsize=8)
def keyed_table(path: Path, modified: int, size: int) -> FeatureTable:
    """A table of many clips, kept in memory because every clip reads it.

    Args:
        path: the CSV.
        modified, size: of the file (nanoseconds, bytes), so that a changed file is read again.
    """
    return feature_table(path, keyed=True)


def feature_table(path: Path, *, keyed: bool) -> FeatureTable:
    """Read a CSV.

    Args:
        path: the CSV.
        keyed: its first column names clips; else the file belongs to one clip.

    Raises:
        MediaError: it is not a CSV, has no rows, or a feature column holds something other than numbers.
    """
    cells = _cells(path)
    numbers = {name: _numbers(column) for name, column in cells.items()}
    height = len(next(iter(cells.values()), []))
    if not height:
        raise MediaError(f"{path}: has no rows below its header; extract the features again")
    first = next(iter(cells))
    content = [c for c in cells if c not in _BOOKKEEPING and not (keyed and c == first)]
    names = [c for c in content if ACTION_UNIT.fullmatch(c)]
    if not names:
        names = [c for c in content if numbers[c].parsed.any()]
    if not names:
        raise MediaError(f"{path}: has no column of numbers; its columns: {', '.join(list(cells)[:8])}")
    if not keyed and first not in _BOOKKEEPING and first not in names and len(set(cells[first])) > 1:
        raise MediaError(
            f"{path}: is a table of many clips (its first column {first!r} holds names); give features a key, "
            f"like {cells[first][0]!r}"
        )
    for name in names:
        _refuse_words(path, name, cells[name], numbers[name].parsed)
    labels = tuple(cell or "" for cell in cells[first])
    order: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        order.setdefault(label, []).append(row)
    return FeatureTable(
        names=tuple(names),
        values=np.stack([numbers[name].values for name in names], axis=1),
        bookkeeping=_bookkeeping(cells, numbers),
        first=labels,
        rows={label: np.array(rows) for label, rows in order.items()},
    )


def _cells(path: Path) -> dict[str, list[str | None]]:
    """{column: its cells without spaces around them}; ``None`` is an empty cell.

    Raises:
        MediaError: the file cannot be read as a CSV, or one of its rows is broken.
    """
    try:
        table = open_table(path)
        columns: dict[str, list[str | None]] = {name: [] for name in table.columns}
        for row in table.rows:
            if isinstance(row, BadRow):
                raise MediaError(f"{path}: cannot be read as a CSV ({row.place}: {row.reason})")
            for name, column in columns.items():
                cell = row[name]
                column.append((cell.strip() or None) if cell is not None else None)
    except ManifestError as error:
        raise MediaError(f"{path}: cannot be read as a CSV ({str(error).removeprefix(f'{path}: ')})") from None
    return columns


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The cells of a column as numbers.

    Args:
        values: ``[rows]``; NaN where a cell is empty, is no number, or says NaN.
        parsed: ``[rows]`` bool: whether the cell is a number, or says NaN.
    """

    values: Array
    parsed: NDArray[np.bool_]


def _numbers(cells: Sequence[str | None]) -> _Numbers:
    """Numbers with a decimal point, or a decimal comma where commas do not separate the cells."""
    try:
        values = np.array(["nan" if cell is None else cell for cell in cells], dtype=np.float64)
        return _Numbers(values, np.array([cell is not None for cell in cells], dtype=bool))
    except ValueError:
        found = [_number(cell) for cell in cells]
        values = np.array([np.nan if number is None else number for number in found], dtype=np.float64)
        return _Numbers(values, np.array([number is not None for number in found], dtype=bool))


def _number(cell: str | None) -> float | None:
    """The number that a cell holds; ``None`` where it is empty or holds something else."""
    if cell is None:
        return None
    if _DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    try:
        return float(cell)
    except ValueError:
        return None


def _bookkeeping(cells: Mapping[str, Sequence[str | None]], numbers: Mapping[str, _Numbers]) -> dict[str, Array]:
    """The columns that describe rows, as numbers; names of faces (py-feat's ``Identity``) are numbered."""
    columns: dict[str, Array] = {}
    for name in _BOOKKEEPING.intersection(cells):
        if numbers[name].parsed.any():
            columns[name] = numbers[name].values
        elif name in ("face_id", "Identity"):
            known = {cell: number for number, cell in enumerate(sorted({c for c in cells[name] if c is not None}), 1)}
            columns[name] = np.array([0 if cell is None else known[cell] for cell in cells[name]], dtype=np.float64)
    return columns


def _refuse_words(path: Path, name: str, cells: Sequence[str | None], parsed: NDArray[np.bool_]) -> None:
    word = next((cell for cell, number in zip(cells, parsed, strict=True) if cell is not None and not number), None)
    if word is not None:
        raise MediaError(f"{path}: column {name!r} holds {word!r}, which is not a number")
