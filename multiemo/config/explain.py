"""Turns a validation error of pydantic into one line that names the config key."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from multiemo.errors import ConfigError


def explain(error: ValidationError, model: type[BaseModel], prefix: str = "") -> ConfigError:
    """The first problem of a validation error as one line.

    Args:
        error: validation error of pydantic.
        model: config section that was validated.
        prefix: config path of that section, with a trailing dot.
    """
    first = error.errors()[0]
    location = [key if key.isprintable() else repr(key) for key in map(str, first["loc"])]
    path = prefix + ".".join(location)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        close = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; known keys: {', '.join(known)}"
        return ConfigError(f"{path}: unknown config key{hint}{more}")
    if first["type"] == "missing":
        return ConfigError(f"{path}: this key is required{more}")
    if first["type"] == "value_error":
        message = first["msg"].removeprefix("Value error, ")
        return ConfigError(f"{path + ': ' if path else ''}{message}{more}")
    message = first["msg"][0].lower() + first["msg"][1:]
    return ConfigError(f"{path}: {message}, got {first['input']!r}{more}")


def _keys_at(model: type[BaseModel], location: Sequence[str]) -> list[str]:
    """Names of the keys in the section at a path."""
    here: Any = model
    for part in location:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = here.model_fields[part].annotation if part in here.model_fields else None
        elif get_origin(here) is dict:
            here = get_args(here)[1]
        if get_origin(here) in (Union, UnionType):
            here = next((a for a in get_args(here) if a is not type(None)), None)
    return list(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []
