"""Parse the cells of a table and the values of the options that describe it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from multiemo.data.corpora.source import part_of
from multiemo.data.manifest.rows import closest
from multiemo.errors import ConfigError, ManifestError
from multiemo.types import DIMENSIONS

_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
_WITH_UNIT = re.compile(r"(.{0,40}?)\s{0,9}(ms|msec|s|sec|seconds)", re.IGNORECASE)
_SCALE = re.compile(r"(?:(\w+):)?(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)")
#: Units of the times in a table, in seconds.
UNITS: dict[str, float] = {"s": 1.0, "ms": 0.001}


def cell_text(value: Any) -> str:
    """Convert a cell to stripped text. Nested values become JSON, and 3.0 from a spreadsheet becomes 3.

    Example:
        >>> cell_text(" a "), cell_text(3.0), cell_text(["a"]), cell_text(None)
        ('a', '3', '["a"]', '')
    """
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value).strip()


def number(cell: str) -> float:
    """Parse a number with a decimal point or a decimal comma.

    Raises:
        ValueError: the cell is not a finite number or is ambiguous; the message completes a sentence about the cell.

    Example:
        >>> number("1.5"), number("-0,25")
        (1.5, -0.25)
    """
    if _THOUSANDS.fullmatch(cell) and not cell.startswith(("0", "-0", "+0")):
        raise ValueError(f"is {cell!r}, which is ambiguous (thousands or decimals); use a decimal point and no comma")
    try:
        found = float(cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell)
    except ValueError:
        raise ValueError(f"is {cell!r}, not a number") from None
    if not math.isfinite(found):
        raise ValueError(f"is {cell!r}, not a finite number")
    return found


def seconds(cell: str, unit: str) -> float:
    """Parse a time and return it in seconds.

    Args:
        cell: a number, a number with a unit (``1500 ms``), or a clock time ``mm:ss`` or ``hh:mm:ss``, with decimals
            after a point or a comma.
        unit: unit of a number without one, ``s`` or ``ms``.

    Raises:
        ValueError: the cell is not a time; the message completes a sentence about the cell.

    Example:
        >>> seconds("1500", "ms"), seconds("1:02.5", "s"), seconds("00:01:02,500", "ms"), seconds("250ms", "s")
        (1.5, 62.5, 62.5, 0.25)
    """
    clock = _CLOCK.fullmatch(cell)
    if clock is not None:
        hours, minutes, rest = int(clock[1] or 0), int(clock[2]), float(clock[3].replace(",", "."))
        if rest < 60 and (minutes < 60 or not clock[1]):
            return hours * 3600 + minutes * 60 + rest
    if ":" in cell:
        raise ValueError(f"is {cell!r}, not a time like 1:02.5 or 00:01:02,500")
    with_unit = _WITH_UNIT.fullmatch(cell)
    if with_unit is not None:
        cell, unit = with_unit[1], "ms" if with_unit[2].lower().startswith("m") else "s"
    return round(number(cell) * UNITS[unit], 6)


def scales(option: str | None) -> dict[str, tuple[float, float]]:
    """Return {dimension: its rating scale (low, high)}.

    Args:
        option: ``1..5`` for all dimensions, or ``valence:1..5,arousal:9..1``, each from the number that means little to
            the one that means much; ``None`` is -1..1.

    Raises:
        ConfigError: the option is not a rating scale.

    Example:
        >>> scales("0..1")["arousal"], scales("valence:1..9")["dominance"]
        ((0.0, 1.0), (-1.0, 1.0))
    """
    found = dict.fromkeys(DIMENSIONS, (-1.0, 1.0))
    for part in (option or "").split(",") if option else ():
        read = _SCALE.fullmatch(part.strip())
        if read is None or (read[1] or DIMENSIONS[0]) not in DIMENSIONS or read[2] == read[3]:
            raise ConfigError(
                f"prepare.scale: {option!r} is not a rating scale; write it from little to much, like 1..5, or "
                "valence:1..5,arousal:1..9"
            )
        found.update(dict.fromkeys([read[1]] if read[1] else DIMENSIONS, (float(read[2]), float(read[3]))))
    return found


def pairs(option: str | None, name: str) -> dict[str, str]:
    """Parse an option of pairs as {word of the table: meaning}.

    Args:
        option: ``1:happy,2:sad,other:``; the word is before the last colon, its meaning after it. An empty meaning
            leaves the word out.
        name: name of the option, for the message.

    Raises:
        ConfigError: a pair has no colon, or a word occurs twice.

    Example:
        >>> pairs("1:happy,other:", "label_map")
        {'1': 'happy', 'other': ''}
    """
    found: dict[str, str] = {}
    for pair in (option or "").split(",") if option else ():
        word, colon, meaning = (part.strip() for part in pair.rpartition(":"))
        if not colon or not word:
            raise ConfigError(f"prepare.{name}: {pair!r} is not a pair; write pairs like 1:happy,2:sad")
        if word in found:
            raise ConfigError(f"prepare.{name}: {word!r} occurs twice; give it one meaning")
        found[word] = meaning
    return found


def columns(option: str, present: Collection[str], name: str, where: object) -> list[tuple[str, str]]:
    """Return the columns that an option names, and the meaning of each.

    Args:
        option: a column, or several separated by commas; ``*`` matches anything.
        present: the columns of the table.
        name: name of the option.
        where: the table, for the message.

    Returns:
        (column, the text matched by ``*`` or the column).

    Raises:
        ManifestError: no column matches; the message lists the columns of the table.

    Example:
        >>> columns("vote_*", ["id", "vote_happy", "vote_sad"], "votes", "t.csv")
        [('vote_happy', 'happy'), ('vote_sad', 'sad')]
    """
    if option in present:
        return [(option, option)]
    found: list[tuple[str, str]] = []
    for part in map(str.strip, option.split(",")):
        pattern = re.compile(re.escape(part).replace(r"\*", "(.*)", 1).replace(r"\*", ".*"))
        matches = [(column, match) for column in present if (match := pattern.fullmatch(column)) is not None]
        if not matches:
            raise unknown_column(part, present, f"{name}={option}", where)
        found.extend((column, match[1] if "*" in part else column) for column, match in matches)
    return list(dict.fromkeys(found))


def unknown_column(column: str, present: Collection[str], asked: str, where: object) -> ManifestError:
    """Return the error for a column that a table does not have; its message lists the existing columns.

    Args:
        column: the missing column.
        present: the columns of the table.
        asked: the option that names the column, as ``name=value``.
        where: the table.
    """
    return ManifestError(
        f"table: {where} has no column {column!r} (named by {asked}); {closest(column, list(present))}its columns: "
        f"{', '.join(present)}"
    )


def parts_of(words: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Map the names of parts in a table to train, val or test.

    ``eval`` is the test part if another word of the table means validation and none means test; else it is validation.

    Args:
        words: the names of parts in the table.
        given: {name: part} given by the user.

    Returns:
        {word: part}; unknown words are missing.

    Example:
        >>> parts_of(["train", "eval"], {}), parts_of(["Train", "dev", "eval"], {})
        ({'train': 'train', 'eval': 'val'}, {'Train': 'train', 'dev': 'val', 'eval': 'test'})
    """
    found = {word: given[word] if word in given else part_of(word) or "" for word in words}
    is_test = "val" in found.values() and "test" not in found.values()
    for word in words:
        if not found[word] and word not in given and word.casefold() in _EVALUATION_WORDS:
            found[word] = "test" if is_test else "val"
    return {word: part for word, part in found.items() if part}


_EVALUATION_WORDS = ("eval", "evaluation", "evaluate")
