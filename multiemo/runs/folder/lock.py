"""An exclusive lock on a folder, so that only one command writes to it.

It is an operating-system lock on the file ``.lock`` and is released when its process ends, even by a crash, a kill or a
power failure. The file may remain; its existence means nothing. On network file systems the lock works across machines
if the server supports locks (NFS 4, NFS with ``lockd``, Lustre with ``flock``).
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from multiemo.errors import CheckpointError
from multiemo.progress import Progress

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"
#: Descriptors of the locks that this process holds. Forked children inherit them and would keep them locked.
_HELD: set[int] = set()


@contextmanager
def lock_folder(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of a folder; in a run with several processes, only the first one calls this.

    Args:
        folder: existing folder.
        progress: receives a note if the file system does not support locks.

    Raises:
        CheckpointError: another process holds the lock, or the folder cannot be written.
    """
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written: {error.strerror or error}; choose another --out") from None
    try:
        why_not = _lock(descriptor, folder)
        _HELD.add(descriptor)
        if why_not is None:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, _signature().encode())
        else:
            progress.note(f"{folder} is not locked: {why_not}; make sure that no other process writes to it")
        yield
    finally:
        _HELD.discard(descriptor)
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> str | None:
    """Take the lock; returns the reason if locks are not supported.

    Raises:
        CheckpointError: another process holds the lock.
    """
    if sys.platform == "win32":
        return "this system has no such locks"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another process"
        raise CheckpointError(
            f"{folder}: {holder} is using this folder; wait for it to finish, stop it, or choose another --out"
        ) from None
    except OSError as error:  # file systems without locks return various errors
        return f"its file system has no locks ({error.strerror or error})"
    return None


def _signature() -> str:
    """Process id, host and time, written to the lock file for the error message of other processes."""
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return f"process {os.getpid()} on {socket.gethostname()}, since {since},\n"


def _close_inherited() -> None:
    """Close inherited lock descriptors in a forked child, so that only the parent holds the locks."""
    for descriptor in _HELD:
        with suppress(OSError):
            os.close(descriptor)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)
