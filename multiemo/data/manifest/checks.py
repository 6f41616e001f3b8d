"""A manifest checked at two depths: its rows alone, or every file that they name as well."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from multiemo.data.manifest.formats import Problem
from multiemo.data.manifest.reading import media_path, scan_manifest
from multiemo.data.manifest.rows import MEDIA_KEYS
from multiemo.errors import MediaError
from multiemo.progress import Progress
from multiemo.types import Clip

#: Opens a media file far enough to know that it can be decoded; raises MediaError.
Probe = Callable[[Path, Literal["audio", "video", "image"]], object]

#: Seconds that a span may end after its file.
BEYOND = 0.5


def check_rows(path: Path) -> list[Problem]:
    """Every row of a manifest that breaks a rule (the first rule it breaks), in order.

    Raises:
        ManifestError: the file itself is missing, unreadable or of another format.
    """
    return [found for _, found in scan_manifest(path) if isinstance(found, Problem)]


def check_media(path: Path, probe: Probe | None = None, progress: Progress | None = None) -> list[Problem]:
    """Open every file that the good rows of a manifest name; each file once.

    Args:
        path: the manifest. Rows that :func:`check_rows` would list are passed over here.
        probe: opens one media file; default is ``multiemo.media.reading.probe``.
        progress: told the rows done, after every row.

    Returns:
        One problem for each key of each row whose file is missing or cannot be read, or whose span does not lie in it.

    Raises:
        ManifestError: the manifest itself is missing, unreadable or of another format.
    """
    from multiemo.data.features.columns import kinds_of  # numpy and safetensors are needed only at this depth
    from multiemo.data.features.reading import read_features

    if probe is None:
        from multiemo.media.reading import probe as media_probe  # PyAV is needed only at this depth

        probe = media_probe
    folder = path.parent
    opened: dict[tuple[Path, str], str | float | None] = {}
    problems: list[Problem] = []
    columns: dict[str, list[tuple[int, str, tuple[str, ...]]]] = {}
    rows = [(row, found) for row, found in scan_manifest(path) if isinstance(found, Clip)]
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
        if progress is not None:
            progress.update(done, len(rows))
    for modality, found in columns.items():
        most, *others = kinds_of((name, names) for _, name, names in found)
        for row, name, names in found:
            if others and names != most.columns:
                problems.append(Problem(row, name, f"features.{modality}: has {len(names)} columns; {most}"))
    return problems


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
