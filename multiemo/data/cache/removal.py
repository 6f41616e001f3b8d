"""Removes what was made from some clips from a cache, and leaves no trace of it in the file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import lmdb

from multiemo.data.cache.entries import DIGEST, unpacked
from multiemo.data.cache.keys import KEY_BYTES, ORIGIN_BYTES, file_origin, is_file_digest, kind_of
from multiemo.data.cache.store import Opened, Store
from multiemo.encryption import current_key

#: Marks a cache whose file still has to be rewritten after a removal that was interrupted.
_PENDING = "rewrite.pending"


@dataclass(slots=True)
class RemovedEntries:
    """The entries that a removal deletes.

    Args:
        kinds: {kind: number of entries}.
        unattributed: number of entries of earlier versions, which do not record what they were made from.
        reason: why the file could not be rewritten, so that deleted bytes may remain in it; ``None`` if it was.
    """

    kinds: dict[str, int] = field(default_factory=dict)
    unattributed: int = 0
    reason: str | None = None

    @property
    def total(self) -> int:
        """Number of deleted entries."""
        return sum(self.kinds.values()) + self.unattributed


def known_contents(folder: Path, paths: Iterable[Path]) -> dict[Path, set[str]]:
    """The digests of files that the cache has read, whether or not the files still exist.

    Args:
        folder: folder of the cache.
        paths: paths of files; relative ones are relative to the working directory.

    Returns:
        {path: digests of all contents that were read under it}.
    """
    store = Store(folder.resolve())
    found: dict[Path, set[str]] = {path: set() for path in paths}
    secret = current_key()
    if not store.file.exists():
        return found

    def read(transaction: lmdb.Transaction, opened: Opened) -> None:
        with transaction.cursor(db=opened.entries) as cursor:
            for path, digests in found.items():
                for origin in {file_origin(os.path.abspath(path)), file_origin(os.path.realpath(path))}:
                    positioned = cursor.set_range(origin)
                    while positioned and bytes(cursor.key())[:ORIGIN_BYTES] == origin:
                        stored = bytes(cursor.value())
                        form, content = unpacked(bytes(cursor.key()), stored, secret, folder)
                        if form == DIGEST:
                            digests.add(content.decode("ascii"))
                        positioned = cursor.next()

    store.run(read)
    store.close()
    return found


def remove_origins(folder: Path, origins: Collection[bytes], contents: Collection[str], *, dry: bool) -> RemovedEntries:
    """Delete all entries of some origins, and rewrite the file so that it holds no byte of them.

    Entries of earlier versions are deleted as well: nobody can tell what they were made from, and they are computed
    again when they are needed.

    Args:
        folder: folder of the cache.
        origins: results of :func:`multiemo.data.cache.keys.span_origin` and ``text_origin``.
        contents: digests of files, whose stored digests are deleted too.
        dry: count the entries only.

    Raises:
        CheckpointError: the file is damaged.
    """
    store = Store(folder.resolve())
    removed = RemovedEntries()
    if not store.file.exists():
        return removed
    wanted, digests = set(origins), {content.encode("ascii") for content in contents}
    secret = current_key()

    def select(transaction: lmdb.Transaction, opened: Opened) -> list[bytes]:
        kinds: Counter[str] = Counter()
        keys: list[bytes] = []
        removed.unattributed = 0
        with transaction.cursor(db=opened.entries) as cursor:
            for raw in cursor.iternext(keys=True, values=False):
                key = bytes(raw)
                if len(key) < KEY_BYTES:
                    removed.unattributed += 1
                elif key[:ORIGIN_BYTES] in wanted or (
                    is_file_digest(key) and unpacked(key, cursor.value(), secret, folder)[1] in digests
                ):
                    kinds[kind_of(key)] += 1
                else:
                    continue
                keys.append(key)
        removed.kinds = dict(sorted(kinds.items()))
        return keys

    def delete(transaction: lmdb.Transaction, opened: Opened) -> None:
        for key in select(transaction, opened):
            transaction.delete(key, db=opened.entries)
            transaction.delete(key, db=opened.uses)

    pending = store.folder / _PENDING
    chosen = store.run(select)
    if not dry and (chosen or pending.exists()):
        pending.touch()
        store.run(delete, write=True)
        store.close()
        removed.reason = store.alone(
            store.rewrite,
            busy="another process has the cache open; repeat the command when that process has finished",
            full="there is no space on the disk for a new file ({}); repeat the command when there is",
        )
        if removed.reason is None:
            pending.unlink()
    store.close()
    return removed
