"""Validate a manifest at two depths: the rows alone, or also every file that they name."""

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

#: Opens a media file to check that it can be decoded; raises MediaError if not.
Probe = Callable[[Path, Literal["audio", "video", "image"]], object]

#: Seconds by which the end of a span may exceed the duration of its file.
SPAN_TOLERANCE_S = 0.5


def check_rows(path: Path) -> list[Problem]:
    """Return the problems of a manifest, in row order: the first rule that each invalid row breaks.

    Raises:
        ManifestError: the manifest is missing, unreadable or in an unknown format.
    """
    return [found for _, found in scan_manifest(path) if isinstance(found, Problem)]


def check_media(path: Path, probe: Probe | None = None, progress: Progress | None = None) -> list[Problem]:
    """Open every file that the valid rows of a manifest name. Each file is opened once.

    Args:
        path: the manifest. Rows that :func:`check_rows` would report are skipped.
        probe: opens one media file; the default is ``multiemo.media.reading.probe``.
        progress: updated after every row.

    Returns:
        One problem for each key of a row whose file is missing or unreadable, or whose span lies outside the file.

    Raises:
        ManifestError: the manifest is missing, unreadable or in an unknown format.
    """
    from multiemo.data.features.columns import kinds_of  # numpy and safetensors are needed only at this depth
    from multiemo.data.features.reading import read_features

    if probe is None:
        from multiemo.media.reading import probe as media_probe  # PyAV is needed only at this depth

        probe = media_probe
    folder = path.parent
    probed: dict[tuple[Path, str], str | float | None] = {}
    problems: list[Problem] = []
    columns: dict[str, list[tuple[int, str, tuple[str, ...]]]] = {}
    rows = [(row, found) for row, found in scan_manifest(path) if isinstance(found, Clip)]
    for done, (row, clip) in enumerate(rows, start=1):
        for kind in MEDIA_KEYS:
            name = getattr(clip, kind)
            if name is None:
                continue
            file = media_path(name, folder)
            if (file, kind) not in probed:
                probed[file, kind] = _probe_file(probe, file, kind)
            known = probed[file, kind]
            reason = known if isinstance(known, str) else span_trouble(known, clip.start, clip.end)
            if reason is not None:
                problems.append(Problem(row, clip.id, f"{kind} {name!r}: {reason}"))
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


def _probe_file(probe: Probe, file: Path, kind: Any) -> str | float | None:
    """Return why ``file`` cannot be used, else its duration in seconds (``None`` if unknown)."""
    if not os.path.isfile(file):
        return "is a folder; name a file" if os.path.isdir(file) else "no such file; correct the path or fetch the file"
    try:
        duration: float | None = getattr(probe(file, kind), "duration", None)
    except Exception as error:
        return _reason(error)
    return duration


def span_trouble(duration: float | None, start: float | None, end: float | None) -> str | None:
    """Return why a span lies outside its file, or ``None`` if it does not.

    A span may end up to :data:`SPAN_TOLERANCE_S` after the file, since annotators round up.

    Args:
        duration: of the file, in seconds; ``None`` if unknown, 0 for a still image.
        start, end: of the span, in seconds.

    Example:
        >>> span_trouble(3.2, 1200.0, 2800.0)
        'start 1200 s is after its end (3.2 s); correct the span (seconds)'
        >>> span_trouble(3.2, 1.0, 3.5) is None
        True
    """
    limits = [("start", start, 0.0), ("end", end, SPAN_TOLERANCE_S)]
    for key, time, tolerance in limits if duration else ():
        if time is not None and time > (duration or 0.0) + tolerance:
            return f"{key} {time:g} s is after its end ({duration:g} s); correct the span (seconds)"
    return None


def _reason(error: Exception) -> str:
    """Describe why one file failed. Any exception is described, so that the remaining files are still checked."""
    if isinstance(error, MediaError):
        return str(error)
    return f"cannot be opened because of a defect in multiemo or a library ({type(error).__name__}: {error})"
