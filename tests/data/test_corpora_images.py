"""Corpora of pictures: AffectNet, RAF-DB and CK+ in the layouts they are published and passed on in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_corpora import by_id, run, touch, write

from multiemo.data.prepare import prepare
from multiemo.errors import ManifestError


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
        "val_set/images/99.jpg": "99_exp.npy is missing, or holds no number",
    }


class Attack:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.victim}",)


def test_affectnet_annotations_are_never_unpickled(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    note(tmp_path, "train_set", "1", 1)
    note(tmp_path, "train_set", "2", 0)
    held = np.empty((), dtype=object)
    held[()] = Attack(victim)
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
        "training.csv row 2": "the picture '46/gone.jpg' is not there",
        "training.csv row 5": "has no number for the expression, the valence or the arousal",
    }
    assert [s.reason for s in prepared.skipped if "labelled" in s.reason] == [
        "2 pictures are labelled no face", "1 pictures are labelled code nan",
    ]  # fmt: skip
    write(root / "Manually_Annotated_file_lists/training.csv", "subDirectory_filePath,label\n46/b.JPG,1\n")
    with pytest.raises(ManifestError, match=r"training.csv lacks the column 'expression'; it has: subDir"):
        prepare("affectnet", root, tmp_path / "m.jsonl")


def test_rafdb_release(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "RAF-DB",
        "basic/Image/original/train_00001.jpg",
        "basic/Image/aligned/train_00001_aligned.jpg",
        "basic/Image/original/test_0001.jpg",
        "basic/Image/aligned/train_00002_aligned.jpg",
        "compound/Image/aligned/train_00001_aligned.jpg",
    )
    write(root / "compound/EmoLabel/list_patition_label.txt", "train_00001.jpg 11\n")
    lines = "train_00001.jpg 5\ntest_0001.jpg 1\ntrain_00003.jpg 2\ntrain_00002.jpg 0\nother_1.jpg 1\n\n"
    write(root / "basic/EmoLabel/list_patition_label.txt", lines)
    prepared = run("rafdb", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.split, c.label_set, c.image, c.cropped) for c in prepared.clips] == [
        ("train_00001", "sad", "train", "rafdb7", "RAF-DB/basic/Image/aligned/train_00001_aligned.jpg", True),
        ("test_0001", "surprised", "test", "rafdb7", "RAF-DB/basic/Image/original/test_0001.jpg", False),
    ]
    assert [(s.what, s.reason) for s in prepared.skipped] == [
        ("list_patition_label.txt line 3", "the picture 'train_00003.jpg' is not there, aligned or not"),
        ("list_patition_label.txt line 4", "'train_00002.jpg 0' is not a picture of train or test and a code 1-7"),
        ("list_patition_label.txt line 5", "'other_1.jpg 1' is not a picture of train or test and a code 1-7"),
    ]


def test_rafdb_compound_codes_are_not_taken_for_basic_ones(tmp_path: Path) -> None:
    root = touch(tmp_path / "compound", "Image/aligned/train_00001_aligned.jpg")
    write(root / "EmoLabel/list_patition_label.txt", "train_00001.jpg 3\ntrain_00002.jpg 11\n")
    with pytest.raises(ManifestError, match=r"lists the compound expressions \(codes 1-11\); take the folder basic/"):
        prepare("rafdb", root, tmp_path / "m.jsonl")


def test_rafdb_in_class_folders(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "raf",
        "DATASET/train/1/train_00001_aligned.jpg",
        "DATASET/test/7/test_0002_aligned.jpg",
        "DATASET/test/9/test_0003_aligned.jpg",
        "train_labels.csv",
    )
    prepared = run("rafdb", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.split, c.cropped) for c in prepared.clips] == [
        ("train_00001", "surprised", "train", True), ("test_0002", "neutral", "test", True),
    ]  # fmt: skip
    assert [s.what for s in prepared.skipped] == ["DATASET/test/9/test_0003_aligned.jpg"]
    assert run("rafdb", root / "DATASET", tmp_path / "m.jsonl").clips[0].image == "raf/DATASET/train/1/" + (
        "train_00001_aligned.jpg"
    )


def sequence(root: Path, subject: str, number: str, frames: int, code: str | None) -> None:
    names = [f"{subject}_{number}_{frame:08d}" for frame in range(1, frames + 1)]
    touch(root, *(f"cohn-kanade-images/{subject}/{number}/{name}.png" for name in names))
    if code is not None:
        write(root / f"Emotion_labels/Emotion/{subject}/{number}/{names[-1]}_emotion.txt", f"   {code}\n")


def test_ckplus_release(tmp_path: Path) -> None:
    root = tmp_path / "CK+"
    sequence(root, "S005", "001", 11, "3.0000000e+00")
    sequence(root, "S010", "002", 3, "7.0000000e+00")
    sequence(root, "S010", "003", 5, None)
    sequence(root, "S011", "001", 5, "9.0000000e+00")
    write(root / "Emotion/S099/001/S099_001_00000004_emotion.txt", "1.0")
    touch(root, "copy/S005_001_00000011.png", "cohn-kanade-images/.DS_Store")
    prepared = run("ckplus", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label) for c in prepared.clips] == [
        ("S005_001_00000001", "neutral"), ("S005_001_00000009", "disgusted"), ("S005_001_00000010", "disgusted"),
        ("S005_001_00000011", "disgusted"), ("S010_002_00000001", "surprised"), ("S010_002_00000002", "surprised"),
        ("S010_002_00000003", "surprised"),
    ]  # fmt: skip
    assert not any(c.cropped for c in prepared.clips)
    apex = by_id(prepared)["S005_001_00000011"]
    assert (apex.speaker, apex.group, apex.label_set, apex.image, apex.split) == (
        "S005", "S005_001", "ckplus8", "CK+/cohn-kanade-images/S005/001/S005_001_00000011.png", None,
    )  # fmt: skip
    reasons = {s.what: s.reason for s in prepared.skipped}
    assert reasons["copy/S005_001_00000011.png"].startswith("is a second copy of cohn-kanade-images/")
    assert "holds '9.0000000e+00', not the code of one of" in "".join(reasons.values())
    assert reasons["Emotion/S099/001/S099_001_00000004_emotion.txt"] == "there are no frames S099_001_*.png"
    assert reasons[str(root)] == "1 sequences have no emotion label (in the release 266 of 593 have none)"
    seven = run("ckplus", root, tmp_path / "m.jsonl", neutral="false")
    assert {(c.label_set, c.label) for c in seven.clips} == {("ckplus7", "disgusted"), ("ckplus7", "surprised")}


def test_ck48(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "CK+48",
        *(f"anger/S010_004_{frame:08d}.png" for frame in (17, 18, 19)),
        "contempt/S138_008_00000007.png",
        "bliss/S020_001_00000001.png",
        "anger/other.png",
    )
    prepared = run("ckplus", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.speaker, c.label_set) for c in prepared.clips] == [
        ("S010_004_00000017", "angry", "S010", "ckplus7"), ("S010_004_00000018", "angry", "S010", "ckplus7"),
        ("S010_004_00000019", "angry", "S010", "ckplus7"), ("S138_008_00000007", "contemptuous", "S138", "ckplus7"),
    ]  # fmt: skip
    assert all(c.cropped for c in prepared.clips)
    assert {s.what: s.reason.split(" (")[0] for s in prepared.skipped} == {
        "anger/other.png": "is not named like a frame of CK+",
        "bliss/S020_001_00000001.png": "is not in a folder of one of the classes "
        "angry, contemptuous, disgusted, fearful, happy, sad, surprised",
    }


def test_ckplus_without_people_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "ck/ckextended.csv", "emotion,pixels,Usage\n6,36 39 35,Training\n")
    with pytest.raises(ManifestError, match=r"ckextended.csv names no people, so nearly equal frames of one person"):
        prepare("ckplus", tmp_path / "ck", tmp_path / "m.jsonl")
