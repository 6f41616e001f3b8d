"""Where the files of a run lie: ``places.json`` of its folder, from which they are found also after a move.

Models know nothing of it, for they are handed on, and paths name people and machines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from multiemo.files import write_atomically

FILE = "places.json"


def record_paths(run: Path, manifests: Mapping[str, Path], cache: str | None) -> None:
    """Write down where things are now; a run that goes on from elsewhere does so again.

    Args:
        run: the run folder.
        manifests: {stage: its manifest}.
        cache: ``data.cache``.
    """
    values = {
        "manifests": {stage: _place(path, run) for stage, path in manifests.items()},
        "cache": None if cache is None else _place(Path(cache), run),
    }
    write_atomically(run / FILE, json.dumps(values, indent=1, ensure_ascii=False) + "\n")


def manifests_of(run: Path, stage: str) -> list[Path]:
    """Where the manifest of a stage may lie now: as seen from the run folder, and by itself."""
    return _candidates(run, _read(run).get("manifests", {}).get(stage))


def mend_links(run: Path) -> None:
    """Point the links of a composite, where they lead nowhere any more, at the folders where its manifests lie now."""
    for link in run.glob("composite.*.media"):
        stage = link.name.split(".")[1]
        there = [path.parent for path in manifests_of(run, stage) if path.is_file()]
        if link.is_symlink() and not link.exists() and there:
            link.unlink()
            link.symlink_to(there[0].resolve(), target_is_directory=True)


def cache_of(run: Path, given: str | None) -> str | None:
    """Where the cache of a run lies now; one that is gone gives way to the user's.

    Args:
        run: the run folder.
        given: ``data.cache`` of its config, which stands for itself where nothing is written down.
    """
    if given is None or "cache" not in (known := _read(run)):
        return given
    return next((str(path) for path in _candidates(run, known["cache"]) if path.is_dir()), None)


def _place(target: Path, run: Path) -> dict[str, str]:
    absolute = Path(os.path.realpath(target.parent)) / target.name  # a link itself may stand for any file
    place = {"absolute": str(absolute)}
    with suppress(ValueError):  # Windows: on another drive
        place["relative"] = Path(os.path.relpath(absolute, os.path.realpath(run))).as_posix()
    return place


def _candidates(run: Path, place: Mapping[str, str] | None) -> list[Path]:
    """First as seen from the run folder, for both may have been moved; then by itself."""
    if place is None:
        return []
    seen = [os.path.join(os.path.realpath(run), place["relative"])] if "relative" in place else []
    return [Path(path) for path in dict.fromkeys(os.path.normpath(p) for p in (*seen, place["absolute"]))]


def _read(run: Path) -> dict[str, Any]:
    try:
        values = json.loads((run / FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
