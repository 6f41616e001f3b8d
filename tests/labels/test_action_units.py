"""Names of facial action units."""

from __future__ import annotations

from multiemo.labels.action_units import ACTION_UNITS, LARGEST, UnitColumn, unit_column, unit_name

#: Units that OpenFace 2.2 and py-feat 0.6 write.
OPENFACE = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45)
PY_FEAT = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)


def test_units_of_both_tools_have_a_name() -> None:
    assert not {*OPENFACE, *PY_FEAT} - set(ACTION_UNITS)
    assert unit_name(9) == "AU09 nose wrinkler"
    assert unit_name(99) == "AU99"


def test_column_says_its_unit_and_what_it_measures() -> None:
    assert unit_column("AU45_c") == UnitColumn(45, "presence")
    assert unit_column("AU06_r") == UnitColumn(6, "intensity")
    assert unit_column("AU6") == unit_column("AU06") == UnitColumn(6, "probability")
    assert LARGEST["intensity"] == 5
    assert unit_column("F0semitoneFrom27.5Hz_sma3nz_amean") is None
    assert unit_column("AU12_rx") is None
