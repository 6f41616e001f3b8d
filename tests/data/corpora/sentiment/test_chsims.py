"""The adapter ``chsims`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ConfigError
from tests.support.corpora import run, table, touch


def test_chsims_keeps_what_each_modality_says_alone(tmp_path: Path) -> None:
    root = tmp_path / "CH-SIMS"
    table(
        root / "label.csv",
        ("video_0001", "0001", "我不想嫁给李茶", -1.0, -0.8, 0.0, -1.0, "Negative", "train"),
        ("video_0001", "0002", "好", 0.4, 0.4, "", 0.8, "Positive", "valid"),
        ("video_0001", "0003", "坏", 0.4, 1.4, "", 0.8, "Positive", "valid"),
        ("video_0001", "0004", "坏", 0.4, "?", "", 0.8, "Positive", "valid"),
    )
    touch(root, "Raw/video_0001/0001.mp4")
    prepared = run("chsims", root, tmp_path / "m.jsonl")
    first, second = prepared.clips
    assert (first.id, first.group, first.speaker, first.language) == ("video_0001$_$0001", "video_0001", None, "zh")
    assert (first.label, first.valence) == ("negative", -1.0)
    assert first.modality_labels == {"text": "negative", "speech": "neutral", "face": "negative"}
    assert second.modality_labels == {"text": "positive", "face": "positive"}
    assert [s.reason for s in prepared.skipped] == [
        "label '?' is not a number",
        "label 1.4 is not within -1..1",
        "1 clips without media file are kept",
    ]
    five = run("chsims", root, tmp_path / "m.jsonl", label_set="polarity5").clips
    assert [c.label for c in five] == ["very negative", "positive"]
    two = run("chsims", root, tmp_path / "m.jsonl", label_set="polarity2").clips
    assert two[0].modality_labels == {"text": "negative", "face": "negative"}
    with pytest.raises(ConfigError, match=r"prepare\.label_set"):
        prepare("chsims", root, tmp_path / "m.jsonl", {"label_set": "polarity7"})


def test_the_clips_of_a_video_are_in_spoken_order_also_under_the_name_of_version_2(tmp_path: Path) -> None:
    root = tmp_path / "CH-SIMS v2"
    rows = [(video, clip, f"{video}{clip}", 0.4, 0.4, "", 0.8, "Positive", "train") for video, clip in _LISTED]
    table(root / "meta.csv", *rows)
    touch(root, "Raw/v2/10.mp4")
    clips = run("chsims", root, tmp_path / "m.jsonl").clips
    assert [c.text for c in clips] == ["v22", "v210", "v12", "v13"]
    assert clips[1].video == "CH-SIMS v2/Raw/v2/10.mp4"


_LISTED = (("v2", "10"), ("v1", "3"), ("v2", "2"), ("v1", "2"))
