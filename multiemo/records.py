"""Results with names: JSON objects whose members are typed attributes."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, NoReturn, TypeVar

from typing_extensions import dataclass_transform

R = TypeVar("R", bound="Record")


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
def record(cls: type[R]) -> type[R]:
    """Class decorator: the annotations of a :class:`Record` become the members of its objects."""
    return dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)


class Record(dict[str, Any]):
    """A JSON object that cannot be changed; each member is also an attribute.

    Subclasses are decorated with :func:`record`. Their fields are the members of the object, in that order. A field
    whose default is ``None`` is left out of the object while it is ``None``; one without a default is written as
    ``null``. The lines of ``Args`` in the class docstring describe the members in the schema.

    Because a record is a ``dict``, ``json.dumps`` writes it, ``record["member"]`` reads it and it equals a plain
    ``dict`` of the same members.

    Example:
        >>> @record
        ... class Span(Record):
        ...     start: float
        ...     end: float | None
        ...     label: str | None = None
        >>> span = Span(start=0.5, end=None)
        >>> span.start, span["start"], json.dumps(span)
        (0.5, 0.5, '{"start": 0.5, "end": null}')
    """

    def __post_init__(self) -> None:
        """Fill the object from the fields."""
        for name, optional in _members(type(self)):
            value = getattr(self, name)
            if value is not None or not optional:
                dict.__setitem__(self, name, value)

    def __str__(self) -> str:
        return json.dumps(self, indent=2, ensure_ascii=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), {name: getattr(self, name) for name, _ in _members(type(self))})

    def _unchangeable(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be changed; dataclasses.replace makes a changed copy")

    __setitem__ = __delitem__ = __ior__ = _unchangeable  # type: ignore[assignment]
    clear = pop = popitem = setdefault = update = _unchangeable  # type: ignore[assignment]

    @classmethod
    def from_json(cls: type[R], values: Mapping[str, Any]) -> R:
        """The record of a JSON object, with the records inside it; members it does not know are left out.

        Raises:
            ValueError: a member is missing or of another type; says which.
        """
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(dict(values))

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of the object; it allows no members but these."""
        from pydantic import TypeAdapter

        schema = TypeAdapter(cls).json_schema(mode="serialization")
        known = {inner.__name__: inner for inner in _subclasses(Record)}
        for name, part in {cls.__name__: schema, **schema.get("$defs", {})}.items():
            if name in known:
                _describe(part, known[name])
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _describe(schema: dict[str, Any], of: type[Record]) -> None:
    """Turn what pydantic says of one record into what it writes: no ``null`` for members that are left out."""
    doc = inspect.getdoc(of) or ""
    said = documented_arguments(doc)
    schema["description"] = doc.partition("\n\n")[0].replace("\n", " ")
    schema["additionalProperties"] = False
    optional = {name for name, left_out in _members(of) if left_out}
    for name, part in schema["properties"].items():
        part.pop("title", None)
        if name in optional:
            part.pop("default", None)
            choices = [choice for choice in part.pop("anyOf", []) if choice != {"type": "null"}]
            part.update(choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})
        if name in said:
            part["description"] = said[name]


def documented_arguments(doc: str) -> dict[str, str]:
    """{name: its description} of the section ``Args`` of a docstring.

    Example:
        >>> documented_arguments("Args:\\n    start, end: seconds\\n        of the file.\\n    label: of it.\\n")
        {'start': 'seconds of the file.', 'end': 'seconds of the file.', 'label': 'of it.'}
    """
    found: dict[str, str] = {}
    section = re.search(r"^Args:\n((?: +.*\n?|\n)+)", doc, re.MULTILINE)
    for names, text in re.findall(
        r"^    (\w[\w, ]*): ((?:.*)(?:\n     +.*)*)", section[1] if section else "", re.MULTILINE
    ):
        found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return found


def _subclasses(of: type[Record]) -> Iterator[type[Record]]:
    for inner in of.__subclasses__():
        yield inner
        yield from _subclasses(inner)


def _members(record: type[Record]) -> list[tuple[str, bool]]:
    """Each field, and whether it is left out while it is ``None``."""
    known: list[tuple[str, bool]] | None = record.__dict__.get("_known_members")
    if known is None:
        known = [(f.name, f.default is not MISSING and f.default is None) for f in fields(record)]  # type: ignore[arg-type]
        record._known_members = known  # type: ignore[attr-defined]
    return known


def _rebuilt(record: type[R], values: dict[str, Any]) -> R:
    return record(**values)
