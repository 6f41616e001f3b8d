"""The adapter ``tess`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

from tests.support.corpora import run, touch


def test_tess(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "tess",
        "OAF_angry/OAF_back_angry.wav",
        "YAF_pleasant_surprised/YAF_youth_ps.wav",
        "OAF_neutral/OA_bite_neutral.wav",
        "again/OAF_back_angry.wav",
        "OAF_angry/OAF_back_bored.wav",
    )
    prepared = run("tess", root, tmp_path / "m.jsonl")
    assert {c.id: (c.speaker, c.label, c.text) for c in prepared.clips} == {
        "OAF_back_angry": ("OAF", "angry", "Say the word back."),
        "OAF_bite_neutral": ("OAF", "neutral", "Say the word bite."),
        "YAF_youth_ps": ("YAF", "surprised", "Say the word youth."),
    }
    assert [s.what for s in prepared.skipped] == ["OAF_angry/OAF_back_bored.wav", "again/OAF_back_angry.wav"]
