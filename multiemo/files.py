"""Files that are written whole or not at all, and one line where they cannot be."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path

from multiemo.errors import CheckpointError, MultiemoError

#: What the system calls a disk, a quota or a limit that is used up.
FULL = (ENOSPC, EDQUOT, EFBIG)
#: Longest name of a file, in bytes, on the file systems in use.
_LONGEST = 255
_RUST = re.compile(r"(?:\(os error |\bOs \{ code: )(\d+)")


@contextmanager
def draft(path: Path, *, size: int = 0, error: type[MultiemoError] = CheckpointError) -> Iterator[Path]:
    """A file beside ``path`` to write to, put in its place in one step when the block ends well.

    Whatever wrote the draft, its mode is that of a new file, as the umask (or the folder's default ACL) has it:
    libraries that go through a temporary file of their own would leave it readable for its owner alone.

    Args:
        path: its folder is made.
        size: bytes that will be written, where that is known.
        error: what is raised.

    Raises:
        MultiemoError: of the class ``error``: the disk is full or the folder cannot be written. An older file is still
            there then.
    """
    made = _draft_of(path)
    if path.exists() and not path.is_file():
        raise error(f"{path}: cannot be written: it is no file that could be replaced; choose another place")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with made.open("wb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        yield made
        with made.open("rb+") as file:
            os.fsync(file.fileno())
        if stat.S_IMODE(made.stat().st_mode) != mode:
            made.chmod(mode)
        made.replace(path)
    except Exception as found:
        reason = system_error(found)
        if reason is None:
            raise
        written = made.stat().st_size if made.exists() else 0
        with suppress(OSError):
            made.unlink()  # before the free space is told
        raise error(unwritable(path, reason, size, written=written)) from None
    finally:
        with suppress(OSError):
            made.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes, *, error: type[MultiemoError] = CheckpointError) -> None:
    """Replace a file in one step; text becomes UTF-8. Raises as :func:`draft`."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with draft(path, size=len(data), error=error) as made:
        made.write_bytes(data)


def append_line(path: Path, line: str, *, error: type[MultiemoError] = CheckpointError) -> None:
    """Add a line to a log in one write, so that those of several processes do not mix; all of it or nothing.

    Raises:
        MultiemoError: of the class ``error``: the disk is full or the file cannot be written.
    """
    data = (line + "\n").encode("utf-8")
    try:
        with path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                written = file.write(data)
                while written < len(data):  # what did not fit tells why when it is tried again
                    written += file.write(data[written:])
            except OSError:
                file.truncate(before)
                raise
    except OSError as found:
        raise error(unwritable(path, found, len(data))) from None


def system_error(found: Exception) -> OSError | None:
    """The system's error that an exception is or tells of: libraries written in Rust tell it in words.

    Example:
        >>> system_error(ValueError("I/O error: No space left on device (os error 28)")).errno
        28
    """
    if isinstance(found, OSError):
        return found
    told = _RUST.search(str(found))
    return None if told is None else OSError(int(told[1]), os.strerror(int(told[1])))


def unwritable(path: Path, found: OSError, size: int = 0, *, written: int = 0) -> str:
    """One line for a file that cannot be written.

    Args:
        path: the file that was meant.
        found: what the system says.
        size: bytes of it; 0 where that is not known.
        written: bytes that were written before the end.
    """
    reason = found.strerror or str(found)
    if found.errno not in FULL:
        return f"{path}: cannot be written: {reason}; choose another place"
    free = shutil.disk_usage(next(place for place in (path.parent, *path.parent.parents) if place.exists())).free
    told = f"{size:,} bytes, and {free:,} are free" if size else f"after {written:,} bytes; {free:,} are free"
    return f"{path}: cannot be written: {reason} ({told}); free some space or choose another place"


def _draft_of(path: Path) -> Path:
    """Named after the file, where a longer name than its own is possible."""
    name = f"{path.name}.tmp"
    if len(os.fsencode(name)) > _LONGEST:
        name = hashlib.blake2b(os.fsencode(path.name), digest_size=16).hexdigest() + ".tmp"
    return path.with_name(name)
