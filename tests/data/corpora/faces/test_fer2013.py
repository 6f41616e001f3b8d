"""The adapter ``fer2013`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ManifestError
from tests.support.corpora import by_id, run, touch, write


def test_fer2013_folders(tmp_path: Path) -> None:
    root = touch(tmp_path / "fer", "train/angry/1.png", "test/fear/1.jpg", "train/grumpy/2.png", "train/3.png")
    prepared = run("fer2013", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert {k: (c.label, c.split, c.image) for k, c in clips.items()} == {
        "train/angry/1": ("angry", "train", "fer/train/angry/1.png"),
        "test/fear/1": ("fearful", "test", "fer/test/fear/1.jpg"),
    }
    assert all(c.cropped for c in prepared.clips)
    assert sorted(s.what for s in prepared.skipped) == ["train/3.png", "train/grumpy/2.png"]


def test_fer2013_pixels_become_pictures(tmp_path: Path) -> None:
    faces = [" ".join(str((i * k) % 256) for i in range(48 * 48)) for k in (1, 3)]
    rows = [f"3,{faces[0]},Training", f"6,{faces[1]},PublicTest", f"0,{faces[0]},PrivateTest"]
    bad = ["1,1 2 3,Training", f"9,{faces[0]},Training", f"-1,{faces[0]},Training", f"x,{faces[0]},Training"]
    write(tmp_path / "fer/fer2013.csv", "emotion,pixels,Usage\n" + "\n".join(rows + bad) + "\n")
    out = tmp_path / "deep" / "m.jsonl"
    for _ in range(2):  # its own folder may be written again
        prepared = run("fer2013", tmp_path / "fer", out)
    assert [(c.label, c.split) for c in prepared.clips] == [("happy", "train"), ("neutral", "val"), ("angry", "test")]
    assert prepared.clips[0].image == "m.media/train/happy/00001.png"
    assert all(c.cropped for c in prepared.clips)
    picture = cv2.imread(str(out.parent / "m.media/val/neutral/00002.png"), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (48, 48)
    assert " ".join(map(str, picture.ravel())) == faces[1]
    assert len(prepared.skipped) == 4
    touch(tmp_path, "other.media/mine.txt")
    with pytest.raises(ManifestError, match=r"other.media exists and was not created by prepare"):
        prepare("fer2013", tmp_path / "fer", tmp_path / "other.jsonl")


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("icml_face_data.csv", "emotion, Usage, pixels\n3,Training,{0}\n6,PrivateTest,{0}\n", ["train", "test"]),
        ("train.csv", "emotion,pixels\n3,{0}\n", ["train"]),
        ("train.csv", "emotion, pixels\n3, {0}\n", ["train"]),
        ("fer2013.csv", " Emotion , Pixels , usage\n3,{0}, Training \n 6 ,{0},PrivateTest\n", ["train", "test"]),
        ("mine.csv", 'pixels,"emotion"\n"{0}",3\n', ["train"]),
    ],
)
def test_fer2013_as_the_competition_has_it(tmp_path: Path, name: str, text: str, parts: list[str]) -> None:
    write(tmp_path / "fer" / name, text.format(" ".join(["7"] * 48 * 48)))
    touch(tmp_path / "fer", "train/readme.txt")  # no folder of classes
    place = tmp_path / "fer" / (name if name == "mine.csv" else "")
    prepared = run("fer2013", place, tmp_path / "m.jsonl")
    assert [c.split for c in prepared.clips] == parts
    assert prepared.clips[0].label == "happy"
