"""Records: JSON objects whose members are also typed attributes."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar, get_args

from typing_extensions import dataclass_transform, get_type_hints, is_typeddict

from multiemo.errors import CheckpointError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

R = TypeVar("R", bound="Record")

#: A JSON Schema as plain JSON values.
JsonSchema: TypeAlias = dict[str, Any]
#: Metadata of a field that is not a member of the object: ``field(default_factory=list, metadata=UNWRITTEN)``.
UNWRITTEN = {"written": False}


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
def record(cls: type[R]) -> type[R]:
    """Class decorator that turns the annotations of a :class:`Record` into the members of its objects."""
    return dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)


class Record(dict[str, Any]):
    """An immutable JSON object; each member is also an attribute.

    Subclasses are decorated with :func:`record`. Their fields are the members of the object, in that order.

    - A field with the default ``None`` is left out of the object while it is ``None``; ``None`` in a field without a
      default is written as ``null``.
    - A trailing underscore, for names that Python reserves (``from_``), is not part of the member's name.
    - A number that is not finite keeps its value as an attribute and is ``null`` in the object, since JSON has no NaN.
    - The ``Args`` of the class docstring become the descriptions of the members in the schema.

    Because a record is a ``dict``, ``json.dumps`` serialises it, ``record["member"]`` reads a member, and it equals a
    plain ``dict`` with the same members.

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

    #: Read by pydantic; :func:`_member` maps fields to member names.
    __pydantic_config__ = {"alias_generator": lambda field: _member(field)}  # noqa: RUF012

    def __post_init__(self) -> None:
        """Copy the fields into the dictionary."""
        for field, name, optional in _members(type(self)):
            value = getattr(self, field)
            if value is not None or not optional:
                dict.__setitem__(self, name, finite(value))

    def __str__(self) -> str:
        return json.dumps(self, indent=2, ensure_ascii=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), {f.name: getattr(self, f.name) for f in fields(self)})  # type: ignore[arg-type]

    def _unchangeable(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be changed; use dataclasses.replace to make a changed copy")

    __setitem__ = __delitem__ = __ior__ = _unchangeable  # type: ignore[assignment]
    clear = pop = popitem = setdefault = update = _unchangeable  # type: ignore[assignment]

    @classmethod
    def of(cls: type[R], *parts: Mapping[str, Any], **more: Any) -> R:
        """A record with the members of other records or dictionaries, and further members.

        Args:
            parts: records or dictionaries; later ones take precedence.
            more: further members.

        Example:
            >>> @record
            ... class Named(Record):
            ...     name: str
            ...     uar: float
            >>> Named.of({"uar": 0.5}, name="T")
            Named(name='T', uar=0.5)
        """
        values: dict[str, Any] = {}
        for part in parts:
            values |= {f.name: getattr(part, f.name) for f in fields(part)} if isinstance(part, Record) else part  # type: ignore[arg-type]
        return cls(**values, **more)

    @classmethod
    def from_json(cls: type[R], values: Mapping[str, Any]) -> R:
        """The record of a JSON object, including nested records; unknown members are ignored.

        Raises:
            ValueError: a member is missing or has the wrong type; the message names it.
        """
        made: R = _adapter(cls).validate_python(dict(values))
        return made

    @classmethod
    def read(cls: type[R], path: Path) -> R:
        """Read a record from a JSON file.

        Raises:
            CheckpointError: the file cannot be read or does not contain such a record; the message names the file and
                the member.
        """
        try:
            values = json.loads(path.read_text("utf-8"))
            if not isinstance(values, dict):
                raise ValueError(f"contains a {type(values).__name__}, not an object")
            return cls.from_json(values)
        except (OSError, ValueError, TypeError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or _first_reason(error)
            raise CheckpointError(f"{path}: not readable as a result: {reason}") from None

    @classmethod
    def json_schema(cls) -> JsonSchema:
        """The JSON Schema (draft 2020-12) of the object; it allows no additional members."""
        return json_schema_of(cls)


def json_schema_of(kind: type) -> JsonSchema:
    """The JSON Schema (draft 2020-12) of a record or a ``TypedDict``; it allows no additional members."""
    schema = _adapter(kind).json_schema(mode="serialization")
    inside = _inside(kind)
    for name, part in {kind.__name__: schema, **schema.get("$defs", {})}.items():
        of = inside.get(name)
        if of is not None and issubclass(of, Record):
            _describe(part, of)
        elif of is not None:
            part["additionalProperties"] = False
            _describe_members(part, inspect.getdoc(of) or "")
    used = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)))
    if "$defs" in schema:
        schema["$defs"] = {name: part for name, part in schema["$defs"].items() if name in used}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def nothing() -> None:
    """The default of a field that is written as ``null``: ``field(default_factory=nothing)``."""


def finite(value: Any) -> Any:
    """Convert a value to JSON types: NaN and infinity to ``None``, tuples to lists.

    Example:
        >>> finite({"uar": float("nan"), "uar_ci": (0.5, float("inf"))})
        {'uar': None, 'uar_ci': [0.5, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Record):
        return value
    if isinstance(value, dict):
        made = {k: finite(v) for k, v in value.items()}
        return made if any(made[k] is not v for k, v in value.items()) else value
    if isinstance(value, list | tuple):
        several = [finite(v) for v in value]
        same = isinstance(value, list) and all(a is b for a, b in zip(several, value, strict=True))
        return value if same else several
    return value


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _first_reason(error: Exception) -> str:
    """The reason of an error in one line; for several invalid members, the first."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _describe(schema: dict[str, Any], of: type[Record]) -> None:
    """Adapt pydantic's schema of a record to what it writes: members left out at ``None`` are never ``null``."""
    schema["additionalProperties"] = False
    members = {name: left_out for _, name, left_out in _members(of)}
    for name in [name for name in schema["properties"] if name not in members]:
        del schema["properties"][name]
    for name, part in schema["properties"].items():
        if members[name]:
            part.pop("default", None)
            choices = [choice for choice in part.pop("anyOf", []) if choice != {"type": "null"}]
            part.update(choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})
    inherited = [
        inspect.cleandoc(base.__doc__) for base in of.__mro__[:0:-1] if issubclass(base, Record) and base.__doc__
    ]
    _describe_members(schema, inspect.getdoc(of) or "", inherited)


def _describe_members(schema: dict[str, Any], doc: str, inherited: Sequence[str] = ()) -> None:
    """Add the docstring of a class and the ``Args`` of its bases to its schema as descriptions."""
    descriptions = {name: text for one in (*inherited, doc) for name, text in documented_arguments(one).items()}
    schema["description"] = doc.partition("\n\n")[0].replace("\n", " ")
    for name, part in schema["properties"].items():
        part.pop("title", None)
        if name in descriptions:
            part["description"] = descriptions[name]


def documented_arguments(doc: str) -> dict[str, str]:
    """{name: description} from the ``Args`` section of a docstring.

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


def _inside(kind: type) -> dict[str, type]:
    """{name: class} of all records and ``TypedDict`` classes nested in a class, including itself."""
    found: dict[str, type] = {}
    waiting: list[Any] = [kind]
    while waiting:
        one = waiting.pop()
        if get_args(one):
            waiting += get_args(one)
        elif isinstance(one, type) and one.__name__ not in found and (is_typeddict(one) or issubclass(one, Record)):
            found[one.__name__] = one
            hints = get_type_hints(one)
            waiting += [hints[f.name] for f in fields(one)] if issubclass(one, Record) else hints.values()  # type: ignore[arg-type]
    return found


def _member(field: str) -> str:
    """The member name of a field.

    Example:
        >>> _member("from_"), _member("start")
        ('from', 'start')
    """
    return field.removesuffix("_")


def _members(record: type[Record]) -> list[tuple[str, str, bool]]:
    """(field, member name, whether it is left out while ``None``) for each field that is written."""
    known: list[tuple[str, str, bool]] | None = record.__dict__.get("_known_members")
    if known is None:
        written = [f for f in fields(record) if f.metadata.get("written", True)]  # type: ignore[arg-type]
        known = [(f.name, _member(f.name), f.default is not MISSING and f.default is None) for f in written]
        record._known_members = known  # type: ignore[attr-defined]
    return known


def _rebuilt(record: type[R], values: dict[str, Any]) -> R:
    return record(**values)
