"""Features in tables: columns of numbers, and files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from multiemo.data.features.reading import read_features
from tests.support.tables import LABELS, made, reasons, write


# --- features
def test_columns_of_numbers_become_features(tmp_path: Path) -> None:
    rows = [
        ("id", "f0", "f1", "AU01_r", "e"),
        ("a", "0,5", 2, 1, "joy"),
        ("b", "", "", 3, "sad"),
        ("c", 1, "", 1, "sad"),
    ]
    table = write(tmp_path / "t/t.csv", rows)
    options = {"id": "id", "speech_features": "f*", "face_features": "AU01_r", "label": "e", **LABELS}
    prepared = made(table, **options)
    first, second = prepared.clips
    assert {m: list(map(list, read(tmp_path, ref))) for m, ref in first.features.items()} == {
        "speech": [[0.5, 2.0]],
        "face": [[1.0]],
    }
    assert second.features.keys() == {"face"}
    assert reasons(prepared) == ["t.csv row 3: feature f1 is '', not a number"]
    assert not os.path.isabs(first.features["face"].path)


def test_files_of_features(tmp_path: Path) -> None:
    (tmp_path / "au").mkdir()
    np.save(tmp_path / "au/a.npy", np.ones((3, 2), dtype=np.float32))
    table = write(tmp_path / "t/t.csv", [("id", "f"), ("a", "au/a.npy"), ("b", "au/b.npy"), ("c", "")])
    for option in ("f", "au/{id}.npy"):
        prepared = made(table, id="id", text="id", face_features=option, media=str(tmp_path))
        assert read(tmp_path, prepared.clips[0].features["face"]).shape == (3, 2)
        assert "face_features 'au/b.npy' no such file in" in reasons(prepared)[0]


def read(tmp_path: Path, reference) -> np.ndarray:
    return read_features(tmp_path / "out" / reference.path, reference.key)[0]
