"""English names of facial action units, and what the columns of OpenFace and py-feat measure.

Sources: Ekman & Friesen 1978, "Facial Action Coding System"; the names are those of the manual of 2002 (Ekman, Friesen
& Hager). In the tables of OpenFace (Baltrusaitis et al. 2018), ``AU12_r`` is an intensity from 0 to 5 and ``AU12_c`` a
presence, 0 or 1. In those of py-feat (Cheong et al. 2023), ``AU12`` is a probability from 0 to 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

#: What a column says about its unit: its strength, whether it is there, or how probable that is.
Measure: TypeAlias = Literal["intensity", "presence", "probability"]

#: {number: English name} of the units of the face and the eyelids.
ACTION_UNITS: dict[int, str] = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    11: "nasolabial deepener",
    12: "lip corner puller",
    13: "sharp lip puller",
    14: "dimpler",
    15: "lip corner depressor",
    16: "lower lip depressor",
    17: "chin raiser",
    18: "lip pucker",
    20: "lip stretcher",
    22: "lip funneler",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
    27: "mouth stretch",
    28: "lip suck",
    43: "eye closure",
    45: "blink",
    46: "wink",
}
#: {suffix of a column: what it measures}.
_MEASURES: dict[str, Measure] = {"": "probability", "_r": "intensity", "_c": "presence"}
#: {what a column measures: its largest value}.
LARGEST: dict[Measure, float] = {"intensity": 5.0, "presence": 1.0, "probability": 1.0}
_COLUMN = re.compile(r"AU0*(\d+)(_[rc])?")


@dataclass(frozen=True, slots=True)
class UnitColumn:
    """A column of a table of action units.

    Args:
        number: number of the unit, 12 for ``AU12_r``.
        measure: what the column measures.
    """

    number: int
    measure: Measure


def unit_column(column: str) -> UnitColumn | None:
    """The unit that a column measures; ``None`` if its name is not that of an action unit.

    Args:
        column: ``AU12_r``, ``AU12_c`` (OpenFace), ``AU12`` (py-feat); leading zeros may be missing.

    Example:
        >>> unit_column("AU01_r")
        UnitColumn(number=1, measure='intensity')
        >>> unit_column("pose_Rx") is None
        True
    """
    match = _COLUMN.fullmatch(column)
    return None if match is None else UnitColumn(int(match[1]), _MEASURES[match[2] or ""])


def unit_name(number: int) -> str:
    """Code and English name of a unit; only the code of one that the source does not name.

    Example:
        >>> unit_name(12)
        'AU12 lip corner puller'
        >>> unit_name(1)
        'AU01 inner brow raiser'
    """
    return f"AU{number:02d} {ACTION_UNITS[number]}" if number in ACTION_UNITS else f"AU{number:02d}"
