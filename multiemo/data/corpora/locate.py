"""Where a corpus lies: the folder that was named, or one a little below or above it, where no other could be meant."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from multiemo.data.corpora.source import NotTheCorpus
from multiemo.data.system_files import is_hidden
from multiemo.errors import ManifestError

T = TypeVar("T")

#: How many folders below the named one a corpus is looked for, and how many above.
_BELOW, _ABOVE = 3, 2
#: Folders that are tried on one level; with more of them the named one is no folder of a corpus.
_MOST = 200


def located(root: Path, read: Callable[[Path], T], holds: Callable[[T, Path], bool], *, above: bool) -> T:
    """What ``read`` makes of a corpus in or near a folder.

    The named folder goes first; where it does not look like the corpus, the folders in it (the one that does, level by
    level), then those above it.

    Args:
        root: the folder or file that was named.
        read: reads a corpus in a folder; raises :class:`NotTheCorpus` where it is none.
        above: look above ``root`` too.
        holds: whether what was read of a folder above lies (in part) in ``root``; otherwise that corpus is another.

    Raises:
        NotTheCorpus: neither ``root`` nor a folder near it looks like the corpus, or several in it do; the message is
            that of ``root``, with what was found.
        ManifestError: ``root`` is the corpus, but something else is wrong with it.
    """
    try:
        return read(root)
    except NotTheCorpus as error:
        if not root.exists():
            raise
        trouble = str(error)
    for level in _below(root):
        found = [(folder, made) for folder in level if (made := _tried(folder, read)) is not None]
        if len(found) > 1:
            named = ", ".join(str(folder) for folder, _ in found[:5])
            raise NotTheCorpus(f"{trouble}; {len(found)} folders in it do look like it: name one of {named}")
        if found:
            return found[0][1]
    for folder in _above(root) if above else ():
        made = _tried(folder, read)
        if made is not None and (root.is_file() or holds(made, root)):
            return made
        if made is not None:
            raise NotTheCorpus(f"{trouble}; {folder} above it does look like the corpus: name that if you mean it")
    raise NotTheCorpus(trouble)


def _tried(folder: Path, read: Callable[[Path], T]) -> T | None:
    try:
        return read(folder)
    except ManifestError:
        return None


def _below(root: Path) -> Iterator[list[Path]]:
    """The folders in ``root``, level by level; hidden ones and those of systems are passed over."""
    level = [root] if root.is_dir() else []
    for _ in range(_BELOW):
        level = [inner for folder in level for inner in _folders(folder)]
        if not level or len(level) > _MOST:
            return
        yield level


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))
    except OSError:
        return []


def _above(root: Path) -> Iterator[Path]:
    """The folders that ``root`` lies in; neither a home nor the top of a disk, where everything lies."""
    home = Path.home().resolve()
    for folder in list(Path(os.path.abspath(root)).parents)[:_ABOVE]:
        if folder in (home, *home.parents) or folder.is_mount():
            return
        yield folder
