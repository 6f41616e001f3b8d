"""The adapter ``mer2023`` on a miniature of its published layout."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multiemo.data.prepare import Skipped, prepare
from multiemo.errors import ConfigError, ManifestError
from tests.support.corpora import by_id, run, touch, write
from tests.support.pickles import Call


def test_mer2023_as_released(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "mer",
        "train/sample_00000001.avi",
        "train/sample_00000002.mp4",
        "test1/sample_00000001.mp4",
        "audio/sample_00000002.wav",
    )
    write(
        root / "train-label.csv",
        "name,discrete,valence\nsample_00000001,worried,-2.5\nsample_00000002,surprise,5\n"
        "sample_00000003,happy,1\nsample_00000004,bliss,1\n",
    )
    write(root / "test-labels/test1-label.csv", "name,discrete,valence\nsample_00000001,angry,-5\n")
    write(root / "test-labels/test3-label.csv", "name,discrete\nsample_00000009,sad\n")
    write(root / "transcription.csv", "name,sentence\nsample_00000002,你好。\nsample_00000009,再见。\n")
    prepared = run("mer2023", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert {n: (c.label, c.valence, c.split, c.text) for n, c in clips.items()} == {
        "train/sample_00000001": ("worried", -0.5, "train", None),
        "train/sample_00000002": ("surprised", 1.0, "train", "你好。"),
        "test1/sample_00000001": ("angry", -1.0, "test", None),
    }
    assert clips["train/sample_00000001"].video == "mer/train/sample_00000001.avi"
    assert clips["test1/sample_00000001"].video == clips["test1/sample_00000001"].audio
    assert clips["train/sample_00000002"].audio == "mer/audio/sample_00000002.wav"
    assert clips["train/sample_00000001"].label_set == "mer6"
    assert [s.what for s in prepared.skipped] == ["train sample_00000003", "train sample_00000004", "test3"]
    assert prepared.skipped[2].reason.endswith("the option test=test3 uses it instead of test1")
    third = by_id(run("mer2023", root, tmp_path / "m.jsonl", test="test3"))
    assert (third["test3/sample_00000009"].label, third["test3/sample_00000009"].valence) == ("sad", None)
    with pytest.raises(ConfigError, match=r"prepare\.test"):
        prepare("mer2023", root, tmp_path / "m.jsonl", {"test": "test4"})


def corpus(**labels: tuple[str, float]) -> dict[str, Any]:
    return {name: {"emo": emotion, "val": np.float64(valence)} for name, (emotion, valence) in labels.items()}


def test_mer2023_as_prepared_by_the_baseline(tmp_path: Path) -> None:
    root = touch(tmp_path / "mer", "video/a.avi", "video/b.mp4", "video/c.mp4", "audio/a.wav")
    np.savez_compressed(
        root / "label-6way.npz",
        train_corpus=corpus(a=("happy", 2.0), b=("neutral", -10.0)),
        test1_corpus=corpus(c=("neutral", -10)),
        test2_corpus={},
    )
    write(root / "transcription-engchi-polish.csv", "name,english,chinese\na,Good,好\n")
    prepared = run("mer2023", root, tmp_path / "m.jsonl")
    assert {c.id: (c.label, c.valence, c.text, c.audio) for c in prepared.clips} == {
        "train/a": ("happy", 0.4, "好", "mer/audio/a.wav"),
        "train/b": ("neutral", None, None, "mer/video/b.mp4"),
    }
    assert Skipped("test1", "has 1 clips with placeholders (neutral, -10) instead of labels") in prepared.skipped


def test_mer2023_never_runs_what_a_label_file_names(tmp_path: Path) -> None:
    root = touch(tmp_path / "mer", "video/a.avi")
    np.savez(root / "label-6way.npz", train_corpus={"a": Call(os.system, f"touch {tmp_path / 'victim'}")})
    with pytest.raises(ManifestError, match=r"label-6way\.npz: names \w+\.system"):
        prepare("mer2023", root, tmp_path / "m.jsonl")
    assert not (tmp_path / "victim").exists()
    np.savez(root / "label-6way.npz", train_corpus=np.arange(3))
    with pytest.raises(ManifestError, match=r"label-6way\.npz does not contain"):
        prepare("mer2023", root, tmp_path / "m.jsonl")
    write(root / "label-6way.npz", "no archive")
    with pytest.raises(ManifestError, match=r"label-6way\.npz: is not an \.npz of arrays"):
        prepare("mer2023", root, tmp_path / "m.jsonl")
