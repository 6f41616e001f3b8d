"""Read predictions that other systems have made, from a table of any kind: the rows, and what their cells hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from multiemo.errors import ManifestError
from multiemo.files import parse_json
from multiemo.tables.delimited import BadRow
from multiemo.tables.reading import Row, Table

#: Number of examples in a message.
_EXAMPLES = 3


def prediction_rows(table: Table) -> Iterator[tuple[str, Row]]:
    """The rows of a table of predictions, each with its place for messages ("answers.jsonl, row 3").

    Args:
        table: a table that :func:`multiemo.tables.reading.open_table` has opened.

    Raises:
        ManifestError: a row cannot be read; the message names it.
    """
    for number, row in enumerate(table.rows, 1):
        if isinstance(row, BadRow):
            raise ManifestError(f"{table.path}, {row.place}: {row.reason}")
        yield f"{table.path}, row {number}", row


def label_shares(value: Any, what: str) -> dict[str, float]:
    """{label: probability} of a cell: an object, or its JSON text.

    Args:
        value: the cell.
        what: place and column, for messages.

    Raises:
        ManifestError: it is not an object of probabilities within 0..1.
    """
    shares = _parsed(value)
    if not isinstance(shares, dict) or not shares:
        raise ManifestError(f"{what} is not an object; give {{label: probability}}")
    return {str(label): share(number, what) for label, number in shares.items()}


def share(value: Any, what: str) -> float:
    """A probability: a number within 0..1, or its text.

    Args:
        value: the cell.
        what: place and column, for messages.

    Raises:
        ManifestError: it is none.
    """
    found = number_of(value)
    if found is None or not 0 <= found <= 1:
        raise ManifestError(f"{what} has {value!r}; give probabilities within 0..1")
    return found


def number_of(value: Any) -> float | None:
    """A finite number, or the number that a text spells; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def several(value: Any) -> list[str]:
    """The texts of a cell that holds a list: a list, its JSON text, or texts that commas or semicolons separate.

    Example:
        >>> several(["sad", "tired"]), several("[sad, 'tired']"), several("sad; tired"), several("生气、难过")
        (['sad', 'tired'], ['sad', 'tired'], ['sad', 'tired'], ['生气', '难过'])
    """
    found = _parsed(value)
    if isinstance(found, str):
        for mark in ";|,，、":
            found = found.replace(mark, "\n")
        found = [part.strip(" []'\"") for part in found.split("\n")]
    return [str(part).strip() for part in found if str(part).strip()] if isinstance(found, Sequence) else [str(found)]


def _parsed(value: Any) -> Any:
    """A value, or the JSON that its text is."""
    if isinstance(value, str) and value.strip()[:1] in ("{", "["):
        try:
            return parse_json(value)
        except ValueError:
            return value
    return value


def examples(found: Sequence[str]) -> str:
    """The first few of several examples, for a message.

    Example:
        >>> examples(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    more = f" and {len(found) - _EXAMPLES} more" if len(found) > _EXAMPLES else ""
    return f"{', '.join(found[:_EXAMPLES])}{more}"
