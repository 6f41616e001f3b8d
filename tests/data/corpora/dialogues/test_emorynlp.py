"""The adapter ``emorynlp`` on a miniature of its published layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ManifestError
from tests.support.corpora import run, touch, write


def utterance(name: str, emotion: str | None, *speakers: str, said: str = "Oh!") -> dict[str, Any]:
    return {"utterance_id": name, "speakers": speakers, "transcript": said, "tokens": [["Oh"]], "emotion": emotion}


def test_emorynlp_json(tmp_path: Path) -> None:
    scenes = [
        {"scene_id": "s01_e02_c10", "utterances": [utterance("s01_e02_c10_u001", "Neutral", "Ross Geller")]},
        {
            "scene_id": "s01_e02_c01",
            "utterances": [
                utterance("s01_e02_c01_u002", "Joyful", "Joey Tribbiani", "Ross Geller", said="He\x92s fine"),
                utterance("s01_e02_c01_u001", "Mad", "Monica Geller"),
                utterance("s01_e02_c01_u003", "Puzzled", "Monica Geller"),
                utterance("s01_e02_c01_u004", "Sad", "Monica Geller", said=""),
                utterance("first", "Sad", "Monica Geller"),
                {"utterance_id": "s01_e02_c01_u005"},
            ],
        },
    ]
    root = tmp_path / "emory"
    write(root / "json/emotion-detection-trn.json", json.dumps({"episodes": [{"episode_id": "e", "scenes": scenes}]}))
    last = [{"scene_id": "s01_e01_c01", "utterances": [utterance("s01_e01_c01_u001", "Scared", "Rachel Green")]}]
    write(root / "json/emotion-detection-tst.json", json.dumps({"episodes": [{"episode_id": "e", "scenes": last}]}))
    prepared = run("emorynlp", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.speaker, c.split) for c in prepared.clips] == [
        ("s01_e02_c01_u001", "mad", "Monica Geller", "train"),
        ("s01_e02_c01_u002", "joyful", "Joey Tribbiani & Ross Geller", "train"),
        ("s01_e02_c10_u001", "neutral", "Ross Geller", "train"),
        ("s01_e01_c01_u001", "scared", "Rachel Green", "test"),
    ]
    joyful = prepared.clips[1]
    assert (joyful.text, joyful.group, joyful.label_set, joyful.video) == (
        "He’s fine", "s01_e02_c01", "emorynlp7", None,
    )  # fmt: skip
    assert sorted(s.what for s in prepared.skipped) == [
        "emotion-detection-trn.json s01_e02_c01_u003",
        "emotion-detection-trn.json s01_e02_c01_u004",
        "emotion-detection-trn.json utterance 6",
        "emotion-detection-trn.json utterance 7",
    ]
    write(root / "json/emotion-detection-tst.json", json.dumps({"season": []}))
    with pytest.raises(ManifestError, match=r"emotion-detection-tst\.json does not contain episodes, scenes"):
        prepare("emorynlp", root, tmp_path / "m.jsonl")


def test_emorynlp_tables_with_clips(tmp_path: Path) -> None:
    root = touch(tmp_path / "emory", "emorynlp_dev_splits/sea1_ep15_sc4_utt2.mp4")
    write(
        root / "emorynlp_dev_final.csv",
        "Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode,Sr No.\n"
        '"Hi, what\'s up?","[\'Ross Geller\']",Peaceful,4,2,1,15,2\n'
        "Hey,\"['Chandler Bing', 'Joey Tribbiani']\",Powerful,4,1,1,15,1\nWell,Rachel,Sad,x,1,1,15,3\n",
    )
    prepared = run("emorynlp", root, tmp_path / "m.jsonl")
    both, ross = prepared.clips
    assert (both.id, both.speaker, both.label) == ("s01_e15_c04_u001", "Chandler Bing & Joey Tribbiani", "powerful")
    assert (ross.id, ross.group, ross.speaker, ross.text, ross.split) == (
        "s01_e15_c04_u002", "s01_e15_c04", "Ross Geller", "Hi, what's up?", "val",
    )  # fmt: skip
    assert ross.video == ross.audio == "emory/emorynlp_dev_splits/sea1_ep15_sc4_utt2.mp4"
    assert [s.what for s in prepared.skipped] == ["emorynlp_dev_final.csv row 3", "emorynlp_dev_final.csv"]
    assert prepared.skipped[1].reason == "1 utterances without video file are kept for their words"
