"""What the tiny model says of a film of several people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import multiemo


@pytest.fixture(scope="session")
def entry(model: multiemo.Predictor, talk: Path) -> Any:
    """Of the film in which people speak in turn."""
    return model.predict(talk)
