"""Keys of the cache: a digest of the origin, a digest of everything that an entry was computed from, and its kind.

The origin is the span of a file or the text that an entry was made from. All entries of a clip begin with it, whatever
settings and weights they were made with, so they can be found and removed. A changed file, span, text, setting or
weight results in another key, so an entry is never stale.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

#: Part of every key; increment it when the output of preprocessing code changes.
PREPROCESSING_VERSION = 4

#: Kinds of entries, indexed by the last byte of the key. Append new kinds at the end.
KINDS: tuple[str, ...] = ("other", "speech", "waveform", "face", "text", "features", "file digest")
_FILE_DIGEST = bytes([KINDS.index("file digest")])
#: Bit of the last byte that marks an embedding.
_EMBEDDING = 0x80
_DIGEST_BYTES = 20
#: Length of the digest of an origin, the first bytes of a key. Keys of earlier versions begin without it.
ORIGIN_BYTES = 8
#: Length of a key.
KEY_BYTES = ORIGIN_BYTES + _DIGEST_BYTES + 1


def kind_of(key: bytes) -> str:
    """Return the kind of an entry from its key.

    Example:
        >>> kind_of(text_key("Hello.", (), {"kind": "text"}))
        'text'
        >>> kind_of(embedding_key(text_key("Hello.", (), {"kind": "text"}), "0af3"))
        'embedding of text'
    """
    last = key[-1] if key else 0
    index = last & ~_EMBEDDING
    kind = KINDS[index] if index < len(KINDS) else KINDS[0]
    return f"embedding of {kind}" if last & _EMBEDDING else kind


def content_digest(path: Path) -> str:
    """Return the digest of a file's bytes, from which the keys of its spans are made.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_memo_key(path: str, size: int, modified: int, inode: int) -> bytes:
    """Return the key under which the digest of a file is stored.

    Args:
        path: absolute path.
        size: size of the file, in bytes.
        modified: modification time, in nanoseconds.
        inode: inode of the file, so that a link to a different file gets another key.
    """
    content = f"file:{path}:{size}:{modified}:{inode}".encode(errors="surrogateescape")
    return _tagged(file_origin(path), content, _FILE_DIGEST[0])


def file_origin(path: str) -> bytes:
    """Return the first bytes of the keys under which digests of a file are stored, whatever version of the file.

    Args:
        path: absolute path.
    """
    return _origin("file", path)


def span_origin(content: str, start: float | None, end: float | None) -> bytes:
    """Return the first bytes of the keys of everything made from one span of a file.

    Args:
        content: digest of the file's bytes.
        start, end: the span in seconds, as in the row.
    """
    return _origin("span", content, start, end)


def text_origin(text: str) -> bytes:
    """Return the first bytes of the keys of everything made from a text, with any context."""
    return _origin("text", text)


def earlier_key(key: bytes) -> bytes:
    """Return the key of the same entry in a cache of an earlier version, which did not record origins."""
    return key[ORIGIN_BYTES:]


def is_file_digest(key: bytes) -> bool:
    """Return whether a key was made by :func:`file_memo_key`."""
    return key[-1:] == _FILE_DIGEST


def span_key(content: str, start: float | None, end: float | None, fingerprint: Mapping[str, Any]) -> bytes:
    """Return the key of one preprocessed span of a file.

    Args:
        content: digest of the file's bytes.
        start, end: the span in seconds, as in the row.
        fingerprint: all settings of the preprocessor, as JSON values; its ``kind`` is the kind of the entry.
    """
    parts = [PREPROCESSING_VERSION, content, start, end, fingerprint]
    return _tagged(span_origin(content, start, end), json.dumps(parts, sort_keys=True).encode(), _kind(fingerprint))


def text_key(text: str, context: Sequence[tuple[bool, str]], fingerprint: Mapping[str, Any]) -> bytes:
    """Return the key of one preprocessed text.

    Args:
        text: the text of the clip.
        context: earlier utterances as (same speaker, text), oldest first.
        fingerprint: all settings of the preprocessor including its tokenizer, as JSON values.
    """
    parts = [PREPROCESSING_VERSION, "text", text, [[bool(same), words] for same, words in context], fingerprint]
    return _tagged(text_origin(text), json.dumps(parts, sort_keys=True).encode(), KINDS.index("text"))


def embedding_key(input_key: bytes, weights: str) -> bytes:
    """Return the key of the embedding that a frozen encoder computes from one input.

    Args:
        input_key: key of the preprocessed input, from :func:`span_key` or :func:`text_key`.
        weights: :func:`weights_digest` of the encoder.
    """
    tag, content = input_key[-1], b"embedding:" + weights.encode() + b":" + earlier_key(input_key)
    return _tagged(input_key[:ORIGIN_BYTES], content, tag | _EMBEDDING)


def weights_digest(state: Mapping[str, Tensor], facts: Any = None, threads: int | None = None) -> str:
    """Return a hexadecimal digest of weights (names, dtypes, shapes and bytes, in any order) and of other facts.

    Tensors are hashed in parallel, since hashing releases the GIL.

    Args:
        state: {name: tensor}, on any device.
        facts: everything else that the output depends on (config, pooling, library version), as JSON values.
        threads: number of hashing threads; ``None`` = as many as torch uses.

    Example:
        >>> import torch
        >>> a = {"w": torch.zeros(2), "b": torch.ones(1)}
        >>> weights_digest(a) == weights_digest(dict(reversed(a.items())))
        True
        >>> weights_digest(a) == weights_digest(a, {"pooling": "mean"})
        False
    """
    import torch

    names = sorted(state)
    with ThreadPoolExecutor(threads or torch.get_num_threads()) as pool:
        digests = pool.map(lambda name: _tensor_digest(state[name]), names)
        parts = [facts, [[name, *digest] for name, digest in zip(names, digests, strict=True)]]
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _tensor_digest(tensor: Tensor) -> tuple[str, list[int], str]:
    import torch

    plain = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    content = hashlib.blake2b(plain.numpy().data, digest_size=_DIGEST_BYTES).hexdigest()
    return str(tensor.dtype), list(tensor.shape), content


def _kind(fingerprint: Mapping[str, Any]) -> int:
    kind = fingerprint.get("kind")
    return KINDS.index(kind) if kind in KINDS else 0


def _origin(*parts: object) -> bytes:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=ORIGIN_BYTES).digest()


def _tagged(origin: bytes, content: bytes, tag: int) -> bytes:
    return origin + hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest() + bytes([tag])
