"""The rules of a manifest row, and conversion between a JSON object and a :class:`~multiemo.types.Clip`.

The checks are plain Python on one row, and strings shared between rows are interned: a manifest of a million rows is
read in seconds and fits in memory.
"""

from __future__ import annotations

import difflib
import math
import re
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from multiemo.errors import ConfigError
from multiemo.labels import CUSTOM, LABEL_SETS, label_set
from multiemo.types import DIMENSIONS, MODALITIES, Clip, FeatureRef

#: The parts of a split, in order.
PARTS: tuple[str, ...] = ("train", "val", "test")
#: The keys that name media files.
MEDIA_KEYS: tuple[str, ...] = ("audio", "video", "image")

#: A line of a manifest: {key: JSON value}, without absent keys (docs/data.md lists the keys).
ManifestRow: TypeAlias = dict[str, Any]
_KEYS: tuple[str, ...] = tuple(f.name for f in fields(Clip))
_MODALITY: dict[str, str] = {m: m for m in MODALITIES}
_TARGETS = ("label", "labels", "votes")
#: A URL, or a path that begins with a home folder.
_URL_OR_HOME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|~[^/\\]*[/\\]")
_CONTENT = frozenset(("text", *MEDIA_KEYS))
#: Shared default for absent features and modality labels; clips are never modified.
_NOTHING: Mapping[str, Any] = {}
_JSON_TYPES = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


class RowError(ValueError):
    """A row breaks a rule. The message names the key and the value, and says what to do."""


def closest(word: str, choices: Collection[str]) -> str:
    """Return ``"did you mean 'x'? "`` for an error message, or an empty string if no choice is similar.

    Example:
        >>> closest("speker", ["speaker", "group"])
        "did you mean 'speaker'? "
    """
    found = difflib.get_close_matches(word, choices, n=1)
    return f"did you mean {found[0]!r}? " if found else ""


def parse_row(row: object) -> Clip:
    """Validate a row and convert it to a clip.

    Args:
        row: a decoded JSON value; must be an object whose keys are fields of :class:`~multiemo.types.Clip`.

    Returns:
        The clip; absent keys have the defaults of :class:`~multiemo.types.Clip`.

    Raises:
        RowError: the row breaks a rule; the message describes the first one.

    Example:
        >>> parse_row({"id": "a", "corpus": "mine", "text": "Hello."}).text
        'Hello.'
        >>> parse_row({"id": "a", "corpus": "mine"})
        Traceback (most recent call last):
        ...
        multiemo.data.manifest.rows.RowError: has neither text, audio, video, image nor features; give at least one
    """
    if not isinstance(row, dict):
        raise RowError(f"is {_json_type(row)}, not an object; write one JSON object per line")
    values: dict[str, Any] = {}
    for key, value in row.items():
        check = _CHECKS.get(key)
        if check is None:
            raise RowError(f"unknown key {key!r}; {closest(str(key), _KEYS)}known keys: {', '.join(_KEYS)}")
        values[key] = check(value, key)
    for key in ("id", "corpus"):
        if key not in values:
            raise RowError(f"{key} is missing; every row needs one")
    _span_and_dimensions(values)
    if _CONTENT.isdisjoint(values) and not values.get("features"):
        raise RowError("has neither text, audio, video, image nor features; give at least one")
    if values.get("cropped") and "video" not in values and "image" not in values:
        raise RowError("cropped is true, but the row has neither image nor video; leave the key out")
    _labels(values)
    values.setdefault("features", _NOTHING)
    values.setdefault("modality_labels", _NOTHING)
    values.setdefault("attributes", _NOTHING)
    return Clip(**values)


def format_row(clip: Clip) -> ManifestRow:
    """Convert a clip to a JSON object without absent values; the inverse of :func:`parse_row`.

    Example:
        >>> format_row(Clip(id="a", corpus="mine", text="Hello."))
        {'id': 'a', 'corpus': 'mine', 'text': 'Hello.'}
    """
    row: ManifestRow = {}
    for key in _KEYS:
        value = getattr(clip, key)
        if value is None or value is False or (isinstance(value, Mapping) and not value and key != "votes"):
            continue
        if key == "features":
            value = {
                m: {"path": ref.path} if ref.key is None else {"path": ref.path, "key": ref.key}
                for m, ref in value.items()
            }
        elif key == "labels":
            value = list(value)
        elif isinstance(value, Mapping):
            value = dict(value)
        row[key] = value
    return row


def _json_type(value: object) -> str:
    return "null" if value is None else _JSON_TYPES.get(type(value), type(value).__name__)


def _is_string(value: object, key: str) -> str:
    if type(value) is not str:
        hint = "leave the key out" if value is None else "it must be a string"
        raise RowError(f"{key} is {_json_type(value)} ({value!r}); {hint}")
    return value


def _string(value: object, key: str) -> str:
    if type(value) is str and value and not value.isspace():
        return value
    raise RowError(f"{key} is {_is_string(value, key)!r}; name it, or leave the key out where it is optional")


def _name(value: object, key: str) -> str:
    """Check a string that many rows share, and intern it."""
    return sys.intern(_string(value, key))


def _text(value: object, key: str) -> str:
    text = _is_string(value, key)
    if not text or text.isspace():
        raise RowError(f"{key} is {text!r}; leave the key out if there is no text")
    return text


def _part(value: Any, key: str) -> str:
    if value not in PARTS:
        raise RowError(f"{key} is {_is_string(value, key)!r}; it must be one of {', '.join(PARTS)}")
    return PARTS[PARTS.index(value)]


def _flag(value: object, key: str) -> bool:
    if type(value) is not bool:
        hint = "leave the key out" if value is None else "it must be true or false"
        raise RowError(f"{key} is {_json_type(value)} ({value!r}); {hint}")
    return value


def _unchecked(value: object, key: str) -> object:
    """Return the value as it is: :func:`_labels` checks it against the label set."""
    return value


def _number(value: object, key: str) -> float:
    if type(value) is not float and type(value) is not int:
        hint = "leave the key out" if value is None else "it must be a number"
        raise RowError(f"{key} is {_json_type(value)} ({value!r}); {hint}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RowError(f"{key} is {number}; it must be a finite number")
    return number


def _path(value: object, key: str) -> str:
    path = _string(value, key)
    if "\0" in path:
        raise RowError(f"{key} is {path!r}; a path cannot contain a NUL character")
    if _URL_OR_HOME.match(path):
        raise RowError(
            f"{key} is {path!r}; it must be the path of a file, relative to the manifest's folder: move the file into "
            "that folder, or link it there"
        )
    if path[0] in "/\\" or path[1:3] in (":/", ":\\"):
        raise RowError(f"{key} is the absolute path {path!r}; write it relative to the manifest's folder")
    if ".." in path:
        depth = 0
        for part in path.replace("\\", "/").split("/"):
            depth += -1 if part == ".." else int(part not in ("", "."))
            if depth < 0:
                raise RowError(
                    f"{key} {path!r} leaves the manifest's folder; put the manifest at or above the media, "
                    "or link the media into its folder"
                )
    return path


def _span_and_dimensions(values: Mapping[str, Any]) -> None:
    start, end = values.get("start"), values.get("end")
    for key, value in (("start", start), ("end", end)):
        if value is not None and value < 0:
            raise RowError(f"{key} is {value:g}; it must be 0 or more seconds")
    if start is not None and end is not None and start >= end:
        raise RowError(f"start {start:g} is not before end {end:g}; swap them or correct the span (seconds)")
    for key in DIMENSIONS:
        value = values.get(key)
        if value is not None and not -1 <= value <= 1:
            raise RowError(f"{key} is {value:g}; rescale it to -1..1")


def _features(value: object, _: str) -> dict[str, FeatureRef]:
    if type(value) is not dict:
        raise RowError(f"features is {_json_type(value)}; it must be an object like {{'face': {{'path': 'au.csv'}}}}")
    found: dict[str, FeatureRef] = {}
    for modality, ref in value.items():
        where = f"features.{modality}"
        if modality not in MODALITIES:
            raise RowError(f"{where}: unknown modality; {closest(modality, MODALITIES)}one of {', '.join(MODALITIES)}")
        if type(ref) is not dict or "path" not in ref or not {"path", "key"}.issuperset(ref):
            raise RowError(f"{where} is {ref!r}; it must be an object with 'path' and, where needed, 'key'")
        key = _string(ref["key"], f"{where}.key") if "key" in ref else None
        found[_MODALITY[modality]] = FeatureRef(_path(ref["path"], f"{where}.path"), key)
    return found


def _attributes(value: object, key: str) -> dict[str, str]:
    if type(value) is not dict:
        raise RowError(f"{key} is {_json_type(value)}; it must be an object like {{'sex': 'female', 'age': '34'}}")
    return {sys.intern(name): _name(known, f"{key}.{name}") for name, known in value.items()}


def _labels(values: dict[str, Any]) -> None:
    """Check ``label_set`` and every value that is a label; convert ``labels`` to a tuple."""
    given = [k for k in _TARGETS if k in values]
    if "labels" in given and len(given) > 1:
        raise RowError(f"has {' and '.join(given)}; give one of them (only label and votes can be combined)")
    marked = values.get("modality_labels", _NOTHING)
    if type(marked) is not dict:
        raise RowError(f"modality_labels is {_json_type(marked)}; it must be an object like {{'speech': 'happy'}}")
    name = values.get("label_set")
    if name is None:
        if given or marked:
            key = given[0] if given else "modality_labels"
            raise RowError(f"the row has {key} but no label_set; name one of {', '.join(sorted(LABEL_SETS))}")
        return
    _known_set(name)
    if "label" in values:
        _label(values["label"], "label", name)
    if "labels" in values:
        labels = values["labels"]
        if type(labels) is not list or not labels:
            raise RowError(f"labels is {labels!r}; it must be a list of one or more labels, or be left out")
        for label in labels:
            _label(label, "labels", name)
        if len(set(labels)) < len(labels):
            raise RowError(f"labels {labels!r} contain a label twice; list each label once")
        values["labels"] = tuple(map(sys.intern, labels))
    if "votes" in values:
        values["votes"] = _votes(values["votes"], name)
    if marked:
        for modality, label in marked.items():
            if modality not in MODALITIES:
                raise RowError(f"modality_labels.{modality}: unknown modality; one of {', '.join(MODALITIES)}")
            _label(label, f"modality_labels.{modality}", name)
        values["modality_labels"] = {_MODALITY[m]: sys.intern(label) for m, label in marked.items()}


def _known_set(name: str) -> None:
    if name not in LABEL_SETS and not name.startswith(CUSTOM):
        raise RowError(
            f"label_set is {name!r}; {closest(name, LABEL_SETS)}known label sets: {', '.join(sorted(LABEL_SETS))}, "
            f"or your own, like {CUSTOM}happy,sad,bored"
        )
    try:
        label_set(name)
    except ConfigError as error:
        raise RowError(str(error)) from None


def _label(value: object, key: str, name: str) -> None:
    label = _is_string(value, key)
    known = label_set(name)
    if label not in known:
        raise RowError(
            f"{key}: {label!r} is not in label set {name}; {closest(label, known)}its labels: {', '.join(known)}"
        )


def _votes(value: object, name: str) -> dict[str, float]:
    if type(value) is not dict:
        raise RowError(f"votes is {_json_type(value)}; it must be an object like {{'happy': 7, 'neutral': 2}}")
    counted: dict[str, float] = {}
    for label, count in value.items():
        _label(label, "votes", name)
        label = sys.intern(label)
        counted[label] = _number(count, f"votes.{label}")
        if counted[label] < 0:
            raise RowError(f"votes.{label} is {counted[label]:g}; a count must be 0 or more")
    if sum(counted.values()) <= 0:
        raise RowError(f"votes {value!r} sum to 0; leave the key out if nobody voted")
    return counted


_CHECKS: dict[str, Callable[[object, str], object]] = {
    "id": _string,
    **dict.fromkeys(("corpus", "speaker", "group", "language", "label_set", "label"), _name),
    "text": _text,
    **dict.fromkeys(MEDIA_KEYS, _path),
    **dict.fromkeys(("start", "end", *DIMENSIONS), _number),
    "cropped": _flag,
    "features": _features,
    **dict.fromkeys(("labels", "votes", "modality_labels"), _unchecked),
    "split": _part,
    "attributes": _attributes,
}
