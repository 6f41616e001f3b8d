"""Read the first sheet of an Excel workbook (``.xlsx``) with openpyxl, an optional package."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from multiemo.errors import ManifestError
from multiemo.extras import require
from multiemo.tables.delimited import TextRow


def read_excel(path: Path) -> tuple[list[str], Iterator[TextRow], list[str]]:
    """Read the first sheet of a workbook.

    Returns:
        The names of the columns, from the first row; the rows as text, as in a CSV; and notes for the user.

    Raises:
        ManifestError: openpyxl is not installed, the file is not a workbook, or two columns have the same name.
    """
    needed = f"{path}: is an Excel workbook, which"
    openpyxl = require("openpyxl", needed, instead=", or save it as CSV UTF-8", error=ManifestError)
    try:
        file = path.open("rb")  # openpyxl would check the extension of a path
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl warns of missing styles
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        sheets = book.worksheets
        values = sheets[0].iter_rows(values_only=True)
        header = next((row for row in values if any(cell is not None for cell in row)), ())
    except Exception as error:  # openpyxl raises errors of its own, of zipfile and of the XML parser
        raise ManifestError(f"{path}: cannot be read as an Excel workbook ({error}); save it as CSV UTF-8") from None
    places = {str(name).strip(): place for place, name in enumerate(header) if name is not None}
    if len(places) < sum(name is not None for name in header):
        names = [str(name).strip() for name in header if name is not None]
        duplicate = next(name for name in names if names.count(name) > 1)
        raise ManifestError(f"{path}: has the column {duplicate!r} twice; rename one of them")

    def rows() -> Iterator[TextRow]:
        for cells in values:
            if any(cell is not None for cell in cells):
                yield {name: _text(cells[place]) if place < len(cells) else None for name, place in places.items()}
        file.close()

    notes = []
    if len(sheets) > 1:
        notes.append(f"{path.name} has {len(sheets)} sheets; the first, {sheets[0].title!r}, was read")
    return list(places), rows(), notes


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)
