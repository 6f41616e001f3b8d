"""Where a file lies that a table names, however its path is written.

People's tables come from other machines: with the absolute paths of those, with drive letters and backslashes, as
``file://`` URLs, with ``~``, in another Unicode form (macOS takes accents apart) or case. A file is the one that the
path names; else the one that the end of the path names below a folder that is known here.
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
#: Files whose names are compared when one is not found.
_MOST = 20_000


class Places:
    """Finds the files that a table names.

    Args:
        folders: that relative paths, and the ends of paths from elsewhere, are looked for in; earlier ones go first.
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
        """The file, absolute, or why there is none.

        Args:
            name: as the table has it.
        """
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def near(self, name: str) -> Path | None:
        """A file below the folders that is called like ``name`` (whatever its folder and ending), for a message."""
        if self._stems is None:
            self._stems = {}
            files = (Path(at, file) for f in self.folders for at, _, files in os.walk(f) for file in sorted(files))
            for _, file in zip(range(_MOST), files, strict=False):
                self._stems.setdefault(_folded(file.stem), file)
        last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
        return self._stems.get(_folded(last)) or self._stems.get(_folded(os.path.splitext(last)[0]))

    def spelled(self, name: str) -> Path | None:
        """The file that a relative path names, where its separators, case or Unicode form differ from the disk's."""
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        return next((file for folder in self.folders if (file := self._spelled(folder, parts)) is not None), None)

    def notes(self) -> list[str]:
        """What a user should know of how paths were read."""
        said = []
        for what, found in (
            ("lie elsewhere than they say", self._elsewhere),
            ("are spelled in another case or Unicode form than their files", self._respelled),
        ):
            if found:
                name, path = found[0]
                said.append(f"{len(found)} path(s) {what}, for instance {name!r}: {path}")
        return said

    def _find(self, name: str) -> Path | str:
        if "\0" in name:
            return "holds a NUL character, which no path does"
        path = name.strip("\"'") if name[:1] in "\"'" and name[:1] == name[-1:] else name
        url = _URL.match(path)
        if url is not None and not _DRIVE.match(path):
            if url[1].lower() != "file":
                return "is a URL; only files on this machine are read, so download it first"
            path = unquote(re.sub(r"^file:(//(localhost)?(?=/))?", "", path, flags=re.IGNORECASE))
            path = path[1:] if _DRIVE.match(path[1:]) else path
        path = os.path.expanduser(path)
        folders = (*self.folders, Path.cwd())
        found = next((file for folder in folders if (file := _file(folder / path)) is not None), None)
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
        """A file that was found otherwise than by its whole path; two paths that lead to one file are refused."""
        owner = self._owners.setdefault(found, name)
        if owner != name and elsewhere:
            return f"is not there, and {found}, which has its name, is found for {owner!r} already"
        if elsewhere:
            self._elsewhere.append((name, found))
        elif found.as_posix() != (found.parent / name.replace("\\", "/").rpartition("/")[2]).as_posix():
            self._respelled.append((name, found))
        return found

    def _spelled(self, folder: Path, parts: Sequence[str]) -> Path | None:
        """The file below ``folder``, where names may differ in case and Unicode form from those on the disk."""
        place = folder
        for part in parts:
            if part == "..":
                place = place.parent
                continue
            if place not in self._entries:
                self._entries[place] = _entries(place)
            same = self._entries[place].get(_folded(part), [])
            exact = [name for name in same if name == part] or [name for name in same if _nfc(name) == _nfc(part)]
            if len(exact or same) != 1:
                return None
            place = place / (exact or same)[0]
        return _file(place)


def _file(path: Path) -> Path | None:
    """The path without detours, if a file lies there."""
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


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return _nfc(_nfc(name).casefold())
