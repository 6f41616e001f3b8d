"""Look-up of input kinds: the class of a kind, the input of an encoder, specs from JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from multiemo.errors import ConfigError
from multiemo.inputs.base import Input
from multiemo.registry import inputs
from multiemo.types import InputSpec, Modality


def kind_named(name: str) -> type[Input]:
    """The class registered for a kind. Its module is imported.

    Raises:
        ConfigError: no kind has this name.
    """
    found = inputs.get(name, where="input")
    assert isinstance(found, type)
    assert issubclass(found, Input)
    return found


def build_input(
    modality: Modality,
    spec: InputSpec,
    *,
    texts: Callable[[], Iterable[str]] | None = None,
    assets: Path | None = None,
) -> Input:
    """Build the input that feeds an encoder.

    Args:
        modality: modality of the encoder.
        spec: input specification of the encoder.
        texts: returns the training texts, for a tokenizer that has yet to be trained.
        assets: checkpoint folder that holds a tokenizer.
    """
    return kind_named(spec.kind).build(modality, spec, texts=texts, assets=assets)


def spec_from_dict(values: Mapping[str, Any]) -> InputSpec:
    """The inverse of :func:`multiemo.types.spec_to_dict`. Unknown keys, as other versions may write, are ignored.

    Raises:
        ConfigError: the kind is missing or unknown to this version.
        ValueError: a value has another type.

    Example:
        >>> from multiemo.types import TextSpec, spec_to_dict
        >>> spec_from_dict(spec_to_dict(TextSpec(max_tokens=32))).max_tokens
        32
    """
    name = values.get("kind")
    if not isinstance(name, str):
        raise ConfigError(f"input: its kind must be the name of a kind of input, not {name!r}")
    cls = kind_named(name).spec_type
    known = {f.name for f in fields(cls)}
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
    return _checked(cls, plain)


def _checked(cls: type[InputSpec], values: dict[str, Any]) -> InputSpec:
    """The spec, after a check of the types of its values, which are kept as they are: an integer stays one.

    Raises:
        ValueError: a value has another type; the message names it.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(cls).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"inputs.{place}: {first['msg']}, got {first['input']!r}") from None
    return cls(**values)
