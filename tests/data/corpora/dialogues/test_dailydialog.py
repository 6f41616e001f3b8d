"""The adapter ``dailydialog`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ManifestError
from tests.support.corpora import run, write


def test_dailydialog_parts(tmp_path: Path) -> None:
    root = tmp_path / "dd"
    write(root / "dialogues_text.txt", "all __eou__\n")
    write(root / "dialogues_emotion.txt", "0\n")
    write(
        root / "train/train/dialogues_train.txt",
        "The kitchen stinks . __eou__ I ’ ll throw out the garbage . __eou__\n"
        "One __eou__ Two __eou__\nGood __eou__ __eou__ Bad __eou__\n",
    )
    write(root / "train/train/dialogues_emotion_train.txt", "2 0 \n4\n6 0 9\n")
    write(root / "validation/dialogues_validation.txt", "So happy __eou__\n")
    write(root / "validation/dialogues_emotion_validation.txt", "4\n")
    prepared = run("dailydialog", root, tmp_path / "m.jsonl")
    assert [(c.id, c.group, c.label, c.split) for c in prepared.clips] == [
        ("train_0_0", "train_0", "disgusted", "train"),
        ("train_0_1", "train_0", "neutral", "train"),
        ("train_2_0", "train_2", "surprised", "train"),
        ("validation_0_0", "validation_0", "happy", "val"),
    ]
    assert (prepared.clips[0].text, prepared.clips[0].speaker) == ("The kitchen stinks .", None)
    assert {s.what: s.reason for s in prepared.skipped} == {
        "dialogues_train.txt dialogue 1": "has 2 utterances and 1 emotions",
        "dialogues_train.txt dialogue 2 utterance 1": "has no text",
        "dialogues_train.txt dialogue 2 utterance 2": "emotion '9' is not 0-6",
    }
    write(root / "validation/dialogues_emotion_validation.txt", "4\n1\n")
    with pytest.raises(ManifestError, match=r"has 1 dialogues and .* has 2; unpack them again"):
        prepare("dailydialog", root, tmp_path / "m.jsonl")


def test_dailydialog_whole(tmp_path: Path) -> None:
    root = tmp_path / "ijcnlp_dailydialog"
    write(root / "dialogues_text.txt", "Say , Jim __eou__ You know __eou__\n")
    write(root / "dialogues_emotion.txt", "0 1\n")
    prepared = run("dailydialog", tmp_path, tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.split) for c in prepared.clips] == [
        ("all_0_0", "neutral", None), ("all_0_1", "angry", None),
    ]  # fmt: skip
