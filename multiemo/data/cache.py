"""Preprocessed tensors on disk, addressed by what they were made from.

The key of an entry is a digest of the media file's content, the span, and the fingerprint of the preprocessor, so a
changed file, span or setting is simply another entry; nothing is ever stale. Entries are safetensors bytes in one
LMDB, memory-mapped and safe for many readers and one writer at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import lmdb
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from multiemo.errors import CheckpointError, MediaError
from multiemo.types import Absent

#: Part of every key; raise it when preprocessing code changes what it returns.
PREPROCESSING_VERSION = 1
_GROWTH = 4
_ENVIRONMENTS: dict[tuple[int, str], lmdb.Environment] = {}


def default_cache() -> Path:
    """``$MULTIEMO_CACHE``, else ``multiemo`` in the user's cache folder."""
    base = os.environ.get("MULTIEMO_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multiemo"


class TensorCache:
    """One LMDB of preprocessed tensors.

    Args:
        folder: made when missing.
        map_size: bytes reserved at first; grown when full.
    """

    def __init__(self, folder: Path, map_size: int = 1 << 30) -> None:
        self.folder = folder
        self._map_size = map_size

    def _open(self) -> lmdb.Environment:
        """The folder's environment; a process opens each only once, and a fork needs its own."""
        place = (os.getpid(), str(self.folder.resolve()))
        if place not in _ENVIRONMENTS:
            self.folder.mkdir(parents=True, exist_ok=True)
            size = max(self._map_size, sum(f.stat().st_size for f in self.folder.glob("data.mdb")) * 2)
            try:
                _ENVIRONMENTS[place] = lmdb.open(place[1], map_size=size, readahead=False, max_readers=512, sync=False)
            except lmdb.Error as error:
                raise CheckpointError(f"{self.folder}: the cache cannot be opened: {error}; remove it") from None
        return _ENVIRONMENTS[place]

    def close(self) -> None:
        """Flush to disk and let go of the file; the next use opens it again.

        Needed before a fork whose children use the cache. Single writes are not flushed: what is lost in a power cut is
        made again.
        """
        environment = _ENVIRONMENTS.pop((os.getpid(), str(self.folder.resolve())), None)
        if environment is not None:
            environment.sync(True)
            environment.close()

    def content_digest(self, path: Path) -> str:
        """Digest of a file's bytes, remembered by path, size and modification time.

        Raises:
            MediaError: the file is missing.
        """
        try:
            stat = path.stat()
        except OSError as error:
            raise MediaError(f"{path}: no such file ({error.strerror})") from None
        memo = f"file:{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}".encode()
        memo_key = hashlib.blake2b(memo, digest_size=20).digest()
        with self._open().begin() as reader:
            known = reader.get(memo_key)
        if known is not None:
            return str(bytes(known), "ascii")
        digest = hashlib.blake2b(digest_size=20)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        self._put(memo_key, digest.hexdigest().encode("ascii"))
        return digest.hexdigest()

    def key(self, path: Path, start: float | None, end: float | None, fingerprint: dict[str, Any]) -> bytes:
        """The key of one preprocessed span of one file."""
        parts = [PREPROCESSING_VERSION, self.content_digest(path), start, end, fingerprint]
        return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=20).digest()

    def get(self, key: bytes) -> Tensor | Absent | None:
        """The entry, or ``None``; an entry that cannot be read counts as none and is made again."""
        with self._open().begin() as reader:
            stored = reader.get(key)
        if stored is None:
            return None
        if stored[:1] == b"-":
            return Absent(str(stored[1:], "utf-8"))
        try:
            tensor: Tensor = load_tensors(bytes(stored[1:]))["x"]
            return tensor
        except (SafetensorError, KeyError):
            return None

    def put(self, key: bytes, value: Tensor | Absent) -> None:
        """Store an entry."""
        stored = b"-" + value.reason.encode() if isinstance(value, Absent) else b"+" + save_tensors({"x": value})
        self._put(key, stored)

    def _put(self, key: bytes, value: bytes) -> None:
        environment = self._open()
        while True:
            try:
                with environment.begin(write=True) as writer:
                    writer.put(key, value)
                return
            except lmdb.MapFullError:
                environment.set_mapsize(environment.info()["map_size"] * _GROWTH)
            except lmdb.MapResizedError:
                environment.set_mapsize(0)
