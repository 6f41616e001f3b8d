"""The cache of preprocessed tensors and of embeddings of frozen encoders, addressed by their inputs.

A key (:mod:`multiemo.data.cache.keys`) is a digest of content, span, settings and weights. A change in any of these
gives another key, so an entry is never stale. Entries are safetensors bytes with a checksum in one memory-mapped LMDB
file (:mod:`multiemo.data.cache.store`), with many readers and one writer at a time. Losing an entry is harmless: it is
computed again.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmdb
from safetensors import SafetensorError

from multiemo.data.cache.entries import (
    ABSENT,
    DIGEST,
    USE,
    check_encryption,
    encoded,
    evict,
    is_sound,
    packed,
    sealed,
    unpacked,
)
from multiemo.data.cache.keys import (
    PREPROCESSING_VERSION,
    content_digest,
    earlier_key,
    embedding_key,
    file_memo_key,
    kind_of,
    span_key,
    text_key,
    weights_digest,
)
from multiemo.data.cache.settings import default_limit
from multiemo.data.cache.store import DiskFullError, Opened, Store
from multiemo.encryption import current_key
from multiemo.errors import MediaError
from multiemo.types import Absent

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "PREPROCESSING_VERSION", "TensorCache", "embedding_key", "kind_of", "text_key",
    "weights_digest",
]  # fmt: skip

#: A use is recorded if the last recorded one is older than this, in seconds.
_USE_INTERVAL_S = 3600.0
_MAX_PENDING_USES = 1024
#: Share of the limit that remains in use after eviction.
_SHARE_AFTER_EVICTION = 0.9
#: Disk space that is left free: this many bytes, or this share of a small disk.
_RESERVE_BYTES, _RESERVE_SHARE = 1 << 30, 0.02


class TensorCache:
    """A cache of tensors in one LMDB file, for any number of processes and threads.

    When the limit is exceeded, the least recently used entries are deleted until nine tenths of it are used. Freed
    pages are reused, so the file stays near the limit; only ``multiemo cache prune`` makes it smaller. When the disk is
    nearly full, no more entries are stored and the work continues without them.

    Args:
        folder: folder of the cache; created if missing.
        map_size: initial size of the memory map, in bytes; grown when full.
        limit: bytes that entries may use; ``None`` = :func:`default_limit`.

    Attributes:
        corrupt: number of entries read by this object that did not match their checksum; they count as missing.
        evicted: number of entries that this object deleted to keep the limit.
        note: a message for the user, such as why no more entries are stored; ``None`` if there is none.
    """

    def __init__(self, folder: Path, map_size: int = 1 << 30, *, limit: int | None = None) -> None:
        self.folder = folder
        self.limit = default_limit() if limit is None else limit
        self.corrupt = 0
        self.evicted = 0
        self.note: str | None = None
        self._read_only = self._unreadable = False
        self._pending_uses: set[bytes] = set()
        self._key = current_key()
        self._checked = False
        self._store = Store(folder.resolve(), map_size)

    def close(self) -> None:
        """Record the pending uses, flush to disk and close the file; the next use opens it again.

        Single writes are not flushed: entries lost in a power failure are computed again.
        """
        try:
            self._flush_uses()
            self._store.close()
        except lmdb.Error as error:
            self._stop_writing(error)

    def content_digest(self, path: Path) -> str:
        """Return the digest of a file's bytes, cached by path, size, modification time and inode.

        Raises:
            MediaError: the file is missing.
        """
        try:
            stat = path.stat()
        except OSError as error:
            raise MediaError(f"{path}: no such file ({error.strerror})") from None
        memo = file_memo_key(os.path.abspath(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)
        (known,) = self._read([memo])
        if known is not None:
            return known[1].decode("ascii")
        digest = content_digest(path)
        self._put(memo, packed(memo, DIGEST, digest.encode("ascii")))
        return digest

    def key(self, path: Path, start: float | None, end: float | None, fingerprint: Mapping[str, Any]) -> bytes:
        """Return the key of one preprocessed span of a file.

        Args:
            path: media or feature file; the key depends on its content, not on its name.
            start, end: the span in seconds, as in the row.
            fingerprint: all settings of the preprocessor, as JSON values; for a feature file also the row or array.

        Raises:
            MediaError: the file is missing.
        """
        return span_key(self.content_digest(path), start, end, fingerprint)

    def get(self, key: bytes) -> Tensor | Absent | None:
        """Return an entry, or ``None`` if it is missing or damaged."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[bytes]) -> list[Tensor | Absent | None]:
        """Return the entries of many keys, read in one transaction; see :meth:`get`.

        Raises:
            CheckpointError: the file is damaged.
        """
        return [None if found is None else self._decoded(*found) for found in self._read(keys)]

    def put(self, key: bytes, value: Tensor | Absent) -> None:
        """Store an entry."""
        self.put_many([(key, value)])

    def put_many(self, items: Iterable[tuple[bytes, Tensor | Absent]]) -> None:
        """Store many entries in one transaction. If a key occurs twice, its last value is stored.

        Raises:
            CheckpointError: the file is damaged.
        """
        self._put_packed({key: encoded(key, value) for key, value in items})

    def touch(self, keys: Iterable[bytes]) -> None:
        """Record that entries were used now, in one transaction. Unknown keys are ignored.

        Reading does this automatically, in batches, for entries whose last use is more than an hour ago.
        """
        now, known = time.time(), set(keys)

        def write(transaction: lmdb.Transaction, opened: Opened) -> None:
            for key in known:
                use = transaction.get(key, db=opened.uses)
                if use is not None:
                    transaction.put(key, USE.pack(now, USE.unpack(use)[1]), db=opened.uses)

        if known and not self._read_only:
            self._try_write(write)

    # ------------------------------------------------------------------------------------------------------------
    def _read(self, keys: Sequence[bytes]) -> list[tuple[bytes, bytes] | None]:
        """Return (form, content) of each key, or ``None`` if its entry is missing or damaged."""

        def read(transaction: lmdb.Transaction, opened: Opened) -> list[tuple[bytes, bytes] | None]:
            self._check_encryption(transaction, opened)
            found: list[tuple[bytes, bytes] | None] = []
            old = time.time() - _USE_INTERVAL_S
            for key in keys:
                stored = transaction.get(key, db=opened.entries)
                if stored is None and (old_stored := transaction.get(earlier_key(key), db=opened.entries)) is not None:
                    key, stored = earlier_key(key), old_stored
                if stored is None or not is_sound(key, stored):
                    self.corrupt += stored is not None
                    found.append(None)
                    continue
                found.append(unpacked(key, stored, self._key, self.folder))
                use = transaction.get(key, db=opened.uses)
                if use is not None and USE.unpack(use)[0] < old:
                    self._pending_uses.add(key)
            return found

        if self._unreadable:
            return [None] * len(keys)
        try:
            found = self._store.run(read)
        except DiskFullError as error:
            self._unreadable = self._read_only = True
            self.note = f"{error}; continuing without the cache"
            return [None] * len(keys)
        if len(self._pending_uses) >= _MAX_PENDING_USES:
            self._flush_uses()
        return found

    def _check_encryption(self, transaction: lmdb.Transaction, opened: Opened) -> None:
        """As :func:`check_encryption`, once for each object."""
        if not self._checked:
            check_encryption(transaction, opened, self._key, self.folder)
            self._checked = True

    def _decoded(self, form: bytes, content: bytes) -> Tensor | Absent | None:
        if form == ABSENT:
            return Absent(str(content, "utf-8"))
        from safetensors.torch import load as load_tensors  # torch is needed only for tensors

        try:
            tensor: Tensor = load_tensors(content)["x"]
            return tensor
        except (SafetensorError, KeyError):
            self.corrupt += 1
            return None

    def _put(self, key: bytes, stored: bytes) -> None:
        self._put_packed({key: stored})

    def _put_packed(self, entries: Mapping[bytes, bytes]) -> None:
        if self._read_only or not entries:
            return
        if self._key is not None:
            entries = {key: sealed(key, stored, self._key) for key, stored in entries.items()}
        usage = shutil.disk_usage(self._nearest_folder())
        if usage.free < min(_RESERVE_BYTES, _RESERVE_SHARE * usage.total):
            self._stop_writing(f"the disk has only {usage.free / 1e6:.0f} MB left")
            return
        if sum(map(len, entries.values())) > self.limit:
            self.note = f"{self.folder}: entries above the cache's limit of {self.limit / 1e9:g} GB are not stored"
            return

        def write(transaction: lmdb.Transaction, opened: Opened) -> list[float]:
            self._check_encryption(transaction, opened)
            now = time.time()
            for key, stored in entries.items():
                transaction.put(key, stored, db=opened.entries)
                transaction.put(key, USE.pack(now, len(stored)), db=opened.uses)
            if opened.used(transaction) <= self.limit:
                return []
            return [
                used for used, _ in evict(transaction, opened, int(_SHARE_AFTER_EVICTION * self.limit), keep=entries)
            ]

        last_uses = self._try_write(write) or []
        self.evicted += len(last_uses)
        if last_uses and last_uses[-1] > time.time() - _USE_INTERVAL_S:
            self.note = (
                f"{self.folder}: the cache's limit of {self.limit / 1e9:g} GB is too small for this data: entries used "
                "within the last hour are being deleted; raise $MULTIEMO_CACHE_GB"
            )

    def _try_write(self, write: Any) -> Any:
        """Run ``write`` in a transaction; if the disk is full, stop storing entries and return ``None``."""
        try:
            return self._store.run(write, write=True)
        except (lmdb.Error, DiskFullError) as error:
            self._stop_writing(error)
            return None

    def _flush_uses(self) -> None:
        stale, self._pending_uses = self._pending_uses, set()
        self.touch(stale)

    def _stop_writing(self, reason: object) -> None:
        self._read_only = True
        self.note = self.note or f"{self.folder}: no more entries are cached: {reason}; continuing without the cache"

    def _nearest_folder(self) -> Path:
        return next(place for place in (self._store.folder, *self._store.folder.parents) if place.exists())
