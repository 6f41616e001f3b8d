"""Read a user's copy of an academic lexicon."""

from __future__ import annotations

import hashlib
from pathlib import Path

from multiemo.errors import ConfigError
from multiemo.rules.lexicon.words import Lexicon


def lexicon_digest(path: Path) -> str:
    """The SHA-256 of a lexicon file, or of the names and contents of the files of a folder.

    Raises:
        ConfigError: there is nothing at the path, or it cannot be read.
    """
    if not path.exists():
        raise ConfigError(f"encoders.text.lexicon: {path} does not exist")
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    digest = hashlib.sha256()
    try:
        for file in files:
            if path.is_dir():
                digest.update(file.name.encode() + b"\0")
            digest.update(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"encoders.text.lexicon: {path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def read_lexicon(path: Path) -> Lexicon:
    """Read a lexicon."""
    raise ConfigError(f"encoders.text.lexicon: {path}: unknown format")
