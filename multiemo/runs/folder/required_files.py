"""Whether the files that a command names are there; said before anything heavy is imported."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from multiemo.errors import CheckpointError, ManifestError

if TYPE_CHECKING:
    from multiemo.config import Config


def model_folder(path: Path) -> Path:
    """The folder with ``model.safetensors``: the path itself, or its ``model`` folder.

    Raises:
        CheckpointError: neither is one.
    """
    for folder in (path / "model", path):
        if (folder / "config.json").is_file() and (folder / "model.safetensors").is_file():
            return folder
    what = "no such folder" if not path.exists() else "no finished model in it (model.safetensors and config.json)"
    raise CheckpointError(f"{path}: {what}; give a folder that `multiemo train ... --out` has written")


def require_manifests(config: Config) -> None:
    """Refuse a config whose manifests are not all there.

    Raises:
        ManifestError: one is not.
    """
    if config.data.manifest is not None:
        require_manifest(config.data.manifest, "data")
    for m in config.modalities:
        if m in config.data.sources:
            require_manifest(config.data.sources[m].manifest, f"data.sources.{m}")


def require_manifest(manifest: str, where: str) -> Path:
    """The path of a manifest.

    Args:
        manifest: as the config has it.
        where: the config path of its source, for the message.

    Raises:
        ManifestError: there is no such file.
    """
    if not Path(manifest).is_file():
        here = "" if Path(manifest).is_absolute() else f" in {Path.cwd()}, where this command runs"
        raise ManifestError(
            f"{where}.manifest: no file {manifest!r}{here}; make it with `multiemo prepare CORPUS ROOT --out "
            f"{manifest}`, or say where it is with {where}.manifest=PATH"
        )
    return Path(manifest)


def file_digest(path: Path) -> str:
    """SHA-256 of a file.

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
