"""Corpora of pictures: AffectNet, RAF-DB and CK+ in the layouts they are published and passed on in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
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
        "val_set/images/99.jpg": "99_exp.npy is missing, or holds no number",
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
        "valid": "1 pictures are called test_..., and stay in the official test part",
        "valid/7/train_00001_aligned.jpg": "is a second copy of train/1/train_00001_aligned.jpg",
        "valid/bliss/test_0009_aligned.jpg": "is not in a folder of one of the classes 1-7",
    }


def test_rafdb_numbered_from_zero_is_not_guessed(tmp_path: Path) -> None:
    root = touch(tmp_path / "raf-db", "train/0/train_00001_aligned.jpg", "train/1/train_00002_aligned.jpg")
    with pytest.raises(ManifestError, match="nothing says what the numbers of a copy that counts from 0 mean"):
        prepare("rafdb", root, tmp_path / "m.jsonl")


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


VOTES = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
VOTED = (
    "Training,fer0000000.png,6,0,0,3,0,0,0,0,1,0\n"
    "Training,,0,0,0,0,0,0,0,0,0,10\n"
    "PublicTest,fer0028638.png,4,0,1,4,1,0,0,0,0,0\n"
    "PrivateTest,fer0032220.png,0,0,0,0,0,0,1,8,1,0\n"
    "PrivateTest,fer0032221.png,2,0,0,0,0,0,0,0,8,0\n"
)


def test_ferplus_with_the_pixels_of_fer2013(tmp_path: Path) -> None:
    root = tmp_path / "fer"
    write(root / "FERPlus/fer2013new.csv", VOTES + VOTED)
    usages = ("Training", "Training", "PublicTest", "PrivateTest", "PrivateTest")
    faces = "".join(f"0,{' '.join([str(n)] * 48 * 48)},{usage}\n" for n, usage in enumerate(usages))
    table = write(root / "fer2013.csv", "emotion,pixels,Usage\n" + faces)
    prepared = run("ferplus", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.votes, c.split, c.cropped) for c in prepared.clips] == [
        ("fer0000000", "neutral", {"neutral": 6, "sad": 3}, "train", True),
        ("fer0032220", "contemptuous", {"fearful": 1, "contemptuous": 8}, "test", True),
    ]
    pixel = cv2.imread(str(tmp_path / str(prepared.clips[1].image)), cv2.IMREAD_GRAYSCALE)
    assert pixel.shape == (48, 48)
    assert (pixel == 3).all()  # the fourth row's
    assert sorted(s.reason for s in prepared.skipped) == [
        "1 pictures are taken for 'unknown' by most",
        "1 pictures have no majority",
        "1 pictures show no face, and have no name",
    ]  # fmt: skip
    more = run("ferplus", root, tmp_path / "m.jsonl", undecided="true")
    assert [(c.id, c.label) for c in more.clips][1] == ("fer0028638", None)
    assert more.clips[1].votes == {"neutral": 4, "surprised": 1, "sad": 4, "angry": 1}
    write(table, "emotion,pixels,Usage\n" + "".join(reversed(faces.splitlines(keepends=True))))
    with pytest.raises(ManifestError, match=r"row 1 is of Training in .*new.csv and of PrivateTest in .*same order"):
        prepare("ferplus", root, tmp_path / "m.jsonl")


def test_ferplus_with_pictures(tmp_path: Path) -> None:
    root = touch(tmp_path / "fer", "images/FER2013Train/fer0000000.png", "images/FER2013Test/fer0032220.png")
    write(root / "fer2013new.csv", VOTES + VOTED)
    prepared = run("ferplus", root, tmp_path / "m.jsonl")
    assert [(c.id, c.image) for c in prepared.clips] == [
        ("fer0000000", "fer/images/FER2013Train/fer0000000.png"),
        ("fer0032220", "fer/images/FER2013Test/fer0032220.png"),
    ]  # fmt: skip


def test_ferplus_with_the_votes_beside_the_pictures(tmp_path: Path) -> None:
    root = touch(tmp_path / "data", "FER2013Train/fer0000000.png", "FER2013Valid/fer0028643.png")
    write(root / "FER2013Train/label.csv", 'fer0000000.png,"(0, 0, 48, 48)",6,0,0,3,0,0,0,0,1,0\nfer1.png,x,1,0\n')
    write(root / "FER2013Valid/label.csv", 'fer0028643.png,"(0, 0, 48, 48)",0,10,0,0,0,0,0,0,0,0\n')
    prepared = run("ferplus", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.votes, c.split) for c in prepared.clips] == [
        ("fer0000000", "neutral", {"neutral": 6, "sad": 3}, "train"), ("fer0028643", "happy", {"happy": 10}, "val"),
    ]  # fmt: skip
    assert [s.what for s in prepared.skipped] == ["FER2013Train/label.csv row 2"]


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
