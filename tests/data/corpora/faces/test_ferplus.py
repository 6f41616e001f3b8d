"""The adapter ``ferplus`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ManifestError
from tests.support.corpora import run, touch, write

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
        "1 pictures have a majority for 'unknown'",
        "1 pictures have no majority",
        "1 pictures have no name (no face)",
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
