"""The adapter ``emodb`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

from tests.support.corpora import run, touch


def test_emodb(tmp_path: Path) -> None:
    root = touch(tmp_path / "emodb", "wav/03a01Fa.wav", "wav/16b10Td.wav", "wav/hello.wav")
    prepared = run("emodb", root, tmp_path / "m.jsonl")
    happy, sad = prepared.clips
    assert (happy.id, happy.speaker, happy.label, happy.language) == ("03a01Fa", "03", "happy", "de")
    assert happy.text == "Der Lappen liegt auf dem Eisschrank."
    assert (sad.speaker, sad.label) == ("16", "sad")
    assert sad.attributes == {"sex": "female", "age": "31"}
    assert [s.what for s in prepared.skipped] == ["wav/hello.wav"]
