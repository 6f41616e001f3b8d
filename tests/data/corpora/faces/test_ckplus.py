"""The adapter ``ckplus`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ManifestError
from tests.support.corpora import by_id, run, touch, write


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
    assert "has the code '9.0000000e+00', which is not one of" in "".join(reasons.values())
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
    with pytest.raises(
        ManifestError, match=r"ckextended.csv names no subjects, so nearly identical frames of one person"
    ):
        prepare("ckplus", tmp_path / "ck", tmp_path / "m.jsonl")
