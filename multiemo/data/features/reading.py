"""Precomputed features: one clip's rows out of a CSV, ``.npy``, ``.npz`` or ``.safetensors`` file.

CSVs are those of OpenFace (Baltrusaitis et al. 2018) and py-feat (Cheong et al. 2023), one row a frame, or any table
whose first column names clips. Reading checks every value, so that no NaN reaches a model.
"""

from __future__ import annotations

import difflib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from multiemo.data.features.csv_table import ACTION_UNIT, FeatureTable, feature_table, keyed_table
from multiemo.errors import ManifestError, MediaError, first_line
from multiemo.media.limits import too_much
from multiemo.tables.reading import open_table

_SURE = 0.5


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
        units = tuple(name for name in _header(path) if ACTION_UNIT.fullmatch(name))
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
    table = keyed_table(path, stat.st_mtime_ns, stat.st_size) if key is not None else feature_table(path, keyed=False)
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


def _with_face(table: FeatureTable, rows: np.ndarray, *, keep_empty: bool) -> np.ndarray:
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


def _load_numpy(path: Path, *, mapped: bool = False) -> np.ndarray:
    try:
        loaded = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except Exception as error:  # a damaged header can raise nearly anything
        raise MediaError(f"{path}: cannot be read as a NumPy array ({first_line(error)})") from None
    if not isinstance(loaded, np.ndarray):
        raise MediaError(f"{path}: holds several arrays under the name of one; call it .npz and give a key")
    return loaded


def _from_npz(path: Path, key: str | None) -> np.ndarray:
    try:
        _check_archive(path)
        with np.load(path, allow_pickle=False) as archive:
            array: np.ndarray = archive[_array_name(path, key, list(archive.files))]
    except MediaError:
        raise
    except Exception as error:  # a damaged archive can raise nearly anything
        raise MediaError(f"{path}: cannot be read as an .npz archive ({first_line(error)})") from None
    return array


def _check_archive(path: Path) -> None:
    """Refuse an archive whose arrays would not fit into memory: zeros compress to a thousandth.

    Raises:
        MediaError: the limit is exceeded.
    """
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if reason := too_much(size, "its arrays"):
        raise MediaError(f"{path}: {reason}")


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
