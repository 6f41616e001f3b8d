"""Find the files that a table names, however their paths are written.

Tables often come from other machines: with absolute paths of those machines, drive letters and backslashes, as
``file://`` URLs, with ``~``, in another Unicode form (macOS decomposes accents) or case. A path is tried as it is
written; if it does not exist, its trailing components are searched below the known folders.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://?", re.ASCII)
_DRIVE = re.compile(r"[A-Za-z]:(?=[\\/])")
#: Maximum number of files whose names are compared for a suggestion.
_MAX_FILES = 20_000


class FileFinder:
    """Finds the files that a table names.

    Args:
        folders: folders in which relative paths, and the trailing components of foreign paths, are searched, in order.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = [Path(os.path.abspath(folder)) for folder in dict.fromkeys(folders)]
        self._entries: dict[Path, dict[str, list[str]]] = {}
        self._stems: dict[str, Path] | None = None
        self._known: dict[str, Path | str] = {}
        self._owners: dict[Path, str] = {}
        self._elsewhere: list[tuple[str, Path]] = []
        self._respelled: list[tuple[str, Path]] = []

    def find(self, name: str) -> Path | str:
        """Return the absolute path of a file, or the reason why it was not found.

        Args:
            name: path as written in the table.
        """
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def suggest(self, name: str) -> Path | None:
        """Return a file below the folders with the same stem as ``name``, as a suggestion for an error message."""
        if self._stems is None:
            self._stems = {}
            files = (Path(at, file) for f in self.folders for at, _, files in os.walk(f) for file in sorted(files))
            for _, file in zip(range(_MAX_FILES), files, strict=False):
                self._stems.setdefault(_folded(file.stem), file)
        last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
        return self._stems.get(_folded(last)) or self._stems.get(_folded(os.path.splitext(last)[0]))

    def find_respelled(self, name: str) -> Path | None:
        """Find the file of a relative path whose separators, case or Unicode form differ from those on the disk."""
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        return next((file for folder in self.folders if (file := self._spelled(folder, parts)) is not None), None)

    def notes(self) -> list[str]:
        """Return notes for the user about paths that were not found as written."""
        notes = []
        for what, found in (
            ("were found in another folder", self._elsewhere),
            ("differ from their files in case or Unicode form", self._respelled),
        ):
            if found:
                name, path = found[0]
                notes.append(f"{len(found)} path(s) {what}, for example {name!r}: {path}")
        return notes

    def _find(self, name: str) -> Path | str:
        if "\0" in name:
            return "contains a NUL character, which a path cannot"
        path = name.strip("\"'") if name[:1] in "\"'" and name[:1] == name[-1:] else name
        url = _URL.match(path)
        if url is not None and not _DRIVE.match(path):
            if url[1].lower() != "file":
                return "is a URL; only files on this machine are read, so download it first"
            path = unquote(re.sub(r"^file:(//(localhost)?(?=/))?", "", path, flags=re.IGNORECASE))
            path = path[1:] if _DRIVE.match(path[1:]) else path
        path = os.path.expanduser(path)
        folders = (*self.folders, Path.cwd())
        found = next((file for folder in folders if (file := _existing_file(folder / path)) is not None), None)
        if found is not None:
            return found
        parts = [part for part in _DRIVE.sub("", path).replace("\\", "/").split("/") if part not in ("", ".")]
        absolute = os.path.isabs(path) or _DRIVE.match(path) is not None or path.startswith("\\\\")
        for first in range(len(parts)):
            for folder in self.folders:
                found = self._spelled(folder, parts[first:])
                if found is not None:
                    return self._claim(name, found, elsewhere=absolute or first > 0)
        return "no such file" if absolute else f"no such file in {' or '.join(map(str, self.folders))}"

    def _claim(self, name: str, found: Path, *, elsewhere: bool) -> Path | str:
        """Accept a file that was not found by its whole path; refuse it if another path led to the same file."""
        owner = self._owners.setdefault(found, name)
        if owner != name and elsewhere:
            return f"does not exist, and {found}, which has the same name, was already found for {owner!r}"
        if elsewhere:
            self._elsewhere.append((name, found))
        elif found.as_posix() != (found.parent / name.replace("\\", "/").rpartition("/")[2]).as_posix():
            self._respelled.append((name, found))
        return found

    def _spelled(self, folder: Path, parts: Sequence[str]) -> Path | None:
        """Find a file below ``folder``, ignoring differences in case and Unicode form."""
        place = folder
        for part in parts:
            if part == "..":
                place = place.parent
                continue
            if place not in self._entries:
                self._entries[place] = _entries(place)
            same = self._entries[place].get(_folded(part), [])
            exact = [name for name in same if name == part] or [name for name in same if _to_nfc(name) == _to_nfc(part)]
            if len(exact or same) != 1:
                return None
            place = place / (exact or same)[0]
        return _existing_file(place)


def _existing_file(path: Path) -> Path | None:
    """Return the normalised absolute path if it is a file, else ``None``."""
    try:
        return Path(os.path.abspath(path)) if path.is_file() else None
    except (OSError, ValueError):
        return None


def _entries(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    try:
        for name in os.listdir(folder):
            found.setdefault(_folded(name), []).append(name)
    except OSError:
        pass
    return found


def _to_nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return _to_nfc(_to_nfc(name).casefold())
