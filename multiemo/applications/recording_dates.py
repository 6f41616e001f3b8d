"""Finds the day of a recording or of a row in a table."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

from multiemo.errors import ManifestError

NAME, MODIFIED = "the file's name", "the file's time of modification"
#: A date within a name. A time of six digits may follow it; otherwise it is not part of a longer number.
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)(?=\d{6}(?!\d)|(?!\d))")


def date_of(name: str) -> tuple[datetime.date, str]:
    """The day of a recording and the source of it: an ISO date in the name, else the time of modification.

    Raises:
        ManifestError: the name contains no date, and there is no such file.

    Example:
        >>> date_of("walks/VID_20240229-143000.mp4")
        (datetime.date(2024, 2, 29), "the file's name")
    """
    for found in _DATE.finditer(Path(name).name):
        try:
            return datetime.date(int(found[1]), int(found[3]), int(found[4])), NAME
        except ValueError:
            continue  # a number that is not a date
    try:
        modified = Path(name).stat().st_mtime
    except OSError:
        raise ManifestError(
            f"{name}: its name contains no date (2024-05-31), and there is no file whose time of modification could be "
            "used; rename it, or give a table with a date column"
        ) from None
    return datetime.date.fromtimestamp(modified), MODIFIED


def day_of_row(path: Path, number: int, value: Any, column: str) -> datetime.date:
    """The day in a cell of a table.

    Args:
        path: path of the table, for the message.
        number: number of the row, from 1.
        value: content of the cell.
        column: name of the column.

    Raises:
        ManifestError: the cell contains no date.
    """
    if isinstance(value, datetime.date):
        return value.date() if isinstance(value, datetime.datetime) else value
    try:
        return datetime.date.fromisoformat(str(value).strip()[:10])
    except ValueError:
        raise ManifestError(
            f"{path} row {number}: {column!r} is {value!r}; write dates as 2024-05-31, with or without a time after it"
        ) from None
