"""The adapter ``savee`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

from tests.support.corpora import by_id, run, touch


def test_savee(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "savee",
        "AudioData/DC/a01.wav",
        "AudioData/KL/su15.wav",
        "AudioVisualClip/DC/a1.avi",
        "flat/JE_sa03.wav",
        "AudioData/DC/x01.wav",
        "AudioData/XX/a01.wav",
        "copy/DC/a01.wav",
    )
    prepared = run("savee", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert {name: (clip.speaker, clip.label) for name, clip in clips.items()} == {
        "DC_a01": ("DC", "angry"), "JE_sa03": ("JE", "sad"), "KL_su15": ("KL", "surprised"),
    }  # fmt: skip
    both = clips["DC_a01"]
    assert (both.audio, both.video) == ("savee/AudioData/DC/a01.wav", "savee/AudioVisualClip/DC/a1.avi")
    assert (both.text, both.label_set) == (None, "ekman7")
    assert [s.what for s in prepared.skipped] == ["AudioData/DC/x01.wav", "AudioData/XX/a01.wav", "copy/DC/a01.wav"]
