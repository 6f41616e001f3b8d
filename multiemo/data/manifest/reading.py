"""Read, validate and write manifests: one row per clip.

Paths in a manifest are relative to its folder and stay inside it, so a folder can be moved or copied together with its
manifest. :mod:`multiemo.data.manifest.rows` defines the rules of a row.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from multiemo.data.manifest.formats import Problem, file_rows, format_of, write_jsonl, write_parquet
from multiemo.data.manifest.rows import RowError, format_row, parse_row
from multiemo.data.media_paths import FileFinder
from multiemo.errors import ManifestError
from multiemo.files import draft
from multiemo.types import Clip


def media_path(clip_path: str, folder: Path) -> Path:
    """Resolve a path of a manifest row.

    A manifest may come from another system. If a path with backslashes or non-ASCII characters does not exist, a file
    that differs only in its separators, case or Unicode form is used instead.

    Args:
        clip_path: relative path, as written in the row.
        folder: the manifest's folder.

    Example:
        >>> media_path("audio/a.wav", Path("corpus")).as_posix()
        'corpus/audio/a.wav'
    """
    path = folder / clip_path
    if ("\\" in clip_path or not clip_path.isascii()) and not os.path.exists(path):
        return _file_finder(folder).find_respelled(clip_path) or path
    return path


@lru_cache(maxsize=16)
def _file_finder(folder: Path) -> FileFinder:
    return FileFinder([folder])


def read_manifest(path: Path) -> list[Clip]:
    """Read all clips of a manifest, in order.

    Args:
        path: ``.jsonl`` (or ``.ndjson``) or ``.parquet``.

    Raises:
        ManifestError: the file is missing, unreadable or empty, or a row is invalid. The message names the file, the
            first invalid row, its clip, key and value, and the number of other invalid rows.
    """
    clips, problems = split_manifest(path)
    if problems:
        raise ManifestError(problems_message(path, problems))
    return clips


def split_manifest(path: Path) -> tuple[list[Clip], list[Problem]]:
    """Read the clips of the valid rows and the problems of the invalid ones, each in row order.

    Args:
        path: as for :func:`read_manifest`.

    Raises:
        ManifestError: the file is missing, unreadable or empty.
    """
    clips: list[Clip] = []
    problems: list[Problem] = []
    with _garbage_collection_paused():
        for _, found in scan_manifest(path):
            if isinstance(found, Clip):
                clips.append(found)
            else:
                problems.append(found)
    if not clips and not problems:
        raise ManifestError(f"{path}: has no rows; write one JSON object per clip")
    return clips, problems


def problems_message(path: Path, problems: Sequence[Problem]) -> str:
    """Format the first invalid row of a manifest and the number of others as an error message."""
    bad = len(problems)
    more = f" (and {bad - 1} more bad rows; `multiemo validate` lists them)" if bad > 1 else ""
    return f"{path}, {problems[0]}{more}"


def check_clip(clip: Clip, row: int, seen: dict[str, int]) -> Problem | None:
    """Return the rule of a manifest that a clip breaks, or ``None``.

    Args:
        clip: the clip to check.
        row: its row number, numbered from 1.
        seen: {id: row} of the preceding clips; the id of this clip is added.
    """
    values = format_row(clip)
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return Problem(row, None, "contains a lone surrogate, which is not valid text; write the whole character")
    found = _parse(values, row, seen)
    return found if isinstance(found, Problem) else None


def write_manifest(clips: Sequence[Clip], path: Path) -> None:
    """Write a manifest atomically. :func:`read_manifest` can read every manifest written here.

    Args:
        clips: at least one; validated by the same rules as on reading.
        path: ``.jsonl`` (absent keys are omitted) or ``.parquet`` (absent values are null). Its folder must exist.

    Raises:
        ManifestError: there are no clips, a clip is invalid, two clips share an id, or the file cannot be written.
    """
    if not clips:
        raise ManifestError(f"{path}: not written: there are no clips")
    suffix = format_of(path)
    rows = _checked(clips, path)
    with draft(path, error=ManifestError) as made:
        if suffix == ".parquet":
            write_parquet(clips, rows, made)
        else:
            write_jsonl(rows, made)


@contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Disable garbage collection: clips contain no cycles, and scanning a million takes as long as reading them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _checked(clips: Iterable[Clip], path: Path) -> Iterator[dict[str, Any]]:
    """Yield the row of every clip; raise ManifestError at the first invalid one."""
    seen: dict[str, int] = {}
    for number, clip in enumerate(clips, start=1):
        row = format_row(clip)
        found = _parse(row, number, seen)
        if isinstance(found, Problem):
            raise ManifestError(f"{path}: not written: {found}")
        yield row


def scan_manifest(path: Path) -> Iterator[tuple[int, Clip | Problem]]:
    """Yield (row number, clip) for every valid row and (row number, problem) for every other.

    Raises:
        ManifestError: the file is missing, unreadable or in an unknown format.
    """
    seen: dict[str, int] = {}
    for number, row in file_rows(path):
        yield number, row if isinstance(row, Problem) else _parse(row, number, seen)


def _parse(row: object, number: int, seen: dict[str, int]) -> Clip | Problem:
    """Return the clip of a row, or its problem; the id is added to ``seen`` ({id: row})."""
    try:
        clip = parse_row(row)
    except RowError as error:
        name = row.get("id") if isinstance(row, dict) else None
        return Problem(number, name if isinstance(name, str) else None, str(error))
    other = seen.setdefault(clip.id, number)
    if other != number:
        return Problem(number, clip.id, f"id {clip.id!r} is also the id of row {other}; ids must be unique")
    return clip
