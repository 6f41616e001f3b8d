"""The manifest rows of the clips that a run or benchmark was tested on, and the list that another system can answer."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path

from multiemo.data.manifest.reading import media_path, read_manifest
from multiemo.encryption import read_sealed
from multiemo.errors import ManifestError
from multiemo.files import parse_json, write_atomically
from multiemo.runs.folder.evaluation_log import run_folder_of
from multiemo.runs.folder.recorded_paths import manifests_of
from multiemo.runs.folder.required_files import model_folder
from multiemo.types import Clip


def manifest_of(folders: Collection[Path], moved: Path | None = None) -> Path:
    """The present path of the manifest of runs.

    Args:
        folders: run folders over one manifest.
        moved: its new path, if the user gives one.

    Raises:
        ManifestError: it is not where it was.
    """
    known = [moved] if moved is not None else []
    for folder in folders if moved is None else ():
        facts = parse_json(read_sealed(model_folder(folder) / "config.json"))["facts"]
        recorded = manifests_of(run_folder_of(folder), facts["stage"])
        known += recorded or ([Path(facts["manifest"])] if isinstance(facts["manifest"], str) else [])
    existing = next((path for path in known if path.is_file()), None)
    if existing is None:
        named = known[0] if known else "the manifest of the run"
        raise ManifestError(f"{named}: no such file; give the run's manifest with --manifest PATH")
    return existing


def write_clip_list(path: Path, manifest: Path, ids: Collection[str]) -> int:
    """Write the clips that another system should answer, as JSON Lines, without their labels.

    Args:
        path: file to write. Media paths are relative to its folder.
        manifest: manifest of the run.
        ids: ids of the test clips.

    Returns:
        Number of clips.

    Raises:
        ManifestError: the manifest lacks a test clip.
    """
    rows = {clip.id: clip for clip in read_manifest(manifest)}
    lacking = [name for name in ids if name not in rows]
    if lacking:
        raise ManifestError(f"{manifest}: {len(lacking)} test clips are missing (first: {lacking[0]!r}); restore them")
    wanted = set(ids)
    lines = [_line(clip, manifest.parent, path.parent) for name, clip in rows.items() if name in wanted]
    write_atomically(path, "".join(f"{line}\n" for line in lines), error=ManifestError)
    return len(lines)


def _line(clip: Clip, folder: Path, beside: Path) -> str:
    media = clip.video or clip.audio or clip.image
    values = {
        "id": clip.id,
        "media": None if media is None else _relative(media_path(media, folder), beside),
        "text": clip.text,
        "start": clip.start,
        "end": clip.end,
    }
    return json.dumps({key: value for key, value in values.items() if value is not None}, ensure_ascii=False)


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # Windows: on another drive
        return os.path.abspath(path)
