"""AffectNet in the layouts that it is passed on in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.corpora import run, touch, write


def test_affectnet_in_class_folders(tmp_path: Path) -> None:
    names = ("Train/Anger/image1.jpg", "Train/contempt/image1.png", "Test/4/image7.jpg", "Test/9/image8.jpg", "x.png")
    root = touch(tmp_path / "AffectNet", *names)
    prepared = run("affectnet", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.split, c.valence) for c in prepared.clips] == [
        ("Test/4/image7", "fearful", "test", None), ("Train/Anger/image1", "angry", "train", None),
        ("Train/contempt/image1", "contemptuous", "train", None),
    ]  # fmt: skip
    assert [s.what for s in prepared.skipped] == ["x.png", "Test/9/image8.jpg"]


def test_affectnet_with_labels_csv_goes_by_it(tmp_path: Path) -> None:
    root = touch(tmp_path / "a", "anger/image0000006.jpg", "anger/image0000060.jpg", "fear/image1.jpg")
    rows = "0,anger/image0000006.jpg,surprise,0.87\n1,anger/image0000060.jpg,anger,0.85\n2,fear/gone.jpg,fear,0.8\n"
    write(root / "labels.csv", ",pth,label,relFCs\n" + rows + "3,fear/image1.jpg,bliss,0.7\n")
    prepared = run("affectnet", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.split) for c in prepared.clips] == [
        ("anger/image0000006", "surprised", None), ("anger/image0000060", "angry", None),
    ]  # fmt: skip
    assert [s.what for s in prepared.skipped] == ["labels.csv row 3", "labels.csv row 4"]


def test_affectnet_with_labels_csv_beside_its_parts(tmp_path: Path) -> None:
    root = touch(tmp_path / "a", "Train/anger/1.jpg", "Test/anger/1.jpg", "Test/fear/2.jpg")
    write(root / "labels.csv", ",pth,label,relFCs\n0,anger/1.jpg,anger,0.8\n1,fear/2.jpg,happy,0.8\n")
    prepared = run("affectnet", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.split) for c in prepared.clips] == [
        ("Train/anger/1", "angry", "train"), ("Test/anger/1", "angry", "test"), ("Test/fear/2", "happy", "test"),
    ]  # fmt: skip


def test_affectnet_in_yolo_format_with_parts_inside(tmp_path: Path) -> None:
    for part, code in (("train", 0), ("val", 1)):
        touch(tmp_path / "y", f"images/{part}/a.png")
        write(tmp_path / f"y/labels/{part}/a.txt", f"{code} 0 0 1 1")
    prepared = run("affectnet", tmp_path / "y", tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.split) for c in prepared.clips] == [
        ("images/train/a", "angry", "train"), ("images/val/a", "contemptuous", "val"),
    ]  # fmt: skip


@pytest.mark.parametrize("named", [True, False])
def test_affectnet_in_yolo_format(tmp_path: Path, named: bool) -> None:
    root = tmp_path / "archive/YOLO_format"
    boxes = {
        "train/a.png": "6 0.5 0.5 1 1",
        "valid/b.jpg": "1 0.5 0.5 1 1\n1 0.1 0.1 0.1 0.1\n",
        "test/c.png": "7 0 0 1 1",
    }
    boxes |= {"train/two.png": "6 0 0 1 1\n3 0 0 1 1", "train/none.png": "", "train/far.png": "8 0 0 1 1"}
    for name, note in boxes.items():
        part, _, file = name.partition("/")
        touch(root, f"{part}/images/{file}")
        write(root / part / "labels" / f"{file[:-4]}.txt", note)
    if named:  # in another order than the published one
        names = ["Happy", "Neutral", "Sad", "Surprise", "Anger", "Contempt", "Disgust", "Fear"]
        write(root / "data.yaml", f"train: ../train/images\nnc: 8\nnames: {names}\n")
    prepared = run("affectnet", tmp_path / "archive", tmp_path / "m.jsonl")
    labels = ("disgusted", "neutral", "fearful") if named else ("sad", "contemptuous", "surprised")
    assert {c.split: c.label for c in prepared.clips} == dict(zip(("train", "val", "test"), labels, strict=True))
    assert [s.reason for s in prepared.skipped] == [
        "labels/far.txt is missing or names classes 8, not one of the eight",
        "labels/none.txt is missing or names no class",
        "labels/two.txt is missing or names classes 3, 6, not one of the eight",
    ]  # fmt: skip
