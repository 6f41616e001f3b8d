"""Manifests: one row a clip, read, judged and written.

Paths in a manifest are relative to its folder and stay inside it, so a folder with its manifest can be moved or copied.
The rules of a row are in :mod:`multiemo.data.manifest.rows`.
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
from multiemo.data.media_paths import Places
from multiemo.errors import ManifestError
from multiemo.files import draft
from multiemo.types import Clip


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
        for _, found in scan_manifest(path):
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
    suffix = format_of(path)
    rows = _checked(clips, path)
    with draft(path, error=ManifestError) as made:
        if suffix == ".parquet":
            write_parquet(clips, rows, made)
        else:
            write_jsonl(rows, made)


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


def scan_manifest(path: Path) -> Iterator[tuple[int, Clip | Problem]]:
    """Every row of a manifest with its number, judged.

    Raises:
        ManifestError: the file is missing, unreadable or of another format.
    """
    seen: dict[str, int] = {}
    for number, row in file_rows(path):
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
