"""Encryption at rest of caches and model folders, with a key from a file or the environment.

``MULTIEMO_KEY_FILE`` names a file with the key, or ``MULTIEMO_KEY`` holds it: 32 random bytes in base64 or hexadecimal.
With a key, what is written is encrypted, and what is read may be either.

Every file or cache entry is sealed with AES-256-GCM under a key of its own, derived with HKDF-SHA256 from the key and
16 random bytes. Its name is part of the derivation, so that one file cannot be passed off as another. The content is
divided into chunks, whose numbers and whose last one are part of their nonces (the STREAM construction of Hoang et al.,
CRYPTO 2015), so chunks cannot be reordered, repeated or cut off.

A sealed content is ``magic, id of the key (8 bytes), salt (16 bytes), chunks``.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from multiemo.errors import CheckpointError, ConfigError
from multiemo.extras import require
from multiemo.files import write_atomically

KEY, KEY_FILE = "MULTIEMO_KEY", "MULTIEMO_KEY_FILE"
_MAGIC = b"MULTIEMO-SEALED1"
_KEY_BYTES, _ID_BYTES, _SALT_BYTES, _TAG_BYTES = 32, 8, 16, 16
_HEADER_BYTES = len(_MAGIC) + _ID_BYTES + _SALT_BYTES
_CHUNK_BYTES = 16 << 20
#: What to do about a missing or another key, for messages.
ADVICE = f"set {KEY_FILE} to the file with its key"


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key of encryption.

    Args:
        secret: 32 bytes.
    """

    secret: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        """8 bytes that tell keys apart and reveal nothing about them."""
        return _derived(self.secret, b"", b"id")[:_ID_BYTES]

    def seal(self, content: bytes, name: str | bytes) -> bytes:
        """Encrypt a content.

        Args:
            content: any bytes.
            name: name of the file or key of the entry; the same is needed to read it.
        """
        salt = secrets.token_bytes(_SALT_BYTES)
        cipher = self._cipher(salt, name)
        starts = range(0, max(1, len(content)), _CHUNK_BYTES)
        parts = [_MAGIC, self.id, salt]
        view = memoryview(content)
        for number, start in enumerate(starts):
            chunk = view[start : start + _CHUNK_BYTES]
            parts.append(cipher.encrypt(_nonce(number, last=number == len(starts) - 1), chunk, None))
        return b"".join(parts)

    def unseal(self, sealed: bytes, name: str | bytes, where: str) -> bytes:
        """Decrypt the result of :meth:`seal`.

        Args:
            sealed: result of :meth:`seal`.
            name: the name that it was sealed with.
            where: file or cache, for messages.

        Raises:
            CheckpointError: it was sealed with another key or name, or has been changed.
        """
        head = len(_MAGIC) + _ID_BYTES
        if sealed[len(_MAGIC) : head] != self.id:
            raise CheckpointError(f"{where}: is encrypted with another key; {ADVICE}")
        cipher = self._cipher(sealed[head:_HEADER_BYTES], name)
        step = _CHUNK_BYTES + _TAG_BYTES
        starts = range(_HEADER_BYTES, max(len(sealed), _HEADER_BYTES + 1), step)
        view = memoryview(sealed)
        try:
            return b"".join(
                cipher.decrypt(_nonce(number, last=number == len(starts) - 1), view[start : start + step], None)
                for number, start in enumerate(starts)
            )
        except _invalid():
            raise CheckpointError(
                f"{where}: was changed, cut off or renamed after it was encrypted; restore it from a copy"
            ) from None

    def _cipher(self, salt: bytes, name: str | bytes) -> Any:
        info = b"content:" + (name.encode("utf-8") if isinstance(name, str) else name)
        return _crypto("ciphers.aead").AESGCM(_derived(self.secret, salt, info))


def is_sealed(content: bytes) -> bool:
    """Whether a content is the result of :meth:`SecretKey.seal`."""
    return content[: len(_MAGIC)] == _MAGIC


def current_key() -> SecretKey | None:
    """The key that the environment names; ``None`` without one.

    Raises:
        ConfigError: it is not readable or not a key, both variables are set, or the package is missing.
    """
    value, file = os.environ.get(KEY), os.environ.get(KEY_FILE)
    if not value and not file:
        return None
    if value and file:
        raise ConfigError(f"{KEY} and {KEY_FILE} are both set; unset one of them")
    if file:
        try:
            value = Path(file).read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{KEY_FILE}: {file}: cannot be read ({getattr(error, 'strerror', 'not text')})"
            ) from None
    _crypto("ciphers.aead")
    return SecretKey(_secret(str(value).strip(), f"{KEY_FILE}: {file}" if file else KEY))


def read_sealed(path: Path) -> bytes:
    """The content of a file, decrypted if it is encrypted.

    Raises:
        OSError: it cannot be read.
        CheckpointError: it is encrypted, and the key is missing or another one, or the file was changed.
    """
    content = path.read_bytes()
    if not is_sealed(content):
        return content
    key = current_key()
    if key is None:
        raise CheckpointError(f"{path}: is encrypted; {ADVICE}")
    return key.unseal(content, path.name, str(path))


def write_sealed(path: Path, content: str | bytes) -> None:
    """Replace a file atomically, encrypted if there is a key; raises like :func:`write_atomically`.

    Args:
        path: file to write.
        content: text, encoded as UTF-8, or bytes.
    """
    key = current_key()
    data = content.encode("utf-8") if isinstance(content, str) else content
    write_atomically(path, data if key is None else key.seal(data, path.name))


def _secret(text: str, where: str) -> bytes:
    for decode in (bytes.fromhex, lambda each: base64.b64decode(each.translate(_URLSAFE), validate=True)):
        try:
            found = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(found) == _KEY_BYTES:
            return found
    raise ConfigError(f"{where}: is not 32 bytes in base64 or hexadecimal; `openssl rand -base64 32` makes a key")


_URLSAFE = str.maketrans("-_", "+/")


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


@lru_cache(maxsize=4096)
def _derived(secret: bytes, salt: bytes, info: bytes) -> bytes:
    kdf = _crypto("kdf.hkdf")
    made = kdf.HKDF(_crypto("hashes").SHA256(), length=_KEY_BYTES, salt=salt or None, info=b"multiemo:" + info)
    return bytes(made.derive(secret))


def _crypto(name: str) -> Any:
    return require(f"cryptography.hazmat.primitives.{name}", "encryption")


def _invalid() -> type[Exception]:
    found: type[Exception] = require("cryptography.exceptions", "encryption").InvalidTag
    return found
