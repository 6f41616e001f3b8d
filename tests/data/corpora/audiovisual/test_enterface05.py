"""The adapter ``enterface05`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

from tests.support.corpora import by_id, run, touch


def test_enterface05(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "ent",
        "subject 1/anger/sentence 1/s1_an_1.avi",
        "subject 11/surprise/sentence 5/s12_su_5.avi",  # bears the number of another
        "subject 12/surprise/sentence 5/s12_su_5.avi",
        "subject 6/sadness/s6_sa_3.avi",  # no folder a sentence
        "all/s44_ha_2.avi",
        "all/s16_su_3avi.avi",  # so published
        "subject 1/anger/sentence 1/s_1_an_1.avi",
        "subject 2/boredom/sentence 1/clip.avi",
    )
    prepared = run("enterface05", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert {name: (clip.speaker, clip.label) for name, clip in clips.items()} == {
        "s44_happy_2": ("44", "happy"),
        "s16_surprised_3": ("16", "surprised"),
        "s1_angry_1": ("1", "angry"),
        "s11_surprised_5": ("11", "surprised"),
        "s12_surprised_5": ("12", "surprised"),
        "s6_sad_3": ("6", "sad"),
    }
    assert clips["s1_angry_1"].audio == clips["s1_angry_1"].video == "ent/subject 1/anger/sentence 1/s1_an_1.avi"
    assert clips["s1_angry_1"].label_set == "ekman6"
    assert [s.what for s in prepared.skipped] == [
        "subject 1/anger/sentence 1/s_1_an_1.avi",
        "subject 2/boredom/sentence 1/clip.avi",
    ]
