"""One call at a time works in a folder: a lock of the operating system's, which ends with the process that holds it.

A crash, a kill or a power cut leaves nothing behind, for the file ``.lock`` is only where the lock is taken; that it
is there means nothing. On network file systems the lock holds between machines where the server has locks (NFS 4, NFS
with ``lockd``, Lustre with ``flock``).
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
#: Descriptors of the locks that this process holds. Its children inherit them and would hold on after its end.
_HELD: set[int] = set()


@contextmanager
def alone_in(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of a folder; the first of several processes of a run does this for all.

    Args:
        folder: is there.
        progress: is told where nothing is locked, for the file system has no locks.

    Raises:
        CheckpointError: another process holds it, or the folder cannot be written.
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
            progress.note(f"{folder} is not locked: {why_not}; see to it that nobody else writes there")
        yield
    finally:
        _HELD.discard(descriptor)
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> str | None:
    if sys.platform == "win32":
        return "this system has no such locks"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another process"
        raise CheckpointError(
            f"{folder}: {holder} works in it; let it end, or end it, or choose another --out"
        ) from None
    except OSError as error:  # file systems without locks say so in several ways
        return f"its file system has no locks ({error.strerror or error})"
    return None


def _signature() -> str:
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return f"process {os.getpid()} on {socket.gethostname()}, since {since},\n"


def _let_go() -> None:
    """In a child: close what its parent alone is to hold."""
    for descriptor in _HELD:
        with suppress(OSError):
            os.close(descriptor)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
