"""Where the files of a run lie: written down so that they are found from anywhere, also after a move."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def place_of(target: Path, run: Path) -> dict[str, str]:
    """A place as seen from the run folder and by itself.

    Args:
        target: a file or folder.
        run: the run folder.
    """
    absolute = Path(os.path.realpath(target.parent)) / target.name  # a link itself may stand for any file
    place = {"absolute": str(absolute)}
    with suppress(ValueError):  # Windows: on another drive
        place["relative"] = Path(os.path.relpath(absolute, os.path.realpath(run))).as_posix()
    return place


def find(place: Mapping[str, Any] | str, run: Path) -> list[Path]:
    """What is there now: first as seen from the run folder (both were moved), then by itself (the run was moved).

    Args:
        place: of :func:`place_of`; earlier versions wrote the path as it was given.
        run: the run folder.
    """
    if isinstance(place, str):
        candidates = [Path(place)]
    else:
        candidates = [Path(os.path.realpath(run)) / place["relative"]] if "relative" in place else []
        candidates = [Path(os.path.normpath(c)) for c in candidates] + [Path(place["absolute"])]
    return [path for path in dict.fromkeys(candidates) if path.exists()]
