"""Tables of clips in any format."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from multiemo.data.manifest.reading import read_manifest
from multiemo.data.prepare import PreparedCorpus, prepare
from tests.support import media_files

LABELS = {"label_set": "ekman7"}


def wav(path: Path, seconds: float = 2.0) -> Path:
    """Silence."""
    return media_files.wav(path, [np.zeros(round(8000 * seconds))], rate=8000)


def write(path: Path, rows: Sequence[Sequence[object]], encoding: str = "utf-8", separator: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return path


def made(table: Path, /, **options: str) -> PreparedCorpus:
    out = table.parent.parent / "out" / "m.jsonl"
    prepared = prepare("table", table, out, options)
    assert read_manifest(out) == prepared.clips
    return prepared


def of(table: Path, key: str, /, **options: str) -> list[object]:
    """One key of every clip."""
    return [getattr(clip, key) for clip in made(table, **options).clips]


def reasons(prepared: PreparedCorpus) -> list[str]:
    return [f"{skipped.what}: {skipped.reason}" for skipped in prepared.skipped]
