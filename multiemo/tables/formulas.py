"""Texts as cells of a CSV that no spreadsheet evaluates (https://owasp.org/www-community/attacks/CSV_Injection)."""

from __future__ import annotations

from typing import Any

#: What a formula begins with in a spreadsheet, also in full width.
_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def without_formula(cell: Any) -> Any:
    """A text that begins like a formula gets an apostrophe in front; other values are returned as they are.

    Tables that people open contain words, labels and names of files from strangers. Numbers are no texts, so that
    negative ones stay numbers.

    Example:
        >>> without_formula("=cmd|' /C calc'!A0"), without_formula("- Hello."), without_formula(-0.5)
        ("'=cmd|' /C calc'!A0", "'- Hello.", -0.5)
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_BEGINNINGS) else cell
