"""Rows of tables: times, ratings, parts, and what is broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from multiemo.data.manifest.reading import read_manifest
from multiemo.errors import ConfigError, ManifestError
from multiemo.types import Clip
from tests.support.tables import made, of, reasons, wav, write


# --- times and ratings
@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        ("s", "0.5", "1.25"),
        ("s", "0,5", "1,25"),
        ("ms", "500", "1250"),
        ("s", "500 ms", "1250ms"),
        ("ms", "0.5 s", "1.25s"),
        ("s", "0:00.5", "0:01.25"),
        ("ms", "00:00:00,500", "00:00:01,250"),
    ],
)
def test_times(tmp_path: Path, unit: str, start: str, end: str) -> None:
    wav(tmp_path / "t/a.wav")
    table = write(tmp_path / "t/t.csv", [("f", "from", "to"), ("a.wav", start, end)])
    (clip,) = made(table, audio="f", start="from", end="to", time=unit).clips
    assert (clip.start, clip.end) == (0.5, 1.25)


def test_a_duration_ends_a_span(tmp_path: Path) -> None:
    wav(tmp_path / "t/a.wav")
    table = write(tmp_path / "t/t.csv", [("f", "at", "for"), ("a.wav", "500", "750"), ("a.wav", "", "250")])
    clips = made(table, audio="f", start="at", duration="for", time="ms").clips
    assert [(clip.start, clip.end) for clip in clips] == [(0.5, 1.25), (None, 0.25)]


def test_a_span_outside_its_media_is_named(tmp_path: Path, cli: Callable[..., tuple[int, str, str]]) -> None:
    wav(tmp_path / "t/a.wav", 2.0)
    spans = [("a.wav", 0, 1), ("a.wav", 0, 1500), ("a.wav", 1500, 1900), ("a.wav", 1, 2.4), ("a.wav", 0.5, 3)]
    table = write(tmp_path / "t/t.csv", [("f", "s", "e"), *spans])
    prepared = made(table, audio="f", start="s", end="e")
    assert reasons(prepared) == [
        "t.csv row 2: audio 'a.wav': end 1500 s is after its end (2 s); correct the span (seconds); if the times are "
        "in milliseconds, set time=ms",
        "t.csv row 3: audio 'a.wav': start 1500 s is after its end (2 s); correct the span (seconds); if the times are "
        "in milliseconds, set time=ms",
    ]
    assert [(clip.start, clip.end) for clip in prepared.clips] == [(0, 1), (1, 2.4), (0.5, 2)]
    assert any("1 row(s) ended after their media" in note and "t.csv row 5" in note for note in prepared.notes)
    clips = [Clip(id=str(i), corpus="c", audio="a.wav", start=s, end=e) for i, (_, s, e) in enumerate(spans)]
    manifest = tmp_path / "t/m.jsonl"
    manifest.write_text(
        "".join(
            json.dumps({"id": c.id, "corpus": "c", "audio": "a.wav", "start": c.start, "end": c.end}) + "\n"
            for c in clips
        )
    )
    code, out, _ = cli("validate", manifest, "--media")
    assert code == 1
    assert [line.split(":")[0] for line in out.splitlines()] == [
        "row 2 (clip '1')",
        "row 3 (clip '2')",
        "row 5 (clip '4')",
    ]
    assert "start 1500 s is after its end (2 s)" in out


@pytest.mark.parametrize(
    ("scale", "cell", "value"),
    [("1..5", "4", 0.5), ("1..9", "1", -1.0), ("0..1", "0,75", 0.5), ("-1..1", "-0.5", -0.5), ("5..1", "1", 1.0),
     ("valence:1..9,arousal:1..5", "9", 1.0)],
)  # fmt: skip
def test_ratings_come_to_one_scale(tmp_path: Path, scale: str, cell: str, value: float) -> None:
    table = write(tmp_path / "t/t.csv", [("text", "v"), ("hi", cell), ("bad", "77"), ("worse", "high")])
    prepared = made(table, text="text", valence="v", scale=scale)
    assert [clip.valence for clip in prepared.clips] == [pytest.approx(value)]
    assert ["is 77, outside" in reasons(prepared)[0], "is 'high', not a number" in reasons(prepared)[1]] == [True, True]


def test_a_scale_that_is_none(tmp_path: Path) -> None:
    table = write(tmp_path / "t/t.csv", [("text", "v"), ("hi", "1")])
    for scale in ("5", "1-5", "3..3", "liking:1..5"):
        with pytest.raises(ConfigError, match=r"prepare.scale: .* write it from little to much"):
            made(table, text="text", valence="v", scale=scale)
    with pytest.raises(
        ManifestError, match=r"valence is 4, outside -1\.\.1; define the rating scale, like scale=1\.\.5"
    ):
        made(write(table, [("text", "v"), ("hi", "4")]), text="text", valence="v")


def test_a_number_that_is_missing(tmp_path: Path) -> None:
    table = write(tmp_path / "t/t.csv", [("text", "v", "from"), ("None", "NaN", "n/a"), ("nan", "", "null")])
    clips = made(table, text="text", valence="v", start="from").clips
    assert [(clip.text, clip.valence, clip.start) for clip in clips] == [("None", None, None), ("nan", None, None)]


def test_facts_about_the_speaker(tmp_path: Path) -> None:
    table = write(tmp_path / "t/t.csv", [("text", "Sex", "age"), ("a", "f", "34"), ("b", "", "n/a")])
    clips = made(table, text="text", attributes="Sex,age").clips
    assert [clip.attributes for clip in clips] == [{"Sex": "f", "age": "34"}, {}]


# --- parts
def test_names_of_parts(tmp_path: Path) -> None:
    words = ["Train", "dev", "validation", "VALID", "eval", "", "extra"]
    table = write(tmp_path / "t/t.csv", [("text", "part"), *[(f"t{i}", word) for i, word in enumerate(words)]])
    prepared = made(table, text="text", split="part")
    assert [clip.split for clip in prepared.clips] == ["train", "val", "val", "val", "test", None]
    assert reasons(prepared) == [
        "t.csv row 7: split 'extra' is not a known part; define its meaning, like parts=extra:train"
    ]
    assert any("eval is test (1)" in note for note in prepared.notes)
    assert of(table, "split", text="text", split="part", parts="extra:train,eval:val")[-3:] == ["val", None, "train"]
    two = write(tmp_path / "t/two.csv", [("text", "part"), ("a", "train"), ("b", "eval")])
    assert of(two, "split", text="text", split="part") == ["train", "val"]
    with pytest.raises(ConfigError, match=r"prepare.parts: extra:trian: the part must be one of train, val, test"):
        made(table, text="text", split="part", parts="extra:trian")


def test_a_table_for_each_part(tmp_path: Path) -> None:
    for name in ("train", "my_dev", "test-labels"):
        write(tmp_path / f"t/{name}.csv", [("id", "text"), (name, "hi"), ("same", "oh")])
    prepared = made(tmp_path / "t", id="id", text="text")
    parts = {"my_dev": "val", "same": "val", "test-labels": "test", "train": "train"}
    assert {clip.id: clip.split for clip in prepared.clips} == parts
    assert [skipped.what for skipped in prepared.skipped] == ["test-labels.csv row 2", "train.csv row 2"]
    write(tmp_path / "t/more.csv", [("id", "text")])
    with pytest.raises(ManifestError, match=r"has 4 tables; choose one, or name each after its part"):
        made(tmp_path / "t", id="id", text="text")


# --- rows and columns
def test_what_is_no_text_costs_its_row_alone(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t/t.jsonl").write_text('{"text": "\\ud800"}\n[[[\n{"text": "ok", "v": NaN}\n', "utf-8")
    prepared = made(tmp_path / "t/t.jsonl", text="text", valence="v")
    assert [(clip.text, clip.valence) for clip in prepared.clips] == [("ok", None)]
    assert [skipped.what for skipped in prepared.skipped] == ["t.jsonl line 2", "clip 't-000001'"]
    (tmp_path / "t/nul.csv").write_bytes(b"text,e\nhi\0there,joy\n")
    assert of(tmp_path / "t/nul.csv", "text", text="text") == ["hi\0there"]


def test_broken_rows_are_listed(tmp_path: Path, cli: Callable[..., tuple[int, str, str]]) -> None:
    (tmp_path / "t").mkdir()
    table = tmp_path / "t/t.csv"
    table.write_text(
        'id,text,from,to\na,hi,0,1\nb,oh,2,1\nc,"no,1,2\nd,x,0,1,9\na,again,0,1\ne,ok,,\nf,short\n', "utf-8"
    )
    code, out, err = cli(
        "prepare", "table", table, "id=id", "text=text", "start=from", "end=to", "--out", tmp_path / "out/m.jsonl"
    )
    assert code == 0
    assert [clip.id for clip in read_manifest(tmp_path / "out/m.jsonl")] == ["a", "e", "f"]
    for said in (
        "left out t.csv line 4: is not CSV (unexpected end of data)",
        "left out t.csv line 5: 5 cells, but 4 columns",
        "left out t.csv row 5: id 'a' is also the id of t.csv row 1",
        "left out clip 'b': start 2 is not before end 1",
        "note: 1 row(s) of t.csv have fewer cells than columns, the first in line 8",
    ):
        assert said in err
    assert "3 clips, 0 speakers, 4 left out" in out
