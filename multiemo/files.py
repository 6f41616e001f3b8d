"""Writes files atomically, with a one-line error if they cannot be written."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path
from typing import Any

from multiemo.errors import CheckpointError, MultiemoError

#: Error numbers of a full disk, an exceeded quota and a file size limit.
FULL = (ENOSPC, EDQUOT, EFBIG)
#: Maximum length of a file name, in bytes, on common file systems.
_MAX_NAME_BYTES = 255
#: Error number in the message of a Rust I/O error.
_RUST = re.compile(r"(?:\(os error |\bOs \{ code: )(\d+)")


def parse_json(text: str | bytes) -> Any:
    """Parse JSON from a file that may be damaged or hostile.

    Raises:
        ValueError: the text is not JSON, not UTF-8, or so deeply nested that the parser would exhaust the stack.

    Example:
        >>> parse_json('{"a": [1, 2]}')
        {'a': [1, 2]}
        >>> parse_json("[" * 100_000)
        Traceback (most recent call last):
        ...
        ValueError: it is nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


@contextmanager
def draft(path: Path, *, size: int = 0, error: type[MultiemoError] = CheckpointError) -> Iterator[Path]:
    """Context with a temporary file beside ``path``, which replaces it atomically when the block succeeds.

    The file gets the mode of a new file, according to the umask or the folder's default ACL. Libraries that use a
    temporary file of their own would leave it readable only by its owner.

    Args:
        path: file to write; its folder is created if missing.
        size: number of bytes to be written, for the message; 0 if unknown.
        error: class of the error to raise.

    Yields:
        The path of the temporary file.

    Raises:
        MultiemoError: of the class ``error``: the disk is full or the folder cannot be written. An existing file is
            then unchanged.
    """
    made = _draft_of(path)
    if path.exists() and not path.is_file():
        raise error(f"{path}: cannot be written: it exists and is not a regular file; choose another place")
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
            made.unlink()  # before the free space is measured
        raise error(unwritable(path, reason, size, written=written)) from None
    finally:
        with suppress(OSError):
            made.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes, *, error: type[MultiemoError] = CheckpointError) -> None:
    """Replace a file atomically; raises like :func:`draft`.

    Args:
        path: file to write.
        content: text, encoded as UTF-8, or bytes.
        error: class of the error to raise.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with draft(path, size=len(data), error=error) as made:
        made.write_bytes(data)


def append_line(path: Path, line: str, *, error: type[MultiemoError] = CheckpointError) -> None:
    """Append a line to a log completely or not at all, in one write so that lines of several processes do not mix.

    Args:
        path: log file, created if missing.
        line: text without a newline at its end.
        error: class of the error to raise.

    Raises:
        MultiemoError: of the class ``error``: the disk is full or the file cannot be written.
    """
    data = (line + "\n").encode("utf-8")
    try:
        with path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                written = file.write(data)
                while written < len(data):  # after a partial write, the retry raises the reason
                    written += file.write(data[written:])
            except OSError:
                file.truncate(before)
                raise
    except OSError as found:
        raise error(unwritable(path, found, len(data))) from None


def system_error(found: Exception) -> OSError | None:
    """The operating-system error behind an exception, or ``None``; Rust libraries report it only in their message.

    Example:
        >>> system_error(ValueError("I/O error: No space left on device (os error 28)")).errno
        28
    """
    if isinstance(found, OSError):
        return found
    number = _RUST.search(str(found))
    return None if number is None else OSError(int(number[1]), os.strerror(int(number[1])))


def unwritable(path: Path, found: OSError, size: int = 0, *, written: int = 0) -> str:
    """The message for a file that cannot be written.

    Args:
        path: the file.
        found: error of the operating system.
        size: size of the content in bytes; 0 if unknown.
        written: number of bytes written before the error.
    """
    reason = found.strerror or str(found)
    if found.errno not in FULL:
        return f"{path}: cannot be written: {reason}; choose another place"
    free = shutil.disk_usage(next(place for place in (path.parent, *path.parent.parents) if place.exists())).free
    detail = f"{size:,} bytes, and {free:,} are free" if size else f"after {written:,} bytes; {free:,} are free"
    return f"{path}: cannot be written: {reason} ({detail}); free some space or choose another place"


def is_same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to the same file, which exists."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def _draft_of(path: Path) -> Path:
    """Path of the temporary file: the file's name with a suffix, or a hash if that would be too long."""
    name = f"{path.name}.tmp"
    if len(os.fsencode(name)) > _MAX_NAME_BYTES:
        name = hashlib.blake2b(os.fsencode(path.name), digest_size=16).hexdigest() + ".tmp"
    return path.with_name(name)
