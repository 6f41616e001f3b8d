"""The adapter ``esd`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.corpora import by_id, run, touch, write


@pytest.mark.parametrize(
    ("speaker", "encoding", "language", "sentence"),
    [
        ("0001", "gb2312", "zh", "打远一看，它们的确很美。"),
        ("0003", "utf-16", "zh", "打远一看，它们的确很美。"),
        ("0011", "utf-8", "en", "The nine the eggs, I keep."),
        ("0016", "latin-1", "en", "I did go, and made many café prisoners."),
    ],
)
def test_esd(tmp_path: Path, speaker: str, encoding: str, language: str, sentence: str) -> None:
    root = touch(
        tmp_path / "esd",
        f"{speaker}/Neutral/{speaker}_000001.wav",
        f"{speaker}/Angry/train/{speaker}_000351.wav",
        f"{speaker}/Surprise/evaluation/{speaker}_001401.wav",
        f"{speaker}/Happy/test/{speaker}_000722.wav",
        f"{speaker}/Sleepy/{speaker}_000009.wav",
        "0002/Sad/0002_001051.wav",
    )
    neutral = "中立" if language == "zh" else "Neutral"
    write(
        root / f"{speaker}/{speaker}.txt",
        f"{speaker}_000001\t{sentence}\t{neutral}\r\n\r\n{speaker}_000351\t{sentence} Angry\r\nbad line\r\n"
        f"{speaker}_001401\t{sentence}\tSurprise\r\n",
        encoding,
    )
    prepared = run("esd", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert {name[5:]: (clip.label, clip.split, clip.text) for name, clip in clips.items()} == {
        "001051": ("sad", None, None),
        "000351": ("angry", "train", sentence),
        "000722": ("happy", "test", None),
        "000001": ("neutral", None, sentence),
        "001401": ("surprised", "val", sentence),
    }
    assert {clip.speaker: clip.language for clip in clips.values()} == {speaker: language, "0002": "zh"}
    assert {s.what for s in prepared.skipped} == {"0002.txt", f"{speaker}/Sleepy/{speaker}_000009.wav"}
