"""An entry of the cache as bytes, and which entries go first."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import lmdb

from multiemo.data.cache.keys import is_file_digest
from multiemo.data.cache.store import Opened
from multiemo.types import Absent

if TYPE_CHECKING:
    from torch import Tensor


#: Before each entry: CRC-32 of its key, form and content; then its form, one of the three below.
HEADER = struct.Struct("<Ic")
TENSOR, ABSENT, DIGEST = b"+", b"-", b"="
#: In the table of uses: seconds since 1970, and bytes of the entry.
USE = struct.Struct("<dQ")


def evict(
    transaction: lmdb.Transaction, opened: Opened, target: int, keep: Mapping[bytes, Any] | None = None
) -> Iterator[tuple[float, bytes]]:
    """Delete the least recently used entries until at most ``target`` bytes are used; digests of files go last.

    Those take little room, and making one again takes reading its file.

    Args:
        transaction: one that writes.
        opened: the tables.
        target: bytes.
        keep: keys that stay.

    Yields:
        (last use in seconds since 1970, key) of each entry that is gone.
    """
    with transaction.cursor(db=opened.uses) as cursor:
        order = sorted((is_file_digest(bytes(key)), USE.unpack(use)[0], bytes(key)) for key, use in cursor)
    for _, used, key in order:
        if opened.used(transaction) <= target:
            return
        if keep is None or key not in keep:
            transaction.delete(key, db=opened.entries)
            transaction.delete(key, db=opened.uses)
            yield used, key


def encoded(key: bytes, value: Tensor | Absent) -> bytes:
    """The entry of a tensor, or of the reason why there is none."""
    if isinstance(value, Absent):
        return packed(key, ABSENT, value.reason.encode())
    from safetensors.torch import save as save_tensors

    return packed(key, TENSOR, save_tensors({"x": value.detach().contiguous()}))


def packed(key: bytes, form: bytes, content: bytes) -> bytes:
    """An entry with its checksum.

    Args:
        key: under which it is stored.
        form: ``TENSOR``, ``ABSENT`` or ``DIGEST``.
        content: safetensors bytes, a reason in UTF-8, or a digest in hexadecimal.
    """
    return HEADER.pack(_checksum(key, form, content), form) + content


def is_sound(key: bytes, stored: Any) -> bool:
    """Whether the bytes of an entry match its checksum."""
    if len(stored) < HEADER.size:
        return False
    checksum, form = HEADER.unpack_from(stored)
    return bool(checksum == _checksum(key, form, stored[HEADER.size :]))


def _checksum(key: bytes, form: bytes, content: Any) -> int:
    """CRC-32: against disks, not against people, and read at several GB/s."""
    return zlib.crc32(content, zlib.crc32(form, zlib.crc32(key)))
