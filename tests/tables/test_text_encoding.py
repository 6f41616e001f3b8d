"""Tables in any encoding."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiemo.data.prepare import prepare
from tests.support.tables import LABELS, made, of, write


# --- encodings and kinds of files
@pytest.mark.parametrize(
    "encoding",
    ["gb18030", "big5", "cp1252", "cp1250", "cp1254", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"],
)
def test_a_table_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    latin = {
        "cp1252": "Ich bin müde – é",
        "cp1250": "Było źle, jestem zmęczona",
        "cp1254": "Bugün çok kızgınım, değil mi",
    }
    said = {"big5": "我今天很難過", **latin}.get(encoding, "我今天很难过")
    table = write(tmp_path / "t/t.csv", [("text", "label"), (said, "sad"), ("ok", "happy")], encoding)
    prepared = made(table, text="text", label="label", **LABELS)
    assert [clip.text for clip in prepared.clips] == [said, "ok"]
    told = any(f"read as {encoding.lower()}" in note.lower() for note in prepared.notes)
    assert told == (encoding != "utf-8-sig")


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("cp1252", said) for said in ("Brand® x", "3×4", "about ½ of it", "It’s me", "café", "Olá, você não é")]
    + [("gb18030", said) for said in ("不好", "真气人", "爱", "讨厌", "高兴")]
    + [("big5", said) for said in ("不好", "真氣人", "愛", "討厭", "高興")],
)
def test_few_letters_say_the_encoding(tmp_path: Path, encoding: str, said: str) -> None:
    assert of(write(tmp_path / "t/t.csv", [("text", "n"), (said, 1)], encoding), "text", text="text") == [said]


def test_a_table_that_was_joined_of_two_encodings(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    lines = ["text", *["déjà vu – ça va"] * 20]
    (tmp_path / "t/t.csv").write_bytes("\n".join(lines).encode() + b"\nIt\x92s caf\xe9\n")
    prepared = made(tmp_path / "t/t.csv", text="text")
    assert [clip.text for clip in prepared.clips] == [*lines[1:], "It’s café"]
    assert prepared.notes == ["2 byte(s) that are not UTF-8 were read as cp1252 in t.csv"]


def test_the_encoding_of_a_published_table_is_said_too(tmp_path: Path) -> None:
    rows = [("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID"), ("Déjà vu", "Joey", "joy", 0, 0)]
    for name in ("train", "dev", "test"):
        write(tmp_path / f"meld/{name}_sent_emo.csv", rows, "cp1252")
    prepared = prepare("meld", tmp_path / "meld", tmp_path / "m.jsonl")
    assert {clip.text for clip in prepared.clips} == {"Déjà vu"}
    assert any("train_sent_emo.csv is not UTF-8 and was read as cp1252" in note for note in prepared.notes)
