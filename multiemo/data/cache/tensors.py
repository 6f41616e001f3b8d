"""Preprocessed tensors and embeddings of frozen encoders on disk, addressed by what they were made from.

A key (:mod:`multiemo.data.cache.keys`) is a digest of content, span, settings and weights, so a change of any of them
is simply another entry; nothing is ever stale. Entries are safetensors bytes in one LMDB
(:mod:`multiemo.data.cache.store`), memory-mapped, with a checksum each, for many readers and one writer at a time. What
is there can be lost at any time without harm: it is made again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmdb
from safetensors import SafetensorError

from multiemo.data.cache.entries import ABSENT, DIGEST, HEADER, USE, encoded, evict, is_sound, packed
from multiemo.data.cache.keys import (
    PREPROCESSING_VERSION,
    embedding_key,
    file_memo_key,
    kind_of,
    span_key,
    text_key,
    weights_digest,
)
from multiemo.data.cache.settings import default_limit
from multiemo.data.cache.store import NoRoom, Opened, Store
from multiemo.errors import MediaError
from multiemo.types import Absent

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "PREPROCESSING_VERSION", "TensorCache", "embedding_key", "kind_of", "text_key",
    "weights_digest",
]  # fmt: skip

#: A use is written down when the last one is older than this, seconds.
_STALE = 3600.0
_STALE_KEYS = 1024
#: Share of the limit that is left after the least used entries have gone.
_KEPT = 0.9
#: Disk space that is left to others: this much, or this share of a small disk.
_RESERVE, _RESERVE_SHARE = 1 << 30, 0.02


class TensorCache:
    """One LMDB of tensors, for every process and thread that likes.

    Above the limit the least recently used entries go, down to nine tenths of it. Freed pages are filled again, so the
    file stays near the limit, but it shrinks only by ``multiemo cache prune``. Where the disk is (nearly) full nothing
    more is stored, and work goes on without.

    Args:
        folder: made when missing.
        map_size: bytes of address space reserved at first; grown when full.
        limit: bytes that entries may use; ``None`` = :func:`default_limit`.

    Attributes:
        corrupt: entries that did not match their checksum, counted by this object; each counts as missing.
        evicted: entries that this object removed to keep the limit.
        note: what the user should know, such as why nothing more is stored; ``None`` while all is well.
    """

    def __init__(self, folder: Path, map_size: int = 1 << 30, *, limit: int | None = None) -> None:
        self.folder = folder
        self.limit = default_limit() if limit is None else limit
        self.corrupt = 0
        self.evicted = 0
        self.note: str | None = None
        self._stopped = self._shut = False
        self._stale: set[bytes] = set()
        self._store = Store(folder.resolve(), map_size)

    def close(self) -> None:
        """Write down what was used, flush to disk and let go of the file; the next use opens it again.

        Single writes are not flushed: what is lost in a power cut is made again.
        """
        try:
            self._flush_uses()
            self._store.close()
        except lmdb.Error as error:
            self._stop(error)

    def content_digest(self, path: Path) -> str:
        """Digest of a file's bytes, remembered by path, size, modification time and inode.

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
        digest = hashlib.blake2b(digest_size=20)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        self._put(memo, packed(memo, DIGEST, digest.hexdigest().encode("ascii")))
        return digest.hexdigest()

    def key(self, path: Path, start: float | None, end: float | None, fingerprint: Mapping[str, Any]) -> bytes:
        """The key of one preprocessed span of one file.

        Args:
            path: media or feature file; its content counts, not its name.
            start, end: seconds, as the row has them.
            fingerprint: every setting of the preprocessor, as JSON values; of a feature file also which row or array.

        Raises:
            MediaError: the file is missing.
        """
        return span_key(self.content_digest(path), start, end, fingerprint)

    def get(self, key: bytes) -> Tensor | Absent | None:
        """The entry, or ``None``; an entry that is damaged counts as none, and is made again."""
        return self.get_many([key])[0]

    def get_many(self, keys: Sequence[bytes]) -> list[Tensor | Absent | None]:
        """The entries of many keys, read in one transaction; as :meth:`get`.

        Raises:
            CheckpointError: the file is damaged.
        """
        return [None if found is None else self._decoded(*found) for found in self._read(keys)]

    def put(self, key: bytes, value: Tensor | Absent) -> None:
        """Store an entry."""
        self.put_many([(key, value)])

    def put_many(self, items: Iterable[tuple[bytes, Tensor | Absent]]) -> None:
        """Store many entries in one transaction; of one key the last counts.

        Raises:
            CheckpointError: the file is damaged.
        """
        self._putpacked({key: encoded(key, value) for key, value in items})

    def touch(self, keys: Iterable[bytes]) -> None:
        """Write down that entries were used now, in one transaction; unknown keys are passed over.

        Reading does this by itself for entries that were not used for an hour, many at a time.
        """
        now, known = time.time(), set(keys)

        def write(transaction: lmdb.Transaction, opened: Opened) -> None:
            for key in known:
                use = transaction.get(key, db=opened.uses)
                if use is not None:
                    transaction.put(key, USE.pack(now, USE.unpack(use)[1]), db=opened.uses)

        if known and not self._stopped:
            self._guarded(write)

    # ------------------------------------------------------------------------------------------------------------
    def _read(self, keys: Sequence[bytes]) -> list[tuple[bytes, bytes] | None]:
        """(form, content) of each key whose entry is there and sound."""

        def read(transaction: lmdb.Transaction, opened: Opened) -> list[tuple[bytes, bytes] | None]:
            found: list[tuple[bytes, bytes] | None] = []
            old = time.time() - _STALE
            for key in keys:
                stored = transaction.get(key, db=opened.entries)
                if stored is None or not is_sound(key, stored):
                    self.corrupt += stored is not None
                    found.append(None)
                    continue
                found.append((HEADER.unpack_from(stored)[1], bytes(stored[HEADER.size :])))
                use = transaction.get(key, db=opened.uses)
                if use is not None and USE.unpack(use)[0] < old:
                    self._stale.add(key)
            return found

        if self._shut:
            return [None] * len(keys)
        try:
            found = self._store.run(read)
        except NoRoom as error:
            self._shut = self._stopped = True
            self.note = f"{error}; work goes on without it"
            return [None] * len(keys)
        if len(self._stale) >= _STALE_KEYS:
            self._flush_uses()
        return found

    def _decoded(self, form: bytes, content: bytes) -> Tensor | Absent | None:
        if form == ABSENT:
            return Absent(str(content, "utf-8"))
        from safetensors.torch import load as load_tensors  # torch is needed only where a tensor is

        try:
            tensor: Tensor = load_tensors(content)["x"]
            return tensor
        except (SafetensorError, KeyError):
            self.corrupt += 1
            return None

    def _put(self, key: bytes, stored: bytes) -> None:
        self._putpacked({key: stored})

    def _putpacked(self, entries: Mapping[bytes, bytes]) -> None:
        if self._stopped or not entries:
            return
        usage = shutil.disk_usage(self._existing())
        if usage.free < min(_RESERVE, _RESERVE_SHARE * usage.total):
            self._stop(f"only {usage.free / 1e6:.0f} MB are free on the disk")
            return
        if sum(map(len, entries.values())) > self.limit:
            self.note = f"{self.folder}: entries larger than the cache's limit of {self.limit / 1e9:g} GB are not kept"
            return

        def write(transaction: lmdb.Transaction, opened: Opened) -> list[float]:
            now = time.time()
            for key, stored in entries.items():
                transaction.put(key, stored, db=opened.entries)
                transaction.put(key, USE.pack(now, len(stored)), db=opened.uses)
            if opened.used(transaction) <= self.limit:
                return []
            return [used for used, _ in evict(transaction, opened, int(_KEPT * self.limit), keep=entries)]

        gone = self._guarded(write) or []
        self.evicted += len(gone)
        if gone and gone[-1] > time.time() - _STALE:
            self.note = (
                f"{self.folder}: the cache's limit of {self.limit / 1e9:g} GB is too small for this data: entries go "
                "that were used within the hour; raise $MULTIEMO_CACHE_GB"
            )

    def _guarded(self, write: Any) -> Any:
        """``write`` in a transaction; a disk that takes nothing more ends storing, not the work."""
        try:
            return self._store.run(write, write=True)
        except (lmdb.Error, NoRoom) as error:
            self._stop(error)
            return None

    def _flush_uses(self) -> None:
        stale, self._stale = self._stale, set()
        self.touch(stale)

    def _stop(self, reason: object) -> None:
        self._stopped = True
        self.note = self.note or f"{self.folder}: the cache stores nothing more: {reason}; work goes on without it"

    def _existing(self) -> Path:
        return next(place for place in (self._store.folder, *self._store.folder.parents) if place.exists())
