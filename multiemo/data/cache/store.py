"""The LMDB file of the cache: opened once per process, checked before it is mapped, and grown when it is full.

Entries and their last uses are two tables of one file, so that uses can be counted and sorted without reading entries.
Reading past the end of a truncated file would crash the process with a bus error, so the size of the file is compared
with its meta pages first. This check does not detect garbage inside a page of the tree.
"""

from __future__ import annotations

import os
import shutil
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from errno import ENOSPC
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from multiemo.errors import CheckpointError
from multiemo.files import FULL

if sys.platform != "win32":
    import fcntl

T = TypeVar("T")

#: The LMDB data file, LMDB's own lock file, and the file that every process with an open cache locks.
DATA, LOCK, USERS = "data.mdb", "lock.mdb", "users.lock"
#: Factor by which a full map grows.
_GROWTH = 2
_TABLES = (b"entries", b"uses")
#: First fields of an LMDB meta page (lmdb 0.9, 64 bits): magic, format, page size, last page used, transaction.
_META = struct.Struct("=16xII16xI92xQQ")
_MAGIC, _FORMAT = 0xBEEFC0DE, 1
#: The last pages of a valid file may be missing: a transaction may have allocated and released them without writing.
_SPARE_PAGES = 64
#: Free disk space required to create a cache, in bytes: LMDB maps its lock file, and on a full disk that is a crash.
_MIN_FREE_BYTES = 1 << 20
_ADVICE = "remove it with `multiemo cache prune --all`; it is then filled again"
_OPEN: dict[Path, Opened] = {}
_OPEN_LOCK = threading.Lock()


class DiskFullError(CheckpointError):
    """The disk has no space for the cache file. The work can continue without a cache."""


@dataclass(slots=True)
class Opened:
    """The LMDB file as opened by this process.

    Args:
        environment: the LMDB environment.
        entries: table {key: entry}.
        uses: table {key: last use and size}.
        users: descriptor of the shared lock that marks the file as open, or ``None`` on platforms without such locks.
        lock: held during a transaction, since the map must not grow while another thread uses it.
    """

    environment: lmdb.Environment
    entries: Any
    uses: Any
    users: int | None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def used(self, transaction: lmdb.Transaction) -> int:
        """Return the bytes of the pages that hold entries and uses, without reading these."""
        stats = [transaction.stat(table) for table in (self.entries, self.uses)]
        return sum(s["psize"] * (s["branch_pages"] + s["leaf_pages"] + s["overflow_pages"]) for s in stats)


@dataclass(slots=True)
class Store:
    """The LMDB file in a folder. Any process or thread may use it, also after a fork.

    Args:
        folder: absolute path; created if missing.
        map_size: initial size of the memory map, in bytes.
    """

    folder: Path
    map_size: int = 1 << 30

    @property
    def file(self) -> Path:
        """The LMDB file."""
        return self.folder / DATA

    def open(self) -> Opened:
        """Open the file, or return it if this process has already opened it.

        Raises:
            DiskFullError: the disk is full.
            CheckpointError: the file is damaged, or the folder cannot be used.
        """
        found = _OPEN.get(self.folder)
        if found is None:
            with _OPEN_LOCK:
                found = _OPEN.get(self.folder) or self._open()
                _OPEN[self.folder] = found
        return found

    def close(self) -> None:
        """Flush to disk and close the file."""
        with _OPEN_LOCK:
            opened = _OPEN.pop(self.folder, None)
        if opened is None:
            return
        with opened.lock:
            try:
                opened.environment.sync(True)
            finally:
                opened.environment.close()
                _release(opened.users)

    def run(self, work: Callable[[lmdb.Transaction, Opened], T], *, write: bool = False) -> T:
        """Run ``work`` in one transaction. If the map has to grow, ``work`` is called again from the start.

        Raises:
            CheckpointError: the file is damaged.
            lmdb.Error: the file cannot be written, for instance because the disk is full.
        """
        while True:
            opened = self.open()
            with opened.lock:
                try:
                    with opened.environment.begin(write=write, buffers=True) as transaction:
                        return work(transaction, opened)
                except lmdb.MapFullError:
                    opened.environment.reader_check()
                    opened.environment.set_mapsize(opened.environment.info()["map_size"] * _GROWTH)
                except lmdb.MapResizedError:
                    opened.environment.set_mapsize(0)
                except (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.BadTxnError) as error:
                    raise CheckpointError(f"{self.file}: the cache is damaged ({error}); {_ADVICE}") from None
                except lmdb.Error as error:
                    if write:
                        raise
                    raise CheckpointError(f"{self.file}: the cache cannot be read ({error})") from None

    def lock_exclusively(self) -> int | None:
        """Lock the file against being opened; return the lock's descriptor, or ``None`` if a process has it open."""
        return _lock(self.folder, exclusive=True)

    def alone(self, work: Callable[[], None], *, busy: str, full: str) -> str | None:
        """Run work on the file while no other process has it open; return why that was not possible, or ``None``.

        Args:
            work: :meth:`remove`, :meth:`compact` or :meth:`rewrite`.
            busy: answer if another process has the file open.
            full: answer if there is no space for the new file; ``{}`` is replaced by the error.
        """
        lock = self.lock_exclusively()
        if lock is None:
            return busy
        try:
            work()
        except (lmdb.Error, OSError) as error:
            return full.format(error)
        finally:
            os.close(lock)
        return None

    def remove(self) -> None:
        """Delete the file. Requires the lock of :meth:`lock_exclusively`."""
        for name in (DATA, LOCK):
            (self.folder / name).unlink(missing_ok=True)

    def compact(self) -> None:
        """Rewrite the file without its free pages. Requires the lock of :meth:`lock_exclusively`.

        Raises:
            CheckpointError: the file is damaged.
            OSError, lmdb.Error: there is no space for the copy; the file is unchanged.
        """
        self._replace(lambda environment, draft: environment.copy(str(draft), compact=True))

    def rewrite(self) -> None:
        """Write every entry into a new file, which has no trace of deleted ones; raises like :meth:`compact`.

        A compact copy leaves free pages out, but keeps the unused space within the other pages, where deleted entries
        may still be.
        """
        self._replace(_copy_entries)

    def _replace(self, copy: Callable[[lmdb.Environment, Path], None]) -> None:
        """Replace the file by a copy that ``copy`` writes into a folder."""
        draft = self.folder / "compact"
        draft.mkdir(exist_ok=True)
        try:
            check_file(self.file)
            with lmdb.open(str(self.folder), readonly=True, lock=False, max_dbs=len(_TABLES)) as environment:
                copy(environment, draft)
            _flush(draft / DATA)
            (self.folder / LOCK).unlink(missing_ok=True)
            (draft / DATA).replace(self.file)
        finally:
            for name in (DATA, LOCK):
                (draft / name).unlink(missing_ok=True)
            draft.rmdir()

    def _open(self) -> Opened:
        users = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            users = _lock(self.folder, exclusive=False)
            if not (self.folder / LOCK).exists() and shutil.disk_usage(self.folder).free < _MIN_FREE_BYTES:
                raise OSError(ENOSPC, os.strerror(ENOSPC))
            check_file(self.file)
            size = max(self.map_size, _GROWTH * self.file.stat().st_size if self.file.exists() else 0)
            environment = lmdb.open(
                str(self.folder), map_size=size, max_dbs=len(_TABLES), max_readers=512, readahead=False, sync=False,
                mode=0o666,
            )  # fmt: skip
            environment.reader_check()
            entries, uses = (environment.open_db(name) for name in _TABLES)
            _drop_first_format(environment)
        except (lmdb.CorruptedError, lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.PageNotFoundError) as error:
            _release(users)
            raise CheckpointError(f"{self.file}: the cache is damaged ({error}); {_ADVICE}") from None
        except (lmdb.Error, OSError) as error:
            _release(users)
            if _is_full(error):
                message = f"{self.folder}: the cache cannot be opened because the disk is full ({error})"
                raise DiskFullError(message) from None
            raise CheckpointError(
                f"{self.folder}: the cache cannot be opened ({error}); choose another folder with data.cache or "
                "$MULTIEMO_CACHE"
            ) from None
        except CheckpointError:
            _release(users)
            raise
        return Opened(environment, entries, uses, users)


def check_file(file: Path) -> None:
    """Refuse a file that would crash LMDB. A missing or empty file is accepted.

    Raises:
        CheckpointError: the file is not an LMDB file, or is shorter than its meta pages require.
    """
    if not file.exists() or not file.stat().st_size or sys.maxsize < 1 << 32:
        return
    with file.open("rb") as stream:
        metas = []
        first = stream.read(_META.size)
        if len(first) == _META.size:
            metas.append(_META.unpack(first))
            stream.seek(metas[0][2])
            second = stream.read(_META.size)
            metas += [_META.unpack(second)] if len(second) == _META.size else []
    if len(metas) < 2 or any(meta[:2] != (_MAGIC, _FORMAT) for meta in metas):
        raise CheckpointError(f"{file}: the cache is damaged (it is not an LMDB file); {_ADVICE}")
    _, _, page, last, _ = max(metas, key=lambda meta: meta[4])
    expected, size = (last + 1) * page, file.stat().st_size
    if expected - size > _SPARE_PAGES * page:
        raise CheckpointError(f"{file}: the cache is damaged (truncated to {size} of {expected} bytes); {_ADVICE}")
    if size < expected:
        with file.open("ab") as stream:  # appended zeros cannot overwrite concurrent writes
            stream.write(bytes(expected - size))


def _copy_entries(environment: lmdb.Environment, folder: Path) -> None:
    """Copy all tables, entry by entry, into a new file."""
    size = _GROWTH * environment.info()["map_size"]
    with lmdb.open(str(folder), map_size=size, max_dbs=len(_TABLES), sync=False, mode=0o666) as made:
        for name in _TABLES:
            source, target = environment.open_db(name, create=False), made.open_db(name)
            with environment.begin(db=source) as read, made.begin(db=target, write=True) as write:
                for key, value in read.cursor():
                    write.put(key, value, append=True)
        made.sync(True)


def _is_full(error: Exception) -> bool:
    """Return whether an error means that the disk is full; LMDB reports this only in its message."""
    if isinstance(error, OSError):
        return error.errno in FULL
    return any(os.strerror(number) in str(error) for number in FULL)


def _drop_first_format(environment: lmdb.Environment) -> None:
    """Delete entries of the first cache format, which were stored outside the tables."""
    if environment.stat()["entries"] <= len(_TABLES):
        return
    with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
        found = cursor.first()
        while found:
            found = cursor.next() if cursor.key() in _TABLES else cursor.delete()


def _lock(folder: Path, *, exclusive: bool) -> int | None:
    """Lock the cache until the descriptor is closed or the process ends.

    A shared lock is waited for. An exclusive lock is not: the result is ``None`` if another process holds a lock.
    """
    if sys.platform == "win32":
        return None
    descriptor = os.open(folder / USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX | fcntl.LOCK_NB) if exclusive else fcntl.LOCK_SH)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _release(descriptor: int | None) -> None:
    """Release a lock of :func:`_lock`."""
    if descriptor is not None:
        os.close(descriptor)


def _flush(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())


def _acquire_all_locks() -> None:
    """Wait for the transactions of all threads: a fork would inherit an open one and never end it."""
    _OPEN_LOCK.acquire()
    for opened in _OPEN.values():
        opened.lock.acquire()


def _release_all_locks() -> None:
    for opened in _OPEN.values():
        opened.lock.release()
    _OPEN_LOCK.release()


def _close_inherited() -> None:
    """Close the files that a fork inherited; the child opens them again on demand."""
    for opened in _OPEN.values():
        opened.environment.close()
        if opened.users is not None:
            os.close(opened.users)
    _OPEN.clear()
    _OPEN_LOCK.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_acquire_all_locks, after_in_parent=_release_all_locks, after_in_child=_close_inherited)
