"""The adapter ``cmumosi`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

from tests.support.corpora import dump, run, table, touch, write


def test_cmumosi_as_mmsa_lays_it_out(tmp_path: Path) -> None:
    root = tmp_path / "MOSI"
    table(
        root / "label.csv",
        ("03bSnISJMiM", 1, "A LOT OF SAD PARTS", 2.4, "", "", "", "Positive", "train"),
        ("03bSnISJMiM", 11, "", -0.8, "", "", "", "Negative", "valid"),
        ("-3g5yACwYnA", "0002", "So, so.", 0.0, "", "", "", "Neutral", "test"),
        ("-3g5yACwYnA", 3, "Hm.", 1.0, "", "", "", "Ecstatic", "test"),
        ("-3g5yACwYnA", 4, "Hm.", 3.2, "", "", "", "Positive", "test"),
        ("-3g5yACwYnA", 5, "Hm.", "high", "", "", "", "Positive", "test"),
        ("-3g5yACwYnA", 6, "Hm.", 1, "", "", "", "Positive", "somewhere"),
    )
    touch(root, "Raw/03bSnISJMiM/1.mp4", "Raw/-3g5yACwYnA/2.mp4", "Raw/03bSnISJMiM/9.mp4")
    write(root / "Transcript/Segmented/03bSnISJMiM.annotprocessed", "1_DELIM_OTHER\n11_DELIM_BUT THAT_WAS BAD\n")
    dump(root / "Processed/aligned_50.pkl", {})
    prepared = run("cmumosi", root, tmp_path / "m.jsonl")
    first, second, third = prepared.clips
    assert (first.id, first.speaker, first.group, first.language) == (
        "03bSnISJMiM$_$1", "03bSnISJMiM", "03bSnISJMiM", "en",
    )  # fmt: skip
    assert (first.text, first.label_set, first.label, first.valence, first.split) == (
        "A LOT OF SAD PARTS", "polarity3", "positive", 0.8, "train",
    )  # fmt: skip
    assert first.video == first.audio == "MOSI/Raw/03bSnISJMiM/1.mp4"
    assert (second.text, second.label, second.video, second.split) == ("BUT THAT_WAS BAD", "negative", None, "val")
    assert (third.label, third.valence, third.split, third.video) == (
        "neutral", 0.0, "test", "MOSI/Raw/-3g5yACwYnA/2.mp4",
    )  # fmt: skip
    assert {s.what: s.reason for s in prepared.skipped} == {
        "Processed/aligned_50.pkl": "is a feature pickle; the option features=Processed/aligned_50.pkl adds its "
        "features to the clips",
        "-3g5yACwYnA$_$3": "annotation 'Ecstatic' is not one of negative, neutral, positive",
        "-3g5yACwYnA$_$4": "label 3.2 is not within -3..3",
        "label.csv row 6": "label 'high' is not a number",
        "label.csv row 7": "video_id '-3g5yACwYnA', clip_id '6', mode 'somewhere': one is empty or not a part",
        str(root): "1 clips without media file are kept",
    }
