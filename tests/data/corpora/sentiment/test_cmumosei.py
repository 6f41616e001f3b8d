"""The adapter ``cmumosei`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ManifestError
from tests.support.corpora import ratings, run, table, touch, write


def test_cmumosei_in_the_folders_of_the_first_release(tmp_path: Path) -> None:
    root = tmp_path / "MOSEI"
    table(
        root / "label.csv",
        ("_UNQDdiAbWI", 0, "", -1 / 3, "", "", "", "Negative", "train"),
        ("a_b_7", 12, "Hi", 1 / 3, "", "", "", "Positive", "train"),
    )
    touch(
        root,
        "Videos/Segmented/Combined/_UNQDdiAbWI_0.mp4",
        "Audio/WAV_16000/Segmented/_UNQDdiAbWI_0.wav",
        "Audio/WAV_16000/Segmented/a_b_7_12.wav",
        "Videos/Full/Combined/a_b_7.mp4",
    )
    write(root / "Transcript/Segmented/Combined/_UNQDdiAbWI.txt", "_UNQDdiAbWI___0___0.5___2.25___I said ___ nothing\n")
    first, second = run("cmumosei", root, tmp_path / "m.jsonl", label_set="polarity7").clips
    assert (first.text, first.label_set, first.label, first.valence) == (
        "I said ___ nothing", "polarity7", "neutral", -0.111111,
    )  # fmt: skip
    assert first.audio == "MOSEI/Audio/WAV_16000/Segmented/_UNQDdiAbWI_0.wav"
    assert first.video == "MOSEI/Videos/Segmented/Combined/_UNQDdiAbWI_0.mp4"
    assert (second.audio, second.video) == ("MOSEI/Audio/WAV_16000/Segmented/a_b_7_12.wav", None)


def test_cmumosei_emotions(tmp_path: Path) -> None:
    root = tmp_path / "MOSEI"
    rows = [("_UNQDdiAbWI", n, "words", 1.0, "", "", "", "Positive", "train") for n in range(4)]
    table(root / "label.csv", *rows, ("208322", "0007", "words", -1.0, "", "", "", "Negative", "test"))
    ratings(
        root / "Labels/5000_batch_raw.csv",
        ("_UNQDdiAbWI", "0", (2, 0, 0, 1, 0, 0)),
        ("_UNQDdiAbWI", "0", (0, 0, 0, 0, 0, 0)),
        ("_UNQDdiAbWI", "1", (0, 0, 0, 0, 0, 0)),
        ("_UNQDdiAbWI", "2", (0, "x", 0, 0, 0, 0)),
    )
    ratings(
        root / "Labels/pom_extra_sqa_mono_results.csv",
        ("34/208322", "7", (0, 1, 3, 0, 1, 2)),
        ("_UNQDdiAbWI", "0", (0, 0, 1, 0, 0, 0)),
    )
    write(root / "Labels/readme.csv", "file,what\n5000_batch_raw,ratings\n")
    six = run("cmumosei", root, tmp_path / "m.jsonl", label_set="ekman6")
    assert [clip.labels for clip in six.clips] == [
        ("happy", "angry", "surprised"), None, None, None, ("sad", "angry", "disgusted", "fearful"),
    ]  # fmt: skip
    assert {(clip.label, clip.label_set) for clip in six.clips} == {(None, "ekman6")}
    assert [clip.valence for clip in six.clips] == [0.333333] * 4 + [-0.333333]
    assert {s.what: s.reason for s in six.skipped if s.what.startswith("Labels")} == {
        "Labels/5000_batch_raw.csv": "1 rows lack a number for one of the emotions",
        "Labels/readme.csv": "has no column 'Input.VIDEO_ID'",
    }
    assert [s.reason for s in six.skipped if s.what == str(root)] == [
        "2 clips have no rating in Labels/*.csv and are kept without labels",
        "1 clips show none of the six emotions and are kept without labels",
    ]
    seven = run("cmumosei", root, tmp_path / "m.jsonl", label_set="ekman7")
    assert [clip.labels for clip in seven.clips[:3]] == [("happy", "angry", "surprised"), ("neutral",), None]
    assert run("cmumosei", root, tmp_path / "m.jsonl").clips[0].label == "positive"


def test_cmumosei_emotions_need_the_ratings(tmp_path: Path) -> None:
    table(tmp_path / "label.csv", ("v", 0, "words", 1.0, "", "", "", "Positive", "train"))
    with pytest.raises(ManifestError, match=r"cmumosei: .* expected Labels/\*\.csv with the column Answer\.happiness"):
        prepare("cmumosei", tmp_path, tmp_path / "m.jsonl", {"label_set": "ekman6"})
