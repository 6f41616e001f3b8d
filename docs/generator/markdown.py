"""Markdown from code: tables of options, types in words, docstrings as prose."""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticUndefined

from multiemo.records import documented_arguments

#: The head of a table of options: the name of its first column goes in.
HEADER = "| {} | type | default | meaning |\n|---|---|---|---|\n"
_SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def option_table(first: str, rows: Sequence[tuple[str, Any, Any, str]]) -> str:
    """A table of options.

    Args:
        first: heading of the first column.
        rows: (name, annotation, default, meaning) of each option; a default of ``...`` means that it is required.
    """
    text = HEADER.format(first)
    for name, annotation, default, meaning in rows:
        kind = type_in_words(TypeAdapter(annotation).json_schema())
        text += f"| `{name}` | {cell(kind)} | {_default(default)} | {cell(meaning)} |\n"
    return text


def _default(value: Any) -> str:
    if value is ... or value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        changed = value.model_dump(exclude_defaults=True)
        return f"`{json.dumps(changed)}`" if changed else "its defaults"
    if isinstance(value, Path):
        value = str(value)
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value)}`"


def type_in_words(kind: Mapping[str, Any]) -> str:
    """A JSON Schema of one value in words.

    Example:
        >>> type_in_words({"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}})
        'list of numbers from 0 to 1'
    """
    if "$ref" in kind:
        return "group of keys"
    if "anyOf" in kind:
        return " or ".join(type_in_words(choice) for choice in kind["anyOf"])
    if "enum" in kind or "const" in kind:
        return ", ".join(f"`{choice}`" for choice in kind.get("enum", [kind.get("const")]))
    if kind.get("type") == "array":
        inner = type_in_words(kind.get("items", {}))
        return f"list of {inner}" if inner.startswith("`") else f"list of {_plural(inner)}"
    if kind.get("type") == "object":
        if "additionalProperties" not in kind or kind["additionalProperties"] is True or "properties" in kind:
            return "group of keys"
        keys = type_in_words(kind.get("propertyNames", {"type": "string"}))
        return f"{{{keys}: {type_in_words(kind['additionalProperties'])}}}"
    names = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "null": "null"}
    word = "path" if kind.get("format") == "path" else names[kind["type"]] if "type" in kind else "any value"
    return word + _limits(kind)


def _plural(word: str) -> str:
    first, space, rest = word.partition(" ")
    return f"{first}s{space}{rest}" if first in ("number", "integer", "text", "path") else word


def _limits(kind: Mapping[str, Any]) -> str:
    low, high = kind.get("minimum"), kind.get("maximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    limits = [f"{sign} {kind[key]:g}" for key, sign in _SIGNS.items() if key in kind]
    return " " + " and ".join(limits) if limits else ""


def key_table(model: type[BaseModel]) -> str:
    """The table of a model's keys."""
    rows = []
    meanings = documented_arguments(inspect.getdoc(model) or "")
    for name, field in model.model_fields.items():
        default = ... if field.is_required() else field.get_default(call_default_factory=True)
        annotation: Any = field.annotation
        if field.metadata:
            annotation = typing.Annotated[(annotation, *field.metadata)]
        where = f"{model.__name__}.{name}"
        rows.append((name, annotation, default, description_of(name, meanings, where, import_module(model.__module__))))
    return option_table("key", rows)


def models_in(annotation: Any, keyed: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    """Find the models in an annotation.

    Args:
        annotation: of a field or an argument.
        keyed: whether the annotation stands inside a mapping.

    Yields:
        Each model, and whether it is the value of a mapping.
    """
    if inspect.isclass(annotation) and typing.get_origin(annotation) is None and issubclass(annotation, BaseModel):
        yield annotation, keyed
    for inner in typing.get_args(annotation):
        yield from models_in(inner, keyed or typing.get_origin(annotation) is dict)


def description_of(key: str, meanings: Mapping[str, str], where: str, module: types.ModuleType) -> str:
    """The description of an option.

    Args:
        key: name of the option.
        meanings: {option: description} of the docstring; ``see :class:`X``` takes the description from class X.
        where: what a message calls the option.
        module: where class X is looked up, unless its full path is given.

    Raises:
        SystemExit: it has no description.
    """
    if key not in meanings:
        raise SystemExit(f"{where}: has no description; add it to Args in the docstring")
    elsewhere = re.search(r"see :class:`~?([\w.]+)`", meanings[key])
    if elsewhere:
        place, _, name = elsewhere[1].rpartition(".")
        other = documented_arguments(inspect.getdoc(getattr(import_module(place) if place else module, name)) or "")
        if key in other:
            return other[key]
    return meanings[key]


def summary(documented: Any) -> str:
    """The text of a docstring above its first section."""
    return prose(re.split(r"\n\n\w+:\n", inspect.getdoc(documented) or "")[0])


def prose(text: str) -> str:
    """Docstring markup as Markdown; each paragraph and each item of a list becomes one line."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text).replace("``", "`").replace("::\n", ":\n")
    return "\n\n".join(
        "\n".join(" ".join(line.split()) for line in re.split(r"\n(?=- )", paragraph))
        for paragraph in text.split("\n\n")
    )


def cell(text: str) -> str:
    """A docstring's text as one cell of a table."""
    return prose(text).replace("|", "\\|")
