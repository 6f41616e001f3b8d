"""Checks that the files a command needs exist, before any heavy import."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from multiemo.errors import CheckpointError, ManifestError

if TYPE_CHECKING:
    from multiemo.config import Config


def model_folder(path: Path) -> Path:
    """The folder with ``model.safetensors``: the path itself, or its subfolder ``model``.

    Raises:
        CheckpointError: neither is a model folder.
    """
    for folder in (path / "model", path):
        if (folder / "config.json").is_file() and (folder / "model.safetensors").is_file():
            return folder
    what = "no such folder" if not path.exists() else "no finished model in it (model.safetensors and config.json)"
    raise CheckpointError(f"{path}: {what}; give a folder that `multiemo train ... --out` has written")


def require_manifests(config: Config) -> None:
    """Check that all manifests of a config exist.

    Raises:
        ManifestError: one of them does not.
    """
    if config.data.manifest is not None:
        require_manifest(config.data.manifest, "data")
    for m in config.modalities:
        if m in config.data.sources:
            require_manifest(config.data.sources[m].manifest, f"data.sources.{m}")


def require_manifest(manifest: str, where: str) -> Path:
    """The path of a manifest that must exist.

    Args:
        manifest: path as written in the config.
        where: config path of its source, for the message.

    Raises:
        ManifestError: the file does not exist.
    """
    if not Path(manifest).is_file():
        here = "" if Path(manifest).is_absolute() else f" in {Path.cwd()}, where this command runs"
        raise ManifestError(
            f"{where}.manifest: no file {manifest!r}{here}; make it with `multiemo prepare CORPUS ROOT --out "
            f"{manifest}`, or give its path with {where}.manifest=PATH"
        )
    return Path(manifest)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        CheckpointError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()
