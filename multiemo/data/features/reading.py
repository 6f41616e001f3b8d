"""Precomputed features: one clip's rows out of a CSV, ``.npy``, ``.npz`` or ``.safetensors`` file.

CSVs are those of OpenFace (Baltrusaitis et al. 2018) and py-feat (Cheong et al. 2023), one row a frame, or any table
whose first column names clips. Reading checks every value, so that no NaN reaches a model.
"""

from __future__ import annotations

import difflib
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open

from multiemo.errors import ManifestError, MediaError
from multiemo.tables.delimited import separator_of
from multiemo.tables.reading import open_table, text_encoding

if TYPE_CHECKING:
    import polars as pl

_ACTION_UNIT = re.compile(r"AU\d+(_[rc])?")
#: Columns of OpenFace and py-feat that describe the row, not the face.
_BOOKKEEPING = frozenset(
    ("frame", "face_id", "timestamp", "confidence", "success", "input", "approx_time", "FaceScore", "Identity")
)
_SURE = 0.5


@dataclass(frozen=True, slots=True)
class _Table:
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


def read_features(
    path: Path, key: str | None = None, start: float | None = None, end: float | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The features of one clip.

    In a CSV the action-unit columns are taken if there are any, else every column of numbers that does not describe
    the row (frame, timestamp, confidence ...). Rows in which no face was found (``success`` 0, ``confidence`` below
    0.5, or every value empty) are dropped, and of several faces the one with most rows is kept.

    Args:
        path: ``.csv``, ``.npy``, ``.npz`` or ``.safetensors``.
        key: value of a CSV's first column whose rows are wanted, or the name of an array; ``None`` where the file is
            of one clip.
        start, end: seconds; of a CSV with a ``timestamp`` column and no ``key`` only the rows from ``start`` up to
            ``end`` are taken. Everything else is taken to be of the clip already.

    Returns:
        ``[T, dim]`` float32 and the names of the columns. T is 0 where no row with a face was left: the modality is
        absent.

    Raises:
        MediaError: the file is missing, unreadable or of another format, the key is not in it, or a value is not a
            finite number; the message names file, key and column.
    """
    if not path.is_file():
        raise MediaError(f"{path}: no such feature file; correct the path or fetch the file")
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return _from_csv(path, key, start, end)
    if suffix == ".npy":
        if key is not None:
            raise MediaError(f"{path}: a .npy holds one array; leave out the key {key!r}")
        array = _load_numpy(path)
    elif suffix == ".npz":
        array = _from_npz(path, key)
    elif suffix == ".safetensors":
        array = _from_safetensors(path, key)
    else:
        raise MediaError(f"{path}: unknown feature format {path.suffix!r}; use .csv, .npy, .npz or .safetensors")
    return _checked(array, path, key)


def feature_columns(path: Path, key: str | None = None) -> tuple[str, ...]:
    """The names of the columns that :func:`read_features` gives; numbers where the file names none.

    Where a file says them in front (a header line with action units, the shape of an array), its values are not read.

    Raises:
        MediaError: as :func:`read_features`.
    """
    shape: Sequence[int] | None = None
    if path.suffix.lower() == ".csv" and key is None and path.is_file():
        units = tuple(name for name in _header(path) if _ACTION_UNIT.fullmatch(name))
        if units:
            return units
    elif path.suffix.lower() == ".npy" and key is None and path.is_file():
        shape = _load_numpy(path, mapped=True).shape
    elif path.suffix.lower() == ".safetensors" and path.is_file():
        try:
            with safe_open(path, framework="numpy") as archive:
                shape = archive.get_slice(_array_name(path, key, list(archive.keys()))).get_shape()
        except (SafetensorError, OSError) as error:
            raise MediaError(f"{path}: cannot be read as safetensors ({error})") from None
    if shape is None or len(shape) not in (1, 2):
        return read_features(path, key)[1]
    return tuple(map(str, range(shape[-1])))


def _header(path: Path) -> list[str]:
    """The names in the first line of a CSV."""
    try:
        return list(open_table(path).columns)
    except ManifestError as error:
        raise MediaError(str(error)) from None


def _from_csv(
    path: Path, key: str | None, start: float | None, end: float | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    stat = path.stat()
    table = _keyed_table(path, stat.st_mtime_ns, stat.st_size) if key is not None else _table(path, keyed=False)
    if key is None:
        rows = np.arange(len(table.first))
        if "timestamp" in table.bookkeeping and (start is not None or end is not None):
            time = table.bookkeeping["timestamp"]
            rows = rows[(time >= (start or 0.0)) & (time < (np.inf if end is None else end))]
    elif key in table.rows:
        rows = table.rows[key]
    else:
        raise MediaError(f"{path}: no row begins with {key!r}{_near(key, list(table.rows))}")
    rows = _with_face(table, rows, keep_empty=key is not None)
    values = table.values[rows]
    bad = np.argwhere(~np.isfinite(values))
    if bad.size:
        row, column = bad[0]
        where = f"row {rows[row] + 1}" if key is None else f"key {key!r}"
        raise MediaError(
            f"{path}: {where}, column {table.names[column]!r} is {_said(values[row, column])}; "
            "every value must be a finite number"
        )
    return values.astype(np.float32), table.names


def _with_face(table: _Table, rows: np.ndarray, *, keep_empty: bool) -> np.ndarray:
    """Those of ``rows`` in which a face was found with confidence, all of one face."""
    keep = np.ones(len(rows), dtype=bool)
    for column, least in (("success", 1.0), ("confidence", _SURE), ("FaceScore", _SURE)):
        if column in table.bookkeeping:
            keep &= table.bookkeeping[column][rows] >= least
    if not keep_empty:
        keep &= ~np.isnan(table.values[rows]).all(axis=1)
    rows = rows[keep]
    faces = next((table.bookkeeping[c][rows] for c in ("face_id", "Identity") if c in table.bookkeeping), None)
    if faces is not None and len(rows):
        ids, counts = np.unique(faces, return_counts=True)
        rows = rows[faces == ids[counts.argmax()]]
    return rows


@lru_cache(maxsize=8)
def _keyed_table(path: Path, modified: int, size: int) -> _Table:
    """A table of many clips, kept because it is asked once a clip; ``modified`` and ``size`` make a new file new."""
    return _table(path, keyed=True)


def _table(path: Path, *, keyed: bool) -> _Table:
    import polars as pl

    try:
        encoding = text_encoding(path)
        with path.open(encoding=encoding.name, errors=encoding.errors) as file:
            separator = separator_of(file.readline(), path)
            source: Path | StringIO = path
            if not encoding.name.startswith("utf-8") or encoding.errors != "strict":  # Polars reads nothing else
                file.seek(0)
                source = StringIO(file.read())
        frame = pl.read_csv(source, infer_schema=False, separator=separator)
    except ManifestError as error:
        raise MediaError(str(error)) from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise MediaError(f"{path}: cannot be read as a CSV ({str(error).splitlines()[0]})") from None
    frame = frame.select(pl.all().str.strip_chars().replace("", None).name.map(str.strip))
    if separator != ",":
        frame = frame.select(pl.all().str.replace(r"^([-+]?\d+),(\d+)$", "$1.$2"))
    if not frame.height:
        raise MediaError(f"{path}: has no rows below its header; extract the features again")
    numbers = frame.select(pl.all().cast(pl.Float64, strict=False))
    first = frame.columns[0]
    content = [c for c in frame.columns if c not in _BOOKKEEPING and not (keyed and c == first)]
    names = [c for c in content if _ACTION_UNIT.fullmatch(c)]
    if not names:
        names = [c for c in content if numbers[c].null_count() < frame.height]
    if not names:
        raise MediaError(f"{path}: has no column of numbers; its columns: {', '.join(frame.columns[:8])}")
    if not keyed and first not in _BOOKKEEPING and first not in names and frame[first].n_unique() > 1:
        raise MediaError(
            f"{path}: is a table of many clips (its first column {first!r} holds names); give features a key, "
            f"like {frame[first][0]!r}"
        )
    for name in names:
        _refuse_words(path, frame[name], numbers[name])
    labels = frame[first].fill_null("").to_list()
    order: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        order.setdefault(label, []).append(row)
    return _Table(
        names=tuple(names),
        values=numbers.select(names).fill_null(np.nan).to_numpy(),
        bookkeeping=_bookkeeping(frame, numbers),
        first=tuple(labels),
        rows={label: np.array(rows) for label, rows in order.items()},
    )


def _bookkeeping(frame: pl.DataFrame, numbers: pl.DataFrame) -> dict[str, np.ndarray]:
    """The columns that describe rows, as numbers; names of faces (py-feat's ``Identity``) are numbered."""
    columns: dict[str, np.ndarray] = {}
    for name in _BOOKKEEPING.intersection(frame.columns):
        if numbers[name].null_count() < frame.height:
            columns[name] = numbers[name].fill_null(np.nan).to_numpy()
        elif name in ("face_id", "Identity"):
            columns[name] = frame[name].rank("dense").fill_null(0).to_numpy().astype(np.float64)
    return columns


def _refuse_words(path: Path, written: pl.Series, parsed: pl.Series) -> None:
    words = written.filter(written.is_not_null() & parsed.is_null())
    if len(words):
        raise MediaError(f"{path}: column {written.name!r} holds {words[0]!r}, which is not a number")


def _load_numpy(path: Path, *, mapped: bool = False) -> np.ndarray:
    try:
        loaded = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise MediaError(f"{path}: cannot be read as a NumPy array ({str(error).splitlines()[0]})") from None
    if not isinstance(loaded, np.ndarray):
        raise MediaError(f"{path}: holds several arrays under the name of one; call it .npz and give a key")
    return loaded


def _from_npz(path: Path, key: str | None) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as archive:
            array: np.ndarray = archive[_array_name(path, key, list(archive.files))]
    except (ValueError, OSError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise MediaError(f"{path}: cannot be read as an .npz archive ({str(error).splitlines()[0]})") from None
    return array


def _from_safetensors(path: Path, key: str | None) -> np.ndarray:
    try:
        with safe_open(path, framework="numpy") as archive:
            array: np.ndarray = archive.get_tensor(_array_name(path, key, list(archive.keys())))
    except (SafetensorError, OSError, TypeError) as error:
        raise MediaError(f"{path}: cannot be read as safetensors ({error})") from None
    return array


def _array_name(path: Path, key: str | None, names: list[str]) -> str:
    if key is None:
        if len(names) != 1:
            listed = ", ".join(sorted(names)[:5])
            raise MediaError(f"{path}: holds {len(names)} arrays; give features a key, one of: {listed}")
        return names[0]
    if key not in names:
        raise MediaError(f"{path}: holds no array {key!r}{_near(key, names)}")
    return key


def _checked(array: np.ndarray, path: Path, key: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    where = f"{path}" if key is None else f"{path}: key {key!r}"
    if array.dtype.kind not in "fiub":
        raise MediaError(f"{where}: holds {array.dtype}, not numbers")
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise MediaError(f"{where}: has the shape {list(array.shape)}; it must be [dim] or [T, dim]")
    values = array.astype(np.float32)
    bad = np.argwhere(~np.isfinite(values))
    if bad.size:
        row, column = bad[0]
        raise MediaError(
            f"{where}: row {row + 1}, column {column} is {_said(array[row, column])}; "
            "every value must be a finite number"
        )
    return values, tuple(str(column) for column in range(values.shape[1]))


def _said(value: float) -> str:
    return "empty or NaN" if np.isnan(value) else f"{value}"


def _near(key: str, names: list[str]) -> str:
    """A hint at the key that was meant; only the first few thousand names are compared."""
    close = difflib.get_close_matches(key, names[:5000], n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    more = ", ..." if len(names) > 3 else ""
    return f"{hint} it has {len(names)}: {', '.join(names[:3])}{more}"
