"""Inspect and prune the cache: ``multiemo cache info`` and ``multiemo cache prune``."""

from __future__ import annotations

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
    """The contents of a cache.

    Args:
        folder: absolute path of the cache.
        entries: {kind: number of entries}, with the kinds of :func:`multiemo.data.cache.keys.kind_of`.
        bytes_by_kind: {kind: bytes of its entries}.
        used: bytes of the pages in use; the limit applies to these.
        disk: size of the file, in bytes.
        limit: limit of this process, in bytes.
        oldest, newest: last use of the least and the most recently used entry, in seconds since 1970; ``None`` if the
            cache is empty.
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
    """The result of pruning a cache.

    Args:
        folder: absolute path of the cache.
        removed: number of deleted entries.
        disk_before, disk_after: size of the file before and after, in bytes.
        compacted: whether the file was rewritten without its free pages. If not, later entries reuse those pages.
        reason: why the file was not compacted; ``null`` if it was.
    """

    folder: str
    removed: int
    disk_before: int
    disk_after: int
    compacted: bool
    reason: str | None


def inspect(folder: Path, limit: int) -> CacheInfo:
    """Count the entries of a cache without reading them. A missing cache is not created.

    Args:
        folder: folder of the cache.
        limit: limit of the cache, in bytes; copied into the result.

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
    """Delete entries, then return the freed space to the disk.

    Entries can be deleted while other processes use the cache. The file is replaced by a compact copy only if no other
    process has it open: a process that has mapped the old file would go on writing to an unlinked file.

    Args:
        folder: folder of the cache.
        max_bytes: delete the least recently used entries until at most this many bytes are used.
        older_than: delete entries that were not used for this many seconds.
        everything: delete all entries; this also works for a damaged file.

    Raises:
        CheckpointError: the file is damaged, and ``everything`` is false or another process has the file open.
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
    """Compact or remove the file; return why that was not possible, or ``None``."""
    return store.alone(
        store.remove if everything else store.compact,
        busy="another process has the cache open; prune again when that process has finished",
        full="there is no space on the disk for the compact copy ({})",
    )


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def format_info(info: CacheInfo) -> list[str]:
    """Format the contents of a cache as lines for a terminal."""
    lines = [f"{info.folder}: {_mb(info.used)} used of at most {_mb(info.limit)}; {DATA} has {_mb(info.disk)}"]
    for kind, count in info.entries.items():
        lines.append(f"  {count:>9} {kind:<22} {_mb(info.bytes_by_kind[kind]):>13}")
    if info.oldest is not None and info.newest is not None:
        first, last = (time.strftime("%Y-%m-%d %H:%M", time.localtime(used)) for used in (info.oldest, info.newest))
        lines.append(f"  last uses from {first} to {last}")
    return lines


def format_pruned(done: Pruned) -> str:
    """Format the result of pruning as lines for a terminal."""
    sizes = f"{_mb(done.disk_before)} -> {_mb(done.disk_after)}"
    summary = f"{done.folder}: {done.removed} entries removed, {DATA} {sizes}"
    return summary if done.reason is None else f"{summary}\n  the file was not made smaller: {done.reason}"
