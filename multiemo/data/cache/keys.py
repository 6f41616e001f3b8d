"""Keys of the cache: digests of everything that an entry was made from, with a last byte that says what it is.

A changed file, span, text, setting or weight is simply another key, so nothing in the cache is ever stale.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

#: Part of every key; raise it when preprocessing code changes what it returns.
PREPROCESSING_VERSION = 3

#: What an entry can be, by the last byte of its key. New kinds go to the end.
KINDS: tuple[str, ...] = ("other", "speech", "waveform", "face", "text", "features", "file digest")
_FILE_DIGEST = bytes([KINDS.index("file digest")])
_EMBEDDING = 0x80
_DIGEST_BYTES = 20


def kind_of(key: bytes) -> str:
    """What the entry of a key is, read from the key alone.

    Example:
        >>> kind_of(text_key("Hello.", (), {"kind": "text"}))
        'text'
        >>> kind_of(embedding_key(text_key("Hello.", (), {"kind": "text"}), "0af3"))
        'embedding of text'
    """
    last = key[-1] if key else 0
    place = last & ~_EMBEDDING
    kind = KINDS[place] if place < len(KINDS) else KINDS[0]
    return f"embedding of {kind}" if last & _EMBEDDING else kind


def file_memo_key(place: str, size: int, modified: int, inode: int) -> bytes:
    """The key under which the digest of a file is remembered.

    Args:
        place: absolute path.
        size: bytes.
        modified: nanoseconds.
        inode: number of the file itself, so that a link that is pointed elsewhere is noticed.
    """
    return _tagged(f"file:{place}:{size}:{modified}:{inode}".encode(), _FILE_DIGEST[0])


def is_file_digest(key: bytes) -> bool:
    """Whether a key is one of :func:`file_memo_key`."""
    return key[-1:] == _FILE_DIGEST


def span_key(content: str, start: float | None, end: float | None, fingerprint: Mapping[str, Any]) -> bytes:
    """The key of one preprocessed span of one file.

    Args:
        content: digest of the file's bytes.
        start, end: seconds, as the row has them.
        fingerprint: every setting of the preprocessor, as JSON values; its ``kind`` says what the entry is.
    """
    parts = [PREPROCESSING_VERSION, content, start, end, fingerprint]
    return _tagged(json.dumps(parts, sort_keys=True).encode(), _kind(fingerprint))


def text_key(text: str, context: Sequence[tuple[bool, str]], fingerprint: Mapping[str, Any]) -> bytes:
    """The key of one preprocessed text.

    Args:
        text: what is said.
        context: earlier utterances as (same speaker, text), oldest first.
        fingerprint: every setting of the preprocessor, its tokenizer among them, as JSON values.
    """
    parts = [PREPROCESSING_VERSION, "text", text, [[bool(same), said] for same, said in context], fingerprint]
    return _tagged(json.dumps(parts, sort_keys=True).encode(), KINDS.index("text"))


def embedding_key(input_key: bytes, weights: str) -> bytes:
    """The key of what a frozen encoder makes of one input.

    Args:
        input_key: of the preprocessed input, from :func:`span_key` or :func:`text_key`.
        weights: :func:`weights_digest` of the encoder.
    """
    tag = input_key[-1] if input_key else 0
    return _tagged(b"embedding:" + weights.encode() + b":" + input_key, tag | _EMBEDDING)


def weights_digest(state: Mapping[str, Tensor], facts: Any = None, threads: int | None = None) -> str:
    """A digest of weights: names, dtypes, shapes and bytes, whatever their order in ``state``, and of other facts.

    Tensors are hashed side by side, since hashing lets go of the interpreter.

    Args:
        state: {name: tensor}, on any device.
        facts: what else the output depends on (config, pooling, library version), as JSON values.
        threads: that hash at once; ``None`` = as many as torch uses.

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


def _tagged(content: bytes, tag: int) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest() + bytes([tag])
