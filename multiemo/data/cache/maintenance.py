"""Looking into the cache and making it smaller: ``multiemo cache info`` and ``multiemo cache prune``."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import lmdb

from multiemo.data.cache.entries import USE, evict
from multiemo.data.cache.keys import kind_of
from multiemo.data.cache.store import DATA, Opened, Store
from multiemo.errors import CheckpointError
from multiemo.records import Record, record


@record
class CacheInfo(Record):
    """What a cache holds.

    Args:
        folder: absolute.
        entries: {kind: how many}, as :func:`multiemo.data.cache.keys.kind_of` names them.
        bytes_by_kind: {kind: bytes of its entries}.
        used: bytes of the pages in use, which the limit bounds.
        disk: bytes of the file.
        limit: bytes, as this process would keep it.
        oldest, newest: last use of the least and most recently used entry, seconds since 1970; ``None`` without any.
    """

    folder: str
    entries: dict[str, int]
    bytes_by_kind: dict[str, int]
    used: int
    disk: int
    limit: int
    oldest: float | None
    newest: float | None


@record
class Pruned(Record):
    """What pruning did.

    Args:
        folder: absolute.
        removed: entries.
        disk_before, disk_after: bytes of the file.
        compacted: whether the file was written anew; where not, ``reason`` says why, and freed pages are used again.
        reason: ``null`` when compacted.
    """

    folder: str
    removed: int
    disk_before: int
    disk_after: int
    compacted: bool
    reason: str | None


def inspect(folder: Path, limit: int) -> CacheInfo:
    """Count what a cache holds, without reading entries; a folder without cache is not made one.

    Args:
        folder: of the cache.
        limit: see :class:`CacheInfo`.

    Raises:
        CheckpointError: the file is damaged.
    """
    store = Store(folder.resolve())
    entries: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    times: list[float] = []

    def read(transaction: lmdb.Transaction, opened: Opened) -> int:
        with transaction.cursor(db=opened.uses) as cursor:
            for key, use in cursor:
                used, size = USE.unpack(use)
                kind = kind_of(bytes(key))
                entries[kind] += 1
                sizes[kind] += size
                times[:] = [min(used, *times[:1]), max(used, *times[1:])] if times else [used, used]
        return opened.used(transaction)

    pages = store.run(read) if store.file.exists() else 0
    oldest, newest = times or (None, None)
    return CacheInfo(
        folder=str(store.folder),
        entries=dict(sorted(entries.items())),
        bytes_by_kind=dict(sorted(sizes.items())),
        used=pages,
        disk=_size(store.file),
        limit=limit,
        oldest=oldest,
        newest=newest,
    )


def prune(
    folder: Path, *, max_bytes: int | None = None, older_than: float | None = None, everything: bool = False
) -> Pruned:
    """Delete entries, then give the freed space back to the disk.

    Deleting is safe beside running work. The file is written anew and put in place of the old one only while nobody
    else has it open, since a process that still mapped the old one would write into a file without a name.

    Args:
        folder: of the cache.
        max_bytes: the least recently used entries go until no more than this is used.
        older_than: entries not used for this many seconds go.
        everything: all go; works on a damaged file too.

    Raises:
        CheckpointError: the file is damaged and not ``everything`` is to go, or somebody has it open.
    """
    store = Store(folder.resolve())
    before = _size(store.file)
    if not store.file.exists():
        return Pruned(folder=str(store.folder), removed=0, disk_before=0, disk_after=0, compacted=True, reason=None)

    def delete(transaction: lmdb.Transaction, opened: Opened) -> int:
        removed = 0
        if everything:
            removed = transaction.stat(opened.entries)["entries"]
            for table in (opened.entries, opened.uses):
                transaction.drop(table, delete=False)
        if older_than is not None:
            removed += _delete_older(transaction, opened, time.time() - older_than)
        if max_bytes is not None:
            removed += sum(1 for _ in evict(transaction, opened, max_bytes))
        return removed

    try:
        removed = store.run(delete, write=True)
        store.close()
    except (CheckpointError, lmdb.Error) as error:
        if not everything:
            raise CheckpointError(str(error)) from None
        reason = _shrink(store, everything)
        if reason is not None:
            raise CheckpointError(f"{error}; {reason}") from None
        removed = 0
    else:
        reason = _shrink(store, everything)
    return Pruned(
        folder=str(store.folder),
        removed=removed,
        disk_before=before,
        disk_after=_size(store.file),
        compacted=reason is None,
        reason=reason,
    )


def _delete_older(transaction: lmdb.Transaction, opened: Opened, moment: float) -> int:
    with transaction.cursor(db=opened.uses) as cursor:
        old = [bytes(key) for key, use in cursor if USE.unpack(use)[0] < moment]
    for key in old:
        transaction.delete(key, db=opened.entries)
        transaction.delete(key, db=opened.uses)
    return len(old)


def _shrink(store: Store, everything: bool) -> str | None:
    """Compact or remove the file; why not, or ``None``."""
    alone = store.alone()
    if alone is None:
        return "another process has the cache open; prune again when it is done"
    try:
        if everything:
            store.remove()
        else:
            store.compact()
    except (lmdb.Error, OSError) as error:
        return f"there is no room for the smaller copy ({error})"
    finally:
        os.close(alone)
    return None


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def say_info(info: CacheInfo) -> list[str]:
    """The info as lines for a terminal."""
    lines = [f"{info.folder}: {_mb(info.used)} used of at most {_mb(info.limit)}; {DATA} has {_mb(info.disk)}"]
    for kind, count in info.entries.items():
        lines.append(f"  {count:>9} {kind:<22} {_mb(info.bytes_by_kind[kind]):>13}")
    if info.oldest is not None and info.newest is not None:
        said = [time.strftime("%Y-%m-%d %H:%M", time.localtime(moment)) for moment in (info.oldest, info.newest)]
        lines.append(f"  last uses from {said[0]} to {said[1]}")
    return lines


def say_pruned(done: Pruned) -> str:
    """The same for what was pruned."""
    sizes = f"{_mb(done.disk_before)} -> {_mb(done.disk_after)}"
    said = f"{done.folder}: {done.removed} entries removed, {DATA} {sizes}"
    return said if done.reason is None else f"{said}\n  the file was not made smaller: {done.reason}"
