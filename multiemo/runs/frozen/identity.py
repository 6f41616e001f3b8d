"""Digests of frozen encoders and backbones: the part of a cache key that stands for what computed the entry."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic_core import to_jsonable_python

from multiemo.data.cache.keys import content_digest, weights_digest
from multiemo.encoders.base import Encoder, FrozenPart
from multiemo.types import spec_to_dict

#: Options that say where weights are read from. The weights themselves are part of the digest.
_PLACES = frozenset({"model", "checkpoint", "assets"})


def embedding_digest(encoder: Encoder, precision: str) -> str:
    """Return a digest of all that a saved encoder is rebuilt from, so another embedding has another digest.

    Args:
        encoder: frozen encoder.
        precision: number format in which it runs.
    """
    named = {key: value for key, value in encoder.options.items() if key not in _PLACES}
    options = to_jsonable_python(named, fallback=repr)
    return weights_digest(encoder.state_dict(), [*_facts(encoder), options, precision])


def states_digest(encoder: Encoder, frozen: FrozenPart, precision: str) -> str:
    """Return a digest of the frozen part of an encoder. Options of the layers above it do not change the digest.

    Args:
        encoder: encoder with a frozen part.
        frozen: its :meth:`Encoder.frozen_part`.
        precision: number format in which it runs.
    """
    return weights_digest(frozen.weights, ["states", *_facts(encoder), frozen.settings, precision])


def _facts(encoder: Encoder) -> list[Any]:
    """The class, the input and the assets of an encoder, as JSON values."""
    with TemporaryDirectory(prefix="multiemo-") as folder:
        encoder.save_assets(Path(folder))
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        assets = {path.relative_to(folder).as_posix(): content_digest(path) for path in files}
    return [type(encoder).__name__, spec_to_dict(encoder.input_spec), assets]
