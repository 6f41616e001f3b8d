"""Folders with a class each: sounds, pictures, films and texts, with and without parts and speakers."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ConfigError, ManifestError
from tests.support.corpora import by_id, run, touch, write


def test_classes_are_a_set_of_their_own(tmp_path: Path) -> None:
    names = (
        "Joy/a.wav",
        "Joy/more/b.MP3",
        "Contempt/a.flac",
        "fear/c.opus",
        "Contempt/cover.xyz",
        ".git/x.wav",
        "a.wav",
    )
    root = touch(tmp_path / "mine", *names, "Joy/._a.wav", "Joy/readme")
    prepared = run("folders", root, tmp_path / "m.jsonl", corpus="mine", language="en")
    assert [(c.id, c.audio, c.label, c.speaker, c.split) for c in prepared.clips] == [
        ("Contempt/a", "mine/Contempt/a.flac", "Contempt", None, None),
        ("Joy/a", "mine/Joy/a.wav", "Joy", None, None),
        ("Joy/more/b", "mine/Joy/more/b.MP3", "Joy", None, None),
        ("fear/c", "mine/fear/c.opus", "fear", None, None),
    ]
    assert {(c.corpus, c.language, c.label_set) for c in prepared.clips} == {("mine", "en", "custom:Contempt,Joy,fear")}
    assert [(s.what, s.reason) for s in prepared.skipped] == [
        ("a.wav", "is not in the folder of a class"),
        (str(root), "1 files (.xyz) are not in a known audio, picture, video or text format"),
        (str(root), "1 files (no suffix) are not in a known audio, picture, video or text format"),
    ]


def test_what_systems_leave_in_folders_is_no_class_and_no_clip(tmp_path: Path) -> None:
    left = ("@eaDir/a.png/THUMB_M.png", "Joy/@eaDir/a.png/THUMB_M.png", "__MACOSX/Joy/a.png", "fear/Thumbs.db")
    root = touch(tmp_path / "mine", "Joy/a.png", "fear/b.png", *left)
    prepared = run("folders", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label) for c in prepared.clips] == [("Joy/a", "Joy"), ("fear/b", "fear")]
    assert prepared.skipped == []


@pytest.mark.parametrize("layout", ["{part}/{label}/{name}", "{label}/{part}/{name}"])
def test_parts_above_or_below_the_classes(tmp_path: Path, layout: str) -> None:
    parts = {"Train": "train", "valid": "val", "Test": "test"}
    places = [(part, label) for part in parts for label in ("Angry", "angry", "HAPPY")]
    root = touch(tmp_path / "faces", *(layout.format(part=p, label=lb, name=f"{p}{lb}.png") for p, lb in places))
    prepared = run("folders", root, tmp_path / "m.jsonl", label_set="ekman7", cropped="true")
    assert Counter((c.split, c.label) for c in prepared.clips) == {
        (part, label): count for part in parts.values() for label, count in (("angry", 2), ("happy", 1))
    }
    assert all(c.cropped and c.image and c.audio is None for c in prepared.clips)
    assert prepared.labels == {("Angry", "angry"): 3, ("angry", "angry"): 3, ("HAPPY", "happy"): 3}
    own = run("folders", root, tmp_path / "m.jsonl")
    assert {c.label for c in own.clips} == {"Angry", "HAPPY"}  # names that differ in case alone are one class


def test_what_has_no_place_in_the_set_is_counted(tmp_path: Path) -> None:
    root = touch(tmp_path / "v", "happy/a.mp4", "bliss/b.mp4", "bliss/c.mp4", "sadness/d.webm")
    prepared = run("folders", root, tmp_path / "m.jsonl", label_set="ekman7")
    assert [(c.label, c.video == c.audio) for c in prepared.clips] == [("happy", True), ("sad", True)]
    assert prepared.labels == {("bliss", None): 2, ("happy", "happy"): 1, ("sadness", "sad"): 1}
    with pytest.raises(ManifestError, match="two or more folders with media, named after their labels"):
        prepare(
            "folders",
            touch(tmp_path / "w", "happy/a.mp4", "bliss/b.mp4"),
            tmp_path / "w.jsonl",
            {"label_set": "ekman7"},
        )


def test_a_file_that_links_lead_to_is_counted_once(tmp_path: Path) -> None:
    root = touch(tmp_path / "mine", "v1/happy/a.wav", "v1/sad/b.wav")
    for name in ("happy", "sad"):
        (root / name).symlink_to(root / "v1" / name)
    prepared = run("folders", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label) for c in prepared.clips] == [("happy/a", "happy"), ("sad/b", "sad")]
    assert [(s.what, s.reason) for s in prepared.skipped] == [
        ("v1/happy/a.wav", "is happy/a.wav by another way (a link)"),
        ("v1/sad/b.wav", "is sad/b.wav by another way (a link)"),
    ]


def test_speakers_are_read_from_the_names(tmp_path: Path) -> None:
    root = touch(tmp_path / "s", "ann/happy/1.wav", "ann/sad/2.wav", "bob/happy/3.wav", "bob/sad/4.wav")
    options = {"label_set": "ekman7", "speaker": "^([^/]+)/"}
    prepared = run("folders", root, tmp_path / "m.jsonl", **options)
    assert [(c.speaker, c.label) for c in prepared.clips] == [
        ("ann", "happy"), ("ann", "sad"), ("bob", "happy"), ("bob", "sad"),
    ]  # fmt: skip
    root = touch(tmp_path / "t", "happy/ann_1.wav", "happy/bob_2.wav", "sad/3.wav")
    prepared = run("folders", root, tmp_path / "m.jsonl", speaker="/([a-z]+)_[^/]*$")
    assert [c.speaker for c in prepared.clips] == ["ann", "bob", None]
    assert "1 clips are kept without speaker: speaker=/([a-z]+)_[^/]*$ does not match" in prepared.skipped[0].reason
    for pattern, message in [
        ("([a-z", "is not a regular expression"),
        ("[a-z]+", "has no group; put parentheses around"),
    ]:
        with pytest.raises(ConfigError, match=f"prepare.speaker: .*{message}"):
            prepare("folders", root, tmp_path / "m.jsonl", {"speaker": pattern})


def test_files_of_one_name_are_one_clip(tmp_path: Path) -> None:
    root = touch(tmp_path / "x", "pos/a.wav", "pos/a.jpg", "neg/b.png", "neg/b.jpg")
    write(root / "pos/a.txt", "  Well said. \n")
    write(root / "neg/c.txt", " \n")
    write(root / "neg/d.txt", "Oh no")
    prepared = run("folders", root, tmp_path / "m.jsonl", label_set="custom:pos,neg", cropped="true")
    clips = by_id(prepared)
    assert {k: (c.text, c.audio, c.image, c.cropped) for k, c in clips.items()} == {
        "pos/a": ("Well said.", "x/pos/a.wav", "x/pos/a.jpg", True),
        "neg/b": (None, None, "x/neg/b.jpg", True),
        "neg/b.png": (None, None, "x/neg/b.png", True),
        "neg/d": ("Oh no", None, None, False),
    }
    assert [(s.what, s.reason) for s in prepared.skipped] == [("neg/c", "is an empty text")]
    (root / "neg/gone.txt").symlink_to("nowhere")
    again = run("folders", root, tmp_path / "m.jsonl", label_set="custom:pos,neg", cropped="true")
    assert again.clips == prepared.clips
    assert "gone.txt: cannot be read" in again.skipped[-1].reason


def test_folders_called_by_numbers_are_in_their_order(tmp_path: Path) -> None:
    root = touch(tmp_path / "n", "10/a.wav", "9/b.wav", "0/c.wav")
    assert run("folders", root, tmp_path / "m.jsonl").clips[0].label_set == "custom:0,9,10"
    comma = touch(tmp_path / "c", "happy, sad/a.wav", "calm/b.wav")
    with pytest.raises(ManifestError, match="'happy, sad' contains a comma, which separates labels; rename the folder"):
        prepare("folders", comma, tmp_path / "c.jsonl")


def test_a_name_that_is_no_text_costs_its_clip_alone(tmp_path: Path) -> None:
    root = touch(tmp_path / "b", "happy/a.wav", "sad/b.wav")
    os.close(os.open(os.fsencode(root / "sad") + b"/\xff.wav", os.O_CREAT))
    prepared = run("folders", root, tmp_path / "m.jsonl")
    assert [c.id for c in prepared.clips] == ["happy/a", "sad/b"]
    assert [(s.what, s.reason) for s in prepared.skipped] == [
        ("'sad/\\udcff'", "has a name that is not UTF-8; rename the file or folder")
    ]


def test_real_faces(real_data: Path, tmp_path: Path) -> None:
    prepared = prepare("folders", real_data / "fer2013/test", tmp_path / "m.jsonl", {"label_set": "fer7"})
    assert len(prepared.clips) == 3589
    assert {word: label for word, label in prepared.labels if word != label} == {
        "disgust": "disgusted", "fear": "fearful", "surprise": "surprised",
    }  # fmt: skip
