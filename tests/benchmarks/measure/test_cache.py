"""Tests of ``benchmarks.measure.cache``."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_measure_of_a_second_epoch(small_corpus: Path) -> None:
    from benchmarks.measure.cache import second_epoch

    found = second_epoch(small_corpus.parent, 6)
    for kind in ("speech", "waveform", "face", "all"):
        assert found[kind]["equal"]
        assert found[kind]["mb"] > 0
    assert found["all"]["ratio"] > 1
