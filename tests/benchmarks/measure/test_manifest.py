"""Tests of ``benchmarks.measure.manifest``."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_the_measure_of_many_rows() -> None:
    from benchmarks.measure.manifest import STEPS, million, table

    found = million((200, 400))
    assert [(r["rows"], r["step"]) for r in found] == [(rows, step) for rows in (200, 400) for step in STEPS]
    assert all(r["peak_mb"] >= r["libraries_mb"] > 10 for r in found)
    assert len(table(found).splitlines()) == 1 + len(found)
