"""The LMDB file behind the cache: opened once a process, looked over before it is mapped, grown when it is full.

Entries and their last uses are two tables of one file, so that uses can be counted and sorted without reading entries.
A file that is cut short would end the process with a bus error when LMDB reads past its end, so the size is held
against the meta pages first. What that cannot see is garbage inside a page of the tree.
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

#: The file, and the one that openers lock.
DATA, LOCK, USERS = "data.mdb", "lock.mdb", "users.lock"
_GROWTH = 2
_TABLES = (b"entries", b"uses")
#: First fields of an LMDB meta page (lmdb 0.9, 64 bits): magic, format, page size, last page used, transaction.
_META = struct.Struct("=16xII16xI92xQQ")
_MAGIC, _FORMAT = 0xBEEFC0DE, 1
#: The last pages of a sound file may never have been written, when the transaction that took them gave them back.
_SPARE_PAGES = 64
#: Bytes that must be free to begin: LMDB maps its lock file, and a map that finds no room ends the process.
_ROOM = 1 << 20
_ADVICE = "`multiemo cache prune --all` removes it, and it is filled again"
_OPEN: dict[Path, Opened] = {}
_OPENING = threading.Lock()


class NoRoom(CheckpointError):
    """The disk has no room for the file; what the cache would have held can be made without it."""


@dataclass(slots=True)
class Opened:
    """One process's hold on the file.

    Args:
        environment: LMDB's.
        entries: table {key: entry}.
        uses: table {key: last use and size}.
        users: descriptor of the lock that says that the file is open, or ``None`` where there are no such locks.
        lock: held during a transaction, since a map must not grow under another thread.
    """

    environment: lmdb.Environment
    entries: Any
    uses: Any
    users: int | None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def used(self, transaction: lmdb.Transaction) -> int:
        """Bytes of the pages that hold entries and uses, without reading them."""
        stats = [transaction.stat(table) for table in (self.entries, self.uses)]
        return sum(s["psize"] * (s["branch_pages"] + s["leaf_pages"] + s["overflow_pages"]) for s in stats)


@dataclass(slots=True)
class Store:
    """A folder with the file; every process and thread may use it, also after a fork.

    Args:
        folder: absolute; made when missing.
        map_size: bytes of address space at first.
    """

    folder: Path
    map_size: int = 1 << 30

    @property
    def file(self) -> Path:
        """The LMDB file."""
        return self.folder / DATA

    def open(self) -> Opened:
        """This process's hold on the file, taken when there is none.

        Raises:
            CheckpointError: the file is damaged, or the folder cannot be used (:class:`NoRoom`: as the disk is full).
        """
        found = _OPEN.get(self.folder)
        if found is None:
            with _OPENING:
                found = _OPEN.get(self.folder) or self._open()
                _OPEN[self.folder] = found
        return found

    def close(self) -> None:
        """Flush to disk and let go of the file."""
        with _OPENING:
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
        """``work`` in one transaction; once more from the start when the map had to grow.

        Raises:
            CheckpointError: the file is damaged.
            lmdb.Error: it cannot be written, for instance because the disk is full.
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

    def alone(self) -> int | None:
        """A lock that keeps everybody else from opening the file, or ``None`` while somebody has it open."""
        return _lock(self.folder, alone=True)

    def remove(self) -> None:
        """Delete the file; for holders of :meth:`alone`."""
        for name in (DATA, LOCK):
            (self.folder / name).unlink(missing_ok=True)

    def compact(self) -> None:
        """Write the file again without its free pages; for holders of :meth:`alone`.

        Raises:
            CheckpointError: the file is damaged.
            OSError, lmdb.Error: there is no room for the copy; the file stays as it was.
        """
        draft = self.folder / "compact"
        draft.mkdir(exist_ok=True)
        try:
            check_file(self.file)
            with lmdb.open(str(self.folder), readonly=True, lock=False, max_dbs=len(_TABLES)) as environment:
                environment.copy(str(draft), compact=True)
            _flush(draft / DATA)
            (self.folder / LOCK).unlink(missing_ok=True)
            (draft / DATA).replace(self.file)
        finally:
            (draft / DATA).unlink(missing_ok=True)
            draft.rmdir()

    def _open(self) -> Opened:
        users = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            users = _lock(self.folder, alone=False)
            if not (self.folder / LOCK).exists() and shutil.disk_usage(self.folder).free < _ROOM:
                raise OSError(ENOSPC, os.strerror(ENOSPC))
            check_file(self.file)
            size = max(self.map_size, _GROWTH * self.file.stat().st_size if self.file.exists() else 0)
            environment = lmdb.open(
                str(self.folder), map_size=size, max_dbs=len(_TABLES), max_readers=512, readahead=False, sync=False,
                mode=0o666,
            )  # fmt: skip
            environment.reader_check()
            entries, uses = (environment.open_db(name) for name in _TABLES)
            _drop_others(environment)
        except (lmdb.CorruptedError, lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.PageNotFoundError) as error:
            _release(users)
            raise CheckpointError(f"{self.file}: the cache is damaged ({error}); {_ADVICE}") from None
        except (lmdb.Error, OSError) as error:
            _release(users)
            if _is_full(error):
                raise NoRoom(f"{self.folder}: the cache cannot be opened, as the disk is full ({error})") from None
            raise CheckpointError(
                f"{self.folder}: the cache cannot be opened ({error}); name another folder with data.cache or "
                "$MULTIEMO_CACHE"
            ) from None
        except CheckpointError:
            _release(users)
            raise
        return Opened(environment, entries, uses, users)


def check_file(file: Path) -> None:
    """Refuse a file that LMDB would not survive reading; a missing or empty one is fine.

    Raises:
        CheckpointError: it is no LMDB file, or shorter than its own meta pages say.
    """
    if not file.exists() or not file.stat().st_size or sys.maxsize < 1 << 32:
        return
    with file.open("rb") as reading:
        metas = []
        first = reading.read(_META.size)
        if len(first) == _META.size:
            metas.append(_META.unpack(first))
            reading.seek(metas[0][2])
            second = reading.read(_META.size)
            metas += [_META.unpack(second)] if len(second) == _META.size else []
    if len(metas) < 2 or any(meta[:2] != (_MAGIC, _FORMAT) for meta in metas):
        raise CheckpointError(f"{file}: the cache is damaged (it does not begin like an LMDB file); {_ADVICE}")
    _, _, page, last, _ = max(metas, key=lambda meta: meta[4])
    wanted, size = (last + 1) * page, file.stat().st_size
    if wanted - size > _SPARE_PAGES * page:
        raise CheckpointError(f"{file}: the cache is damaged (cut short, {size} of {wanted} bytes); {_ADVICE}")
    if size < wanted:
        with file.open("ab") as ending:  # appended zeros cannot overwrite what another process writes meanwhile
            ending.write(bytes(wanted - size))


def _is_full(error: Exception) -> bool:
    """Whether the system says so; LMDB gives its words only."""
    if isinstance(error, OSError):
        return error.errno in FULL
    return any(os.strerror(number) in str(error) for number in FULL)


def _drop_others(environment: lmdb.Environment) -> None:
    """Delete entries of the first format, which stood beside the tables."""
    if environment.stat()["entries"] <= len(_TABLES):
        return
    with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
        there = cursor.first()
        while there:
            there = cursor.next() if cursor.key() in _TABLES else cursor.delete()


def _lock(folder: Path, *, alone: bool) -> int | None:
    """A shared lock (waited for) or the only one (``None`` if others hold it); ends with the process at the latest."""
    if sys.platform == "win32":
        return None
    descriptor = os.open(folder / USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX | fcntl.LOCK_NB) if alone else fcntl.LOCK_SH)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _release(descriptor: int | None) -> None:
    """Let go of a lock of :func:`_lock`."""
    if descriptor is not None:
        os.close(descriptor)


def _flush(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())


def _before_fork() -> None:
    """No transaction may be under way in another thread: the fork would hold its place and never end it."""
    _OPENING.acquire()
    for opened in _OPEN.values():
        opened.lock.acquire()


def _after_in_parent() -> None:
    for opened in _OPEN.values():
        opened.lock.release()
    _OPENING.release()


def _after_in_child() -> None:
    """A fork lets go of what it inherited, and opens the file for itself when it needs it."""
    for opened in _OPEN.values():
        opened.environment.close()
        if opened.users is not None:
            os.close(opened.users)
    _OPEN.clear()
    _OPENING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
