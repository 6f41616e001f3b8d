"""What people write into the cells of a table, and into the options that describe one."""

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
_WITH_UNIT = re.compile(r"(.*?)\s*(ms|msec|s|sec|seconds)", re.IGNORECASE)
_SCALE = re.compile(r"(?:(\w+):)?(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)")
#: The units of a table's times, in seconds.
UNITS: dict[str, float] = {"s": 1.0, "ms": 0.001}


def cell_text(value: Any) -> str:
    """A cell as text without the spaces around it; what is nested is JSON, and 3.0 of a spreadsheet is 3.

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
    """A number with a point or a comma before its decimals.

    Raises:
        ValueError: it is none, not finite, or may be two; the message is the end of a sentence on the cell.

    Example:
        >>> number("1.5"), number("-0,25")
        (1.5, -0.25)
    """
    if _THOUSANDS.fullmatch(cell) and not cell.startswith(("0", "-0", "+0")):
        raise ValueError(f"is {cell!r}, which may be thousands or decimals; write it with a point and no comma")
    try:
        found = float(cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell)
    except ValueError:
        raise ValueError(f"is {cell!r}, not a number") from None
    if not math.isfinite(found):
        raise ValueError(f"is {cell!r}, not a finite number")
    return found


def seconds(cell: str, unit: str) -> float:
    """A time in seconds.

    Args:
        cell: a number, a number with its unit (``1500 ms``), or a clock's ``mm:ss``, ``hh:mm:ss``, with decimals after
            a point or a comma.
        unit: of a number that comes without one.

    Raises:
        ValueError: it is none of these; the message is the end of a sentence on the cell.

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
    told = _WITH_UNIT.fullmatch(cell)
    if told is not None:
        cell, unit = told[1], "ms" if told[2].lower().startswith("m") else "s"
    return round(number(cell) * UNITS[unit], 6)


def scales(option: str | None) -> dict[str, tuple[float, float]]:
    """The rating scale of each dimension.

    Args:
        option: ``1..5`` for all, or ``valence:1..5,arousal:9..1``, each from the number that stands for little to the
            one that stands for much; ``None`` is -1..1.

    Raises:
        ConfigError: it is none.

    Example:
        >>> scales("0..1")["arousal"], scales("valence:1..9")["dominance"]
        ((0.0, 1.0), (-1.0, 1.0))
    """
    found = dict.fromkeys(DIMENSIONS, (-1.0, 1.0))
    for part in (option or "").split(",") if option else ():
        read = _SCALE.fullmatch(part.strip())
        if read is None or (read[1] or DIMENSIONS[0]) not in DIMENSIONS or read[2] == read[3]:
            raise ConfigError(
                f"prepare.scale: {option!r} is no rating scale; write it from little to much, like 1..5, or "
                "valence:1..5,arousal:1..9"
            )
        found.update(dict.fromkeys([read[1]] if read[1] else DIMENSIONS, (float(read[2]), float(read[3]))))
    return found


def pairs(option: str | None, name: str) -> dict[str, str]:
    """What words of a table mean.

    Args:
        option: ``1:happy,2:sad,other:``; before the last colon stands the word, after it what it means (nothing: it
            is left out).
        name: of the option, for the message.

    Raises:
        ConfigError: a pair has no colon, or a word stands twice.

    Example:
        >>> pairs("1:happy,other:", "label_map")
        {'1': 'happy', 'other': ''}
    """
    found: dict[str, str] = {}
    for pair in (option or "").split(",") if option else ():
        word, colon, meaning = (part.strip() for part in pair.rpartition(":"))
        if not colon or not word:
            raise ConfigError(f"prepare.{name}: {pair!r} is no pair; write pairs like 1:happy,2:sad")
        if word in found:
            raise ConfigError(f"prepare.{name}: {word!r} stands twice; give it one meaning")
        found[word] = meaning
    return found


def columns(option: str, present: Collection[str], name: str, where: object) -> list[tuple[str, str]]:
    """The columns that an option names, and what each stands for.

    Args:
        option: a column, or several, joined by commas; ``*`` stands for anything.
        present: the columns that there are.
        name: of the option.
        where: the table, for the message.

    Returns:
        (column, what stood for the ``*`` in it, or the column).

    Raises:
        ManifestError: no column is called so; the message lists those that there are.

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
    """The error for a column that is not there; it lists those that are."""
    return ManifestError(
        f"table: {where} has no column {column!r} (asked for by {asked}); {closest(column, list(present))}its columns: "
        f"{', '.join(present)}"
    )


def parts_of(words: Sequence[str], told: Mapping[str, str]) -> dict[str, str]:
    """What the names of parts in a table mean: train, val or test.

    ``eval`` is the test where another word of the table means validation and none means the test, else validation.

    Args:
        words: that the table has.
        told: what some of them mean.

    Returns:
        {word: part}; one that is not known is missing.

    Example:
        >>> parts_of(["train", "eval"], {}), parts_of(["Train", "dev", "eval"], {})
        ({'train': 'train', 'eval': 'val'}, {'Train': 'train', 'dev': 'val', 'eval': 'test'})
    """
    found = {word: told[word] if word in told else part_of(word) or "" for word in words}
    is_test = "val" in found.values() and "test" not in found.values()
    for word in words:
        if not found[word] and word not in told and word.casefold() in _EVALUATION:
            found[word] = "test" if is_test else "val"
    return {word: part for word, part in found.items() if part}


_EVALUATION = ("eval", "evaluation", "evaluate")
