"""Manifests: JSONL or Parquet, one row a clip, read and written row by row, checked at two depths.

Paths in a manifest are relative to its folder and stay inside it, so a folder with its manifest can be moved or copied.
The rules of a row are in :mod:`multiemo.data.rows`.
"""

from __future__ import annotations

import codecs
import gc
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from multiemo.data.places import Places
from multiemo.data.rows import MEDIA_KEYS, RowError, format_row, parse_row
from multiemo.errors import ManifestError, MediaError
from multiemo.files import draft
from multiemo.types import DIMENSIONS, Clip

if TYPE_CHECKING:
    import polars as pl

#: Opens a media file far enough to know that it can be decoded; raises MediaError.
Probe = Callable[[Path, Literal["audio", "video", "image"]], object]

_JSONL = (".jsonl", ".ndjson")
_FORMATS = f"{', '.join(_JSONL)} or .parquet"
#: Seconds that a span may end after its file.
BEYOND = 0.5
#: Rows of a Parquet file that are held as columns at once.
_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one row.

    Args:
        row: counted from 1; in JSONL the line.
        id: of the clip, or ``None`` where the row names none.
        message: which key, which value, what to do.
    """

    row: int
    id: str | None
    message: str

    def __str__(self) -> str:
        clip = "" if self.id is None else f" (clip {self.id!r})"
        return f"row {self.row}{clip}: {self.message}"


def media_path(clip_path: str, folder: Path) -> Path:
    """Where a path of a row lies.

    A manifest may come from another system: where a path with backslashes or letters beyond ASCII leads to no file, the
    one that is meant is found (Windows' separators, Unicode forms).

    Args:
        clip_path: as the row has it, relative.
        folder: the manifest's folder.

    Example:
        >>> media_path("audio/a.wav", Path("corpus")).as_posix()
        'corpus/audio/a.wav'
    """
    path = folder / clip_path
    if ("\\" in clip_path or not clip_path.isascii()) and not os.path.exists(path):
        return _places(folder).spelled(clip_path) or path
    return path


@lru_cache(maxsize=16)
def _places(folder: Path) -> Places:
    return Places([folder])


def read_manifest(path: Path) -> list[Clip]:
    """Every clip of a manifest, in order.

    Args:
        path: ``.jsonl`` (or ``.ndjson``) or ``.parquet``.

    Raises:
        ManifestError: the file is missing, unreadable or without rows, or a row breaks a rule; the message names the
            file, the first bad row, its clip, key and value, and counts the further bad rows.
    """
    clips, problems = split_manifest(path)
    if problems:
        raise ManifestError(said_of(path, problems))
    return clips


def split_manifest(path: Path) -> tuple[list[Clip], list[Problem]]:
    """The clips of the good rows of a manifest, and what is wrong with the others, each in order.

    Args:
        path: as for :func:`read_manifest`.

    Raises:
        ManifestError: the file is missing, unreadable or without rows.
    """
    clips: list[Clip] = []
    problems: list[Problem] = []
    with _no_collecting():
        for _, found in _scan(path):
            if isinstance(found, Clip):
                clips.append(found)
            else:
                problems.append(found)
    if not clips and not problems:
        raise ManifestError(f"{path}: has no rows; write one JSON object a clip")
    return clips, problems


def said_of(path: Path, problems: Sequence[Problem]) -> str:
    """The first bad row of a manifest, and how many more there are."""
    bad = len(problems)
    more = f" (and {bad - 1} more bad rows; `multiemo validate` lists them)" if bad > 1 else ""
    return f"{path}, {problems[0]}{more}"


def check_rows(path: Path) -> list[Problem]:
    """Every row of a manifest that breaks a rule (the first rule it breaks), in order.

    Raises:
        ManifestError: the file itself is missing, unreadable or of another format.
    """
    return [found for _, found in _scan(path) if isinstance(found, Problem)]


def check_media(
    path: Path, probe: Probe | None = None, on_progress: Callable[[int, int], None] | None = None
) -> list[Problem]:
    """Open every file that the good rows of a manifest name; each file once.

    Args:
        path: the manifest. Rows that :func:`check_rows` would list are passed over here.
        probe: opens one media file; default is ``multiemo.data.media.probe``.
        on_progress: called with (rows done, rows in all) after every row.

    Returns:
        One problem for each key of each row whose file is missing or cannot be read, or whose span does not lie in it.

    Raises:
        ManifestError: the manifest itself is missing, unreadable or of another format.
    """
    from multiemo.data.feature_columns import kinds_of  # numpy and safetensors are needed only at this depth
    from multiemo.data.features import read_features

    if probe is None:
        from multiemo.data.media import probe as media_probe  # PyAV is needed only at this depth

        probe = media_probe
    folder = path.parent
    opened: dict[tuple[Path, str], str | float | None] = {}
    problems: list[Problem] = []
    columns: dict[str, list[tuple[int, str, tuple[str, ...]]]] = {}
    rows = [(row, found) for row, found in _scan(path) if isinstance(found, Clip)]
    for done, (row, clip) in enumerate(rows, start=1):
        for kind in MEDIA_KEYS:
            name = getattr(clip, kind)
            if name is None:
                continue
            file = media_path(name, folder)
            if (file, kind) not in opened:
                opened[file, kind] = _opened(probe, file, kind)
            known = opened[file, kind]
            trouble = known if isinstance(known, str) else span_trouble(known, clip.start, clip.end)
            if trouble is not None:
                problems.append(Problem(row, clip.id, f"{kind} {name!r}: {trouble}"))
        for modality, ref in clip.features.items():
            try:
                _, names = read_features(media_path(ref.path, folder), ref.key, clip.start, clip.end)
                columns.setdefault(modality, []).append((row, clip.id, names))
            except Exception as error:
                problems.append(Problem(row, clip.id, f"features.{modality}: {_reason(error)}"))
        if on_progress is not None:
            on_progress(done, len(rows))
    for modality, found in columns.items():
        most, *others = kinds_of((name, names) for _, name, names in found)
        for row, name, names in found:
            if others and names != most.columns:
                problems.append(Problem(row, name, f"features.{modality}: has {len(names)} columns; {most}"))
    return problems


def judge(clip: Clip, row: int, seen: dict[str, int]) -> Problem | None:
    """Which rule of a manifest a clip breaks, if any.

    Args:
        row: its number.
        seen: {id: row} of the clips before it; gets its own.
    """
    values = format_row(clip)
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return Problem(row, None, "holds half of a surrogate pair, which is no text; write the character whole")
    found = _judge(values, row, seen)
    return found if isinstance(found, Problem) else None


def write_manifest(clips: Sequence[Clip], path: Path) -> None:
    """Write a manifest whole or not at all; what is written can be read again.

    Args:
        clips: at least one; checked by the same rules as on reading.
        path: ``.jsonl`` (absent keys are missing) or ``.parquet`` (absent values are null). Its folder must exist.

    Raises:
        ManifestError: a clip breaks a rule, two share an id, there are none, or the file cannot be written.
    """
    if not clips:
        raise ManifestError(f"{path}: not written: there are no clips")
    suffix = _suffix(path)
    rows = _checked(clips, path)
    with draft(path, error=ManifestError) as made:
        if suffix == ".parquet":
            schema = _schema(rows)
            _columns(clips, schema).write_parquet(made, row_group_size=_ROWS)
        else:
            with made.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Clips hold no cycles; looking for cycles among a million of them takes as long as reading them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _checked(clips: Iterable[Clip], path: Path) -> Iterator[dict[str, Any]]:
    """The row of every clip; raises where one breaks a rule."""
    seen: dict[str, int] = {}
    for number, clip in enumerate(clips, start=1):
        row = format_row(clip)
        found = _judge(row, number, seen)
        if isinstance(found, Problem):
            raise ManifestError(f"{path}: not written: {found}")
        yield row


def _columns(clips: Iterable[Clip], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """The rows as columns; only some are objects of Python at a time."""
    import polars as pl  # JSONL does without

    rows = map(format_row, clips)
    parts: list[pl.DataFrame] = []
    while some := list(islice(rows, _ROWS)):
        parts.append(pl.DataFrame(some, schema=schema))
    return pl.concat(parts, rechunk=False)


def _opened(probe: Probe, file: Path, kind: Any) -> str | float | None:
    """Why ``file`` cannot be used, or its duration in seconds, where it says one."""
    if not os.path.isfile(file):
        return "is a folder; name a file" if os.path.isdir(file) else "no such file; correct the path or fetch the file"
    try:
        duration: float | None = getattr(probe(file, kind), "duration", None)
    except Exception as error:
        return _reason(error)
    return duration


def span_trouble(duration: float | None, start: float | None, end: float | None) -> str | None:
    """Why a span does not lie within a file, or ``None``; it may end a little later, since annotators round up.

    Args:
        duration: of the file, seconds; ``None`` where it does not say, 0 for a still.
        start, end: of the span, seconds.

    Example:
        >>> span_trouble(3.2, 1200.0, 2800.0)
        'start 1200 s is after its end (3.2 s); correct the span (seconds)'
        >>> span_trouble(3.2, 1.0, 3.5) is None
        True
    """
    late = [("start", start, 0.0), ("end", end, BEYOND)]
    for key, time, more in late if duration else ():
        if time is not None and time > (duration or 0.0) + more:
            return f"{key} {time:g} s is after its end ({duration:g} s); correct the span (seconds)"
    return None


def _reason(error: Exception) -> str:
    """What to say of one file; whatever is wrong with it, the others are looked at all the same."""
    if isinstance(error, MediaError):
        return str(error)
    return f"cannot be opened, by a defect of multiemo or a library ({type(error).__name__}: {error})"


def _suffix(path: Path) -> str:
    if os.path.isdir(path):
        raise ManifestError(f"{path}: is a folder; name a manifest")
    suffix = path.suffix.lower()
    if suffix not in (*_JSONL, ".parquet"):
        raise ManifestError(f"{path}: unknown manifest format {path.suffix!r}; use {_FORMATS}")
    return suffix


def _scan(path: Path) -> Iterator[tuple[int, Clip | Problem]]:
    """Every row with its number, judged."""
    suffix = _suffix(path)
    if not os.path.isfile(path):
        raise ManifestError(f"{path}: no such file; name a manifest")
    seen: dict[str, int] = {}
    for number, row in _parquet_rows(path) if suffix == ".parquet" else _json_rows(path):
        yield number, row if isinstance(row, Problem) else _judge(row, number, seen)


def _judge(row: object, number: int, seen: dict[str, int]) -> Clip | Problem:
    """The clip of a row, or what is wrong with it; ``seen`` collects id -> row."""
    try:
        clip = parse_row(row)
    except RowError as error:
        name = row.get("id") if isinstance(row, dict) else None
        return Problem(number, name if isinstance(name, str) else None, str(error))
    other = seen.setdefault(clip.id, number)
    if other != number:
        return Problem(number, clip.id, f"id {clip.id!r} is that of row {other} too; every id must be unique")
    return clip


def _json_rows(path: Path) -> Iterator[tuple[int, object]]:
    try:
        for number, raw in enumerate(_lines(path), start=1):
            if not raw.strip():
                continue
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                row = json.loads(line)
                if "\\ud" in line or "\\uD" in line:  # an escaped half of a surrogate pair is no text
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
    """The lines of a file in UTF-8; one that says by its mark that it is UTF-16 (PowerShell's) is read as that."""
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
            some = table.slice(number, _ROWS).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise ManifestError(f"{path}: is not a Parquet file ({reason}); write it again") from None
        if some.is_empty():
            return
        for row in some.iter_rows(named=True):
            number += 1
            yield number, _without_nulls(row)


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    """``values`` without null entries, also inside objects; a column of objects holds null for every absent key."""
    kept: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            value = _without_nulls(value) or None
        if value is not None:
            kept[key] = value
    return kept


def _schema(rows: Iterable[dict[str, Any]]) -> dict[str, pl.DataType]:
    """Column types for the keys that occur; objects become structs over all of their keys."""
    import polars as pl

    inner: dict[str, dict[str, None]] = {}
    for row in rows:
        for key, value in row.items():
            names = inner.setdefault(key, {})
            if isinstance(value, dict):
                names.update(dict.fromkeys(value))
    reference = pl.Struct({"path": pl.String, "key": pl.String})
    types: dict[str, pl.DataType] = {}
    for key, names in inner.items():
        if key in ("features", "votes", "modality_labels"):
            item: Any = {"features": reference, "votes": pl.Float64, "modality_labels": pl.String}[key]
            types[key] = pl.Struct(dict.fromkeys(names, item))
        elif key == "labels":
            types[key] = pl.List(pl.String)
        elif key == "cropped":
            types[key] = pl.Boolean()
        else:
            types[key] = pl.Float64() if key in ("start", "end", *DIMENSIONS) else pl.String()
    return types
