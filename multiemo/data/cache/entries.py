"""The binary format of cache entries, and their eviction in the order of last use."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import lmdb

from multiemo.data.cache.keys import is_file_digest
from multiemo.data.cache.store import Opened
from multiemo.encryption import ADVICE, SecretKey
from multiemo.errors import CheckpointError
from multiemo.types import Absent

if TYPE_CHECKING:
    from torch import Tensor


#: Header of an entry: CRC-32 of its key, form and content; then its form, one of those below.
HEADER = struct.Struct("<Ic")
TENSOR, ABSENT, DIGEST = b"+", b"-", b"="
#: Form of an encrypted entry, whose content is the encrypted form and content.
SEALED = b"*"
#: Record in the table of uses: last use (seconds since 1970) and size of the entry (bytes).
USE = struct.Struct("<dQ")


def evict(
    transaction: lmdb.Transaction, opened: Opened, target: int, keep: Mapping[bytes, Any] | None = None
) -> Iterator[tuple[float, bytes]]:
    """Delete the least recently used entries until at most ``target`` bytes are used.

    File digests are deleted last: they are small, and computing one again requires reading the whole file.

    Args:
        transaction: a write transaction.
        opened: the tables.
        target: limit, in bytes.
        keep: keys that are never deleted.

    Yields:
        (last use in seconds since 1970, key) of each deleted entry.
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
    """Encode a tensor, or the reason for its absence, as an entry."""
    if isinstance(value, Absent):
        return packed(key, ABSENT, value.reason.encode())
    from safetensors.torch import save as save_tensors

    return packed(key, TENSOR, save_tensors({"x": value.detach().contiguous()}))


def packed(key: bytes, form: bytes, content: bytes) -> bytes:
    """Assemble an entry with its checksum.

    Args:
        key: key of the entry.
        form: ``TENSOR``, ``ABSENT``, ``DIGEST`` or ``SEALED``.
        content: safetensors bytes, a reason in UTF-8, a hexadecimal digest, or another entry encrypted.
    """
    return HEADER.pack(_checksum(key, form, content), form) + content


def sealed(key: bytes, stored: bytes, secret: SecretKey) -> bytes:
    """Encrypt an entry, bound to its key.

    Args:
        key: key of the entry.
        stored: result of :func:`packed`.
        secret: key of the encryption.
    """
    return packed(key, SEALED, secret.seal(stored[HEADER.size - 1 :], key))


def unpacked(key: bytes, stored: Any, secret: SecretKey | None, where: object) -> tuple[bytes, bytes]:
    """Return (form, content) of an entry, decrypted if it is encrypted.

    Args:
        key: key of the entry.
        stored: bytes of the entry.
        secret: key of the encryption.
        where: folder of the cache, for messages.

    Raises:
        CheckpointError: the entry is encrypted, and the key is missing or another one, or the entry was changed.
    """
    form, content = HEADER.unpack_from(stored)[1], bytes(stored[HEADER.size :])
    if form != SEALED:
        return form, content
    if secret is None:
        raise CheckpointError(f"{where}: the cache is encrypted; {ADVICE}, or choose another folder with data.cache")
    plain = secret.unseal(content, key, f"{where}: an entry of the cache")
    return plain[:1], plain[1:]


def check_encryption(transaction: lmdb.Transaction, opened: Opened, secret: SecretKey | None, where: object) -> None:
    """Refuse to mix entries that are encrypted with others, judged by the first entry.

    Args:
        transaction: any transaction.
        opened: the tables.
        secret: key of the encryption; ``None`` if new entries will not be encrypted.
        where: folder of the cache, for messages.

    Raises:
        CheckpointError: the entries of the cache are encrypted with another key, or not although there is a key, or
            they are although there is none.
    """
    with transaction.cursor(db=opened.entries) as cursor:
        if not cursor.first() or len(cursor.value()) < HEADER.size:
            return
        unpacked(bytes(cursor.key()), cursor.value(), secret, where)
        if secret is not None and HEADER.unpack_from(cursor.value())[1] != SEALED:
            raise CheckpointError(
                f"{where}: the cache holds entries that are not encrypted; choose another folder with data.cache or "
                "$MULTIEMO_CACHE, or remove them with `multiemo cache prune --all`"
            )


def is_sound(key: bytes, stored: Any) -> bool:
    """Return whether the bytes of an entry match its checksum."""
    if len(stored) < HEADER.size:
        return False
    checksum, form = HEADER.unpack_from(stored)
    return bool(checksum == _checksum(key, form, stored[HEADER.size :]))


def _checksum(key: bytes, form: bytes, content: Any) -> int:
    """Return the CRC-32 of an entry. It detects disk errors, not tampering, and runs at several GB/s."""
    return zlib.crc32(content, zlib.crc32(form, zlib.crc32(key)))
