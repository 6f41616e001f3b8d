"""The adapter ``rafdb`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ManifestError
from tests.support.corpora import run, touch, write


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
        ("list_patition_label.txt line 3", "the picture 'train_00003.jpg' does not exist, aligned or original"),
        ("list_patition_label.txt line 4", "'train_00002.jpg 0' is not a picture of train or test and a code 1-7"),
        ("list_patition_label.txt line 5", "'other_1.jpg 1' is not a picture of train or test and a code 1-7"),
    ]


def test_rafdb_compound_codes_are_not_taken_for_basic_ones(tmp_path: Path) -> None:
    root = touch(tmp_path / "compound", "Image/aligned/train_00001_aligned.jpg")
    write(root / "EmoLabel/list_patition_label.txt", "train_00001.jpg 3\ntrain_00002.jpg 11\n")
    with pytest.raises(ManifestError, match=r"lists the compound expressions \(codes 1-11\); use the folder basic/"):
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


def test_rafdb_with_a_valid_folder(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "raf-db",
        "train/1/train_00001_aligned.jpg",
        "train/anger/train_00002_aligned.jpg",
        "valid/7/test_0002_aligned.jpg",
        "valid/7/train_00003_aligned.jpg",
        "valid/7/train_00001_aligned.jpg",
        "valid/bliss/test_0009_aligned.jpg",
    )
    prepared = run("rafdb", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.split) for c in prepared.clips] == [
        ("train_00001", "surprised", "train"), ("train_00002", "angry", "train"), ("test_0002", "neutral", "test"),
        ("train_00003", "neutral", "val"),
    ]  # fmt: skip
    assert {s.what: s.reason for s in prepared.skipped} == {
        "valid": "1 pictures are named test_... and stay in the official test part",
        "valid/7/train_00001_aligned.jpg": "is a second copy of train/1/train_00001_aligned.jpg",
        "valid/bliss/test_0009_aligned.jpg": "is not in a folder of one of the classes 1-7",
    }


def test_rafdb_numbered_from_zero_is_not_guessed(tmp_path: Path) -> None:
    root = touch(tmp_path / "raf-db", "train/0/train_00001_aligned.jpg", "train/1/train_00002_aligned.jpg")
    with pytest.raises(ManifestError, match="the numbers of a copy that counts from 0 are ambiguous"):
        prepare("rafdb", root, tmp_path / "m.jsonl")


def test_rafdb_with_names_that_repeat_in_each_folder(tmp_path: Path) -> None:
    folders = [f"{part}/{word}" for part in ("train", "test") for word in ("happiness", "sadness")]
    names = [f"{folder}/000{n}.jpg" for folder in folders for n in (1, 2)]
    prepared = run("rafdb", touch(tmp_path / "raf", *names), tmp_path / "m.jsonl")
    assert len(prepared.clips) == 8
    assert not prepared.skipped
    first = prepared.clips[0]
    assert (first.id, first.label, first.split) == ("train/happiness/0001", "happy", "train")
