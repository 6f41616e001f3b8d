"""Fixtures that several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real corpora, or a skip."""
    folder = Path(os.environ.get("MULTIEMO_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real corpora are not at {folder}; set MULTIEMO_DATA to their folder")
    return folder
