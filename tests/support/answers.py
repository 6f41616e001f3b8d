"""What a model says of a file, checked to be complete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import multiemo


def told(model: multiemo.Predictor, path: Path) -> dict:
    """What the model says of a file; whatever was in it, the entry is complete."""
    entry = model.predict(path)
    json.dumps(entry, allow_nan=False)
    assert set(entry["present"]) | set(entry["absent"]) == set(model.model.modalities)
    spans = sorted([*entry["segments"], *entry["skipped"]], key=lambda s: s["start"])
    assert [a["end"] for a in spans[:-1]] == [b["start"] for b in spans[1:]]
    assert spans[0]["start"] == 0
    assert spans[-1]["end"] == pytest.approx(entry["duration"], abs=0.01)
    return entry


def spans(entry):
    """All segments and skipped spans of an entry, in order of time."""
    return sorted([*entry["segments"], *entry["skipped"]], key=lambda s: s["start"])
