"""Records the paths of a run's files in ``places.json``, so that they can be found after a move.

Model folders do not store these paths: models are shared, and paths may reveal names of people and machines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from multiemo.files import parse_json, write_atomically

FILE = "places.json"


def record_paths(run: Path, manifests: Mapping[str, Path], cache: str | None) -> None:
    """Write ``places.json``; resuming a run writes it again.

    Args:
        run: run folder.
        manifests: {stage: path of its manifest}.
        cache: ``data.cache`` of the config.
    """
    values = {
        "manifests": {stage: _place(path, run) for stage, path in manifests.items()},
        "cache": None if cache is None else _place(Path(cache), run),
    }
    write_atomically(run / FILE, json.dumps(values, indent=1, ensure_ascii=False) + "\n")


def manifests_of(run: Path, stage: str) -> list[Path]:
    """Candidate paths of a stage's manifest: relative to the run folder, then absolute."""
    return _candidates(run, _read(run).get("manifests", {}).get(stage))


def recorded_files(run: Path) -> tuple[list[Path], list[Path]]:
    """All existing manifests and caches that a run records.

    Args:
        run: run folder.
    """
    known = _read(run)
    manifests = [path for place in known.get("manifests", {}).values() for path in _candidates(run, place)]
    return [p for p in manifests if p.is_file()], [p for p in _candidates(run, known.get("cache")) if p.is_dir()]


def mend_links(run: Path) -> None:
    """Repair broken media links of a composite manifest, pointing them at the present folders of its manifests."""
    for link in run.glob("composite.*.media"):
        stage = link.name.split(".")[1]
        folders = [path.parent for path in manifests_of(run, stage) if path.is_file()]
        if link.is_symlink() and not link.exists() and folders:
            link.unlink()
            link.symlink_to(folders[0].resolve(), target_is_directory=True)


def cache_of(run: Path, given: str | None) -> str | None:
    """The present path of a run's cache; ``None``, meaning the user's default cache, if it no longer exists.

    Args:
        run: run folder.
        given: ``data.cache`` of its config; returned unchanged if ``places.json`` does not record a cache.
    """
    if given is None or "cache" not in (known := _read(run)):
        return given
    return next((str(path) for path in _candidates(run, known["cache"]) if path.is_dir()), None)


def _place(target: Path, run: Path) -> dict[str, str]:
    """Absolute path of a file, and its path relative to the run folder."""
    absolute = Path(os.path.realpath(target.parent)) / target.name  # the file itself may be a link, which is kept
    place = {"absolute": str(absolute)}
    with suppress(ValueError):  # Windows: on another drive
        place["relative"] = Path(os.path.relpath(absolute, os.path.realpath(run))).as_posix()
    return place


def _candidates(run: Path, place: Mapping[str, str] | None) -> list[Path]:
    """Candidate paths: relative to the run folder first, as both may have moved together; then absolute."""
    if place is None:
        return []
    relative = [os.path.join(os.path.realpath(run), place["relative"])] if "relative" in place else []
    return [Path(path) for path in dict.fromkeys(os.path.normpath(p) for p in (*relative, place["absolute"]))]


def _read(run: Path) -> dict[str, Any]:
    try:
        values = parse_json((run / FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
