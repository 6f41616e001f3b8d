"""The adapter ``affectnet`` in the layouts that it is published in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ManifestError
from tests.support.corpora import by_id, run, touch, write
from tests.support.pickles import Call


def note(root: Path, part: str, number: str, exp: Any, val: Any = None, aro: Any = None) -> None:
    """A picture of AffectNet with its annotations, saved as text the way the release does."""
    touch(root, f"{part}/images/{number}.jpg")
    (root / part / "annotations").mkdir(exist_ok=True)
    for kind, value in (("exp", exp), ("val", val), ("aro", aro)):
        if value is not None:
            np.save(root / part / "annotations" / f"{number}_{kind}.npy", np.array(value))


def test_affectnet_folders(tmp_path: Path) -> None:
    root = tmp_path / "AffectNet"
    note(root, "train_set", "12", "7", "-0.5", "0.25")
    note(root, "train_set", "13", 8, -2.0, -2.0)
    note(root, "train_set", "14", 1)
    note(root, "train_set", "15", "8")
    note(root, "val_set", "12", "0", "-2", "-2")
    touch(root, "val_set/images/99.jpg", "train_set/annotations/12_lnd.npy")
    prepared = run("affectnet", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert {k: (c.label, c.valence, c.arousal, c.split, c.image) for k, c in clips.items()} == {
        "train/12": ("contemptuous", -0.5, 0.25, "train", "AffectNet/train_set/images/12.jpg"),
        "train/14": ("happy", None, None, "train", "AffectNet/train_set/images/14.jpg"),
        "val/12": ("neutral", None, None, "val", "AffectNet/val_set/images/12.jpg"),
    }
    assert {c.label_set for c in clips.values()} == {"affectnet8"}
    assert not any(c.cropped for c in clips.values()), "there is room around the face"
    assert {s.what: s.reason for s in prepared.skipped} == {
        "train_set": "2 pictures are labelled none of the expressions",
        "val_set/images/99.jpg": "99_exp.npy is missing or is not a number",
    }


def test_affectnet_annotations_are_never_unpickled(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    note(tmp_path, "train_set", "1", 1)
    note(tmp_path, "train_set", "2", 0)
    held = np.empty((), dtype=object)
    held[()] = Call(os.system, f"touch {victim}")
    np.save(tmp_path / "train_set/annotations/1_exp.npy", held, allow_pickle=True)
    prepared = run("affectnet", tmp_path, tmp_path / "m.jsonl")
    assert [c.id for c in prepared.clips] == ["train/2"]
    assert [s.what for s in prepared.skipped] == ["train_set/images/1.jpg"]
    assert not victim.exists()


HEAD = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n"


def test_affectnet_lists(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "AffectNet",
        "Manually_Annotated/Manually_Annotated_Images/689/a.jpg",
        "Manually_Annotated/Manually_Annotated_Images/46/b.JPG",
        "Manually_Annotated/Manually_Annotated_Images/46/c.jpg",
    )
    write(
        root / "Manually_Annotated_file_lists/training.csv",
        HEAD
        + "689/a.jpg,134,134,899,899,1;2,1,0.785714,-0.055556\n"
        + "46/gone.jpg,1,1,9,9,1;2,6,-0.5,0.5\n"
        + "46/none.jpg,1,1,9,9,1;2,10,-2,-2\n"
        + "46/none2.jpg,1,1,9,9,1;2,10,-2,-2\n"
        + "46/c.jpg,1,1,9,9,1;2,angry,-2,-2\n"
        + "46/c.jpg,1,1,9,9,1;2,nan,-2,-2\n",
    )
    write(root / "Manually_Annotated_file_lists/validation.csv", "46/b.JPG,1,1,9,9,1;2,5,-0.7,0.4\n")
    prepared = run("affectnet", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.valence, c.arousal, c.split) for c in prepared.clips] == [
        ("train/689/a", "happy", 0.785714, -0.055556, "train"), ("val/46/b", "disgusted", -0.7, 0.4, "val"),
    ]  # fmt: skip
    assert {s.what: s.reason for s in prepared.skipped if "labelled" not in s.reason} == {
        "training.csv row 2": "the picture '46/gone.jpg' does not exist",
        "training.csv row 5": "expression, valence or arousal is not a number",
    }
    assert [s.reason for s in prepared.skipped if "labelled" in s.reason] == [
        "2 pictures are labelled no face", "1 pictures are labelled code nan",
    ]  # fmt: skip
    write(root / "Manually_Annotated_file_lists/training.csv", "subDirectory_filePath,label\n46/b.JPG,1\n")
    with pytest.raises(ManifestError, match=r"training.csv lacks the column 'expression'; it has: subDir"):
        prepare("affectnet", root, tmp_path / "m.jsonl")
