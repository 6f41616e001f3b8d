"""Locate a corpus: the given folder, or one a little below or above it if that is unambiguous."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from multiemo.data.corpora.source import NotTheCorpus
from multiemo.data.system_files import is_hidden
from multiemo.errors import ManifestError

T = TypeVar("T")

#: Number of levels below and above the given folder that are searched.
_MAX_LEVELS_BELOW, _MAX_LEVELS_ABOVE = 3, 2
#: Maximum number of folders on one level; with more, the search stops.
_MAX_FOLDERS_PER_LEVEL = 200


def located(root: Path, read: Callable[[Path], T], holds: Callable[[T, Path], bool], *, above: bool) -> T:
    """Read a corpus in or near a folder.

    The given folder is tried first, then the folders below it, level by level, then those above it.

    Args:
        root: the given folder or file.
        read: reads a corpus from a folder; raises :class:`NotTheCorpus` if it does not look like the corpus.
        holds: returns whether a corpus read from a folder above ``root`` has files in ``root``; if not, it is a
            different corpus.
        above: whether to search above ``root`` too.

    Returns:
        The result of ``read``.

    Raises:
        NotTheCorpus: neither ``root`` nor a folder near it looks like the corpus, or several below it do; the message
            is that of ``root``, with the folders found.
        ManifestError: ``root`` looks like the corpus but cannot be read.
    """
    try:
        return read(root)
    except NotTheCorpus as error:
        if not root.exists():
            raise
        trouble = str(error)
    for level in _levels_below(root):
        found = [(folder, made) for folder in level if (made := _try_read(folder, read)) is not None]
        if len(found) > 1:
            named = ", ".join(str(folder) for folder, _ in found[:5])
            raise NotTheCorpus(f"{trouble}; {len(found)} folders in it look like the corpus; name one of {named}")
        if found:
            return found[0][1]
    for folder in _folders_above(root) if above else ():
        made = _try_read(folder, read)
        if made is not None and (root.is_file() or holds(made, root)):
            return made
        if made is not None:
            raise NotTheCorpus(
                f"{trouble}; the folder {folder} above it looks like the corpus; name it if that is what you mean"
            )
    raise NotTheCorpus(trouble)


def _try_read(folder: Path, read: Callable[[Path], T]) -> T | None:
    try:
        return read(folder)
    except ManifestError:
        return None


def _levels_below(root: Path) -> Iterator[list[Path]]:
    """Yield the folders below ``root``, level by level, without hidden and system folders."""
    level = [root] if root.is_dir() else []
    for _ in range(_MAX_LEVELS_BELOW):
        level = [inner for folder in level for inner in _folders(folder)]
        if not level or len(level) > _MAX_FOLDERS_PER_LEVEL:
            return
        yield level


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))
    except OSError:
        return []


def _folders_above(root: Path) -> Iterator[Path]:
    """Yield the parent folders of ``root``, up to the home folder or the top of a disk."""
    home = Path.home().resolve()
    for folder in list(Path(os.path.abspath(root)).parents)[:_MAX_LEVELS_ABOVE]:
        if folder in (home, *home.parents) or folder.is_mount():
            return
        yield folder
