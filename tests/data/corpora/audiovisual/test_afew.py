"""The adapter ``afew`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

from tests.support.corpora import run, touch


def test_afew(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "afew",
        "Train_AFEW/Angry/000046280.avi",
        "Val_AFEW/Surprise/000046280.avi",
        "Val/Fear/000000111.mp4",
        "Test_AFEW/000000222.avi",
        "Train_AFEW/Bored/000000333.avi",
        "Train_AFEW/AlignedFaces_LBPTOP_Points/Angry/000046280/000.jpg",
        "Train/Angry/000046280.avi",
    )
    prepared = run("afew", root, tmp_path / "m.jsonl")
    assert {c.id: (c.label, c.split, c.speaker) for c in prepared.clips} == {
        "train/000046280": ("angry", "train", None),
        "val/000000111": ("fearful", "val", None),
        "val/000046280": ("surprised", "val", None),
    }
    assert all(clip.audio == clip.video and clip.label_set == "ekman7" for clip in prepared.clips)
    assert sorted(s.what for s in prepared.skipped) == [
        "Test_AFEW/000000222.avi", "Train_AFEW/Angry/000046280.avi", "Train_AFEW/Bored/000000333.avi",
    ]  # fmt: skip
