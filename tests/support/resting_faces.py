"""A corpus of feature vectors in which people differ more at rest than between their emotions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from multiemo.config import Config, parse_config

LABELS = ("happy", "sad")
LABEL_SET = "custom:happy,sad"


def write_corpus(folder: Path, *, speakers: int = 24, clips: int = 24, named: bool = True) -> Path:
    """Write a manifest of vectors of four columns; the first column carries the emotion.

    Args:
        folder: where to write.
        speakers: number of people; the offset of each is drawn with a standard deviation of 4.
        clips: clips of each; the emotions differ by 3 in the first column.
        named: whether the rows name their speakers.
    """
    random = np.random.default_rng(0)
    rows, table = [], ["clip,c0,c1,c2,c3"]
    for speaker in range(speakers):
        offset = random.normal(0, 4, 4)
        for number in range(clips):
            label = number % 2
            values = offset + random.normal(0, 0.5, 4) + [3.0 * label, 0, 0, 0]
            name = f"s{speaker:02}-{number:02}"
            table.append(",".join([name, *(f"{value:.4f}" for value in values)]))
            row = {
                "id": name,
                "corpus": "x",
                "label_set": LABEL_SET,
                "label": LABELS[label],
                "features": {"face": {"path": "c.csv", "key": name}},
            }
            rows.append({**row, **({"speaker": f"s{speaker:02}"} if named else {"group": f"s{speaker:02}"})})
    (folder / "c.csv").write_text("\n".join(table) + "\n", "utf-8")
    manifest = folder / "m.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return manifest


def config(manifest: Path, **changes: object) -> Config:
    """The config of a face branch that normalises speakers."""
    named = {
        "name": "resting",
        "label_set": LABEL_SET,
        "device": "cpu",
        "data": {
            "manifest": str(manifest),
            "split": {"kind": "holdout", "group_by": "speaker", "val": 0.2, "test": 0.3},
        },
        "encoders": {"face": {"name": "features", "hidden": 32, "dropout": 0.1, "speaker_normalization": True}},
        "stages": ["face"],
        "training": {"epochs": 25, "mixup": 0.0},
    }
    return parse_config({**named, **changes})
