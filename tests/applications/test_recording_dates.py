"""Dates in names and tables."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest

from multiemo.applications.recording_dates import date_of
from multiemo.errors import ManifestError


def test_dates(tmp_path: Path) -> None:
    assert date_of("20240229_1.wav")[0] == datetime.date(2024, 2, 29)
    assert date_of("n20239999-2023-01-02.wav")[0] == datetime.date(2023, 1, 2)
    file = tmp_path / "clip123456789.wav"
    file.write_bytes(b"x")
    os.utime(file, (1.7e9, 1.7e9))
    assert date_of(str(file)) == (datetime.date.fromtimestamp(1.7e9), "the file's time of modification")
    with pytest.raises(ManifestError, match="its name contains no date"):
        date_of("walk.wav")
