"""Labels in tables: names, votes, one-hot columns, several at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiemo.errors import ConfigError, ManifestError
from tests.support.tables import LABELS, made, of, reasons, write


# --- labels
def test_words_and_numbers_of_a_table_are_said_to_be_labels(tmp_path: Path) -> None:
    table = write(
        tmp_path / "t/t.csv", [("text", "e"), ("a", 0), ("b", "1.0"), ("c", "高兴"), ("d", "xxx"), ("e", "odd")]
    )
    prepared = made(table, text="text", label="e", label_map="0:Sad,1.0:joy,高兴:happy,xxx:", **LABELS)
    assert [clip.label for clip in prepared.clips] == ["sad", "happy", "happy"]
    assert "label 'xxx' is left out by label_map" in reasons(prepared)[0]
    assert "label 'odd' is not one of neutral, happy" in reasons(prepared)[1]
    assert prepared.labels["高兴", "happy"] == 1
    with pytest.raises(ManifestError, match=r"label_map: 'glad' \(of '0'\) is not in ekman7"):
        made(table, text="text", label="e", label_map="0:glad", **LABELS)
    with pytest.raises(ConfigError, match=r"prepare.label_map: '0' is not a pair"):
        made(table, text="text", label="e", label_map="0", **LABELS)


def test_raters_in_columns_become_votes(tmp_path: Path) -> None:
    rows = [("text", "r1", "r2", "r3", "v1", "v2"), ("a", "joy", "joy", "sad", 1, 5), ("b", "sad", "joy", "", "", 4)]
    table = write(tmp_path / "t/t.csv", rows)
    clips = made(table, text="text", label="r1,r2,r3", valence="v*", scale="1..5", **LABELS).clips
    assert [(clip.votes, clip.label) for clip in clips] == [
        ({"happy": 2, "sad": 1}, "happy"),
        ({"sad": 1, "happy": 1}, None),
    ]
    assert [clip.valence for clip in clips] == [0.0, 0.5]


def test_raters_in_rows_become_votes(tmp_path: Path) -> None:
    rows = [("clip", "who", "e", "v"), ("c1", "r1", "joy", 5), ("c2", "r1", "sad", 1), ("c1", "r2", "joy", 3)]
    table = write(tmp_path / "t/t.csv", [*rows, ("c1", "r3", "anger", 4), ("c1", "r4", "nonsense", 1)])
    options = {"id": "clip", "text": "clip", "label": "e", "valence": "v", "scale": "1..5", **LABELS}
    prepared = made(table, rater="who", **options)
    assert [(clip.id, clip.votes, clip.label, clip.valence) for clip in prepared.clips] == [
        ("c1", {"happy": 2, "angry": 1}, "happy", 0.5),
        ("c2", {"sad": 1}, "sad", -1.0),
    ]
    assert [skipped.what for skipped in prepared.skipped] == ["t.csv row 5"]
    prepared = made(table, **options)
    assert [clip.id for clip in prepared.clips] == ["c1", "c2"]
    assert (
        "id 'c1' is also the id of t.csv row 1; if several raters judged a clip, name their column"
        in reasons(prepared)[1]
    )
    with pytest.raises(ManifestError, match="rater needs id"):
        made(table, text="clip", rater="who")


@pytest.mark.parametrize(
    ("header", "cells", "option"),
    [
        (("vote_happy", "vote_sad", "vote_other"), (3, "0", 1), "vote_*"),
        (("Happiness", "Sadness", "other"), ("3", "", "1.0"), "Happiness,Sadness,other"),
        (("votes",), ('{"happy": 3, "other": 1}',), "votes"),
        (("votes",), ("happy:3; other:1",), "votes"),
    ],
)
def test_votes(tmp_path: Path, header: tuple, cells: tuple, option: str) -> None:
    table = write(tmp_path / "t/t.csv", [("text", *header), ("a", *cells)])
    (clip,) = made(table, text="text", votes=option, label_map="other:", **LABELS).clips
    assert (clip.votes, clip.label) == ({"happy": 3}, "happy")


def test_one_hot_columns(tmp_path: Path) -> None:
    rows = [
        ("text", "joy", "anger", "sad"),
        ("a", 1, 0, 0),
        ("b", "1.0", "0.0", "True"),
        ("c", "", "", ""),
        ("d", 3, 0, 0),
    ]
    prepared = made(write(tmp_path / "t/t.csv", rows), text="text", onehot="joy,anger,sad", **LABELS)
    assert [(clip.label, clip.labels) for clip in prepared.clips] == [
        ("happy", None),
        (None, ("happy", "sad")),
        (None, None),
    ]
    assert reasons(prepared) == ["t.csv row 4: joy is '3', but one-hot columns have 0 or 1; for counts use votes=..."]


def test_several_labels_in_a_cell_or_in_columns(tmp_path: Path) -> None:
    cells = ["joy;surprise", "joy, surprise", "joy|surprise", "['joy', 'surprise']", "joy/surprise/joy"]
    table = write(
        tmp_path / "t/t.csv", [("text", "e"), *[(f"t{i}", cell) for i, cell in enumerate(cells)], ("x", "joy")]
    )
    assert of(table, "labels", text="text", labels="e", **LABELS) == [("happy", "surprised")] * 5 + [None]
    assert of(table, "label", text="text", labels="e", **LABELS)[-1] == "happy"
    two = write(tmp_path / "t/two.csv", [("text", "e1", "e2"), ("a", "joy", "sad"), ("b", "joy", "")])
    assert of(two, "labels", text="text", labels="e1,e2", **LABELS) == [("happy", "sad"), None]
    with pytest.raises(ManifestError, match="label and labels: labels can have only one form"):
        made(two, text="text", label="e1", labels="e2", **LABELS)
