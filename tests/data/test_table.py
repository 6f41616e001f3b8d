"""The adapter ``table``: what people's tables hold, wherever their files lie, and what becomes of broken rows."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from multiemo.data.features import read_features
from multiemo.data.manifest import media_path, read_manifest
from multiemo.data.prepare import PreparedCorpus, prepare
from multiemo.errors import ConfigError, ManifestError
from multiemo.types import Clip
from tests.support import media_files

LABELS = {"label_set": "ekman7"}


def wav(path: Path, seconds: float = 2.0) -> Path:
    """Silence."""
    return media_files.wav(path, [np.zeros(round(8000 * seconds))], rate=8000)


def write(path: Path, rows: Sequence[Sequence[object]], encoding: str = "utf-8", separator: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return path


def made(table: Path, /, **options: str) -> PreparedCorpus:
    out = table.parent.parent / "out" / "m.jsonl"
    prepared = prepare("table", table, out, options)
    assert read_manifest(out) == prepared.clips
    return prepared


def of(table: Path, key: str, /, **options: str) -> list[object]:
    """One key of every clip."""
    return [getattr(clip, key) for clip in made(table, **options).clips]


def reasons(prepared: PreparedCorpus) -> list[str]:
    return [f"{skipped.what}: {skipped.reason}" for skipped in prepared.skipped]


# --- encodings and kinds of files


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_a_table_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    said = {"big5": "我今天很難過", "cp1252": "Ich bin müde – é"}.get(encoding, "我今天很难过")
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


def test_json_lines_a_json_list_and_parquet(tmp_path: Path) -> None:
    import polars as pl

    rows = [{"text": "hi", "v": 3, "labels": ["joy", "surprise"]}, {"text": "oh", "v": 1.5, "labels": ["anger"]}]
    (tmp_path / "t").mkdir()
    (tmp_path / "t/t.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-16")
    (tmp_path / "t/t.json").write_text(json.dumps(rows), "utf-8")
    pl.DataFrame(rows).write_parquet(tmp_path / "t/t.parquet")
    for name in ("t.jsonl", "t.json", "t.parquet"):
        clips = made(tmp_path / "t" / name, text="text", valence="v", scale="1..5", labels="labels", **LABELS).clips
        assert [(clip.text, clip.valence) for clip in clips] == [("hi", 0.0), ("oh", -0.75)]
        assert [(clip.labels, clip.label) for clip in clips] == [(("happy", "surprised"), None), (None, "angry")]


SHEET = """<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>
<row r="1"><c r="A1" t="inlineStr"><is><t>text</t></is></c><c r="B1" t="inlineStr"><is><t>from</t></is></c></row>
<row r="2"><c r="A2" t="inlineStr"><is><t>hello 你好</t></is></c><c r="B2"><v>1.5</v></c></row>
<row r="3"><c r="A3" t="inlineStr"><is><t>bye</t></is></c></row></sheetData></worksheet>"""
PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/s.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship '
    'Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r='
    '"http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="clips" sheetId="1" '
    'r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" '
    'Target="s.xml"/></Relationships>',
    "xl/s.xml": SHEET,
}


def workbook(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as book:
        for name, content in PARTS.items():
            book.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["t.xlsx", "t.csv"])
def test_an_excel_workbook_whatever_its_name(tmp_path: Path, name: str) -> None:
    pytest.importorskip("openpyxl")
    clips = made(workbook(tmp_path / "t" / name), text="text", start="from").clips
    assert [(clip.text, clip.start) for clip in clips] == [("hello 你好", 1.5), ("bye", None)]


def test_a_workbook_without_its_reader_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(
        ManifestError, match=r"is an Excel workbook, which needs openpyxl: pip install \"multiemo\[excel\]\""
    ):
        made(workbook(tmp_path / "t/t.xlsx"), text="text")


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
        "milliseconds, say time=ms",
        "t.csv row 3: audio 'a.wav': start 1500 s is after its end (2 s); correct the span (seconds); if the times are "
        "milliseconds, say time=ms",
    ]
    assert [(clip.start, clip.end) for clip in prepared.clips] == [(0, 1), (1, 2.4), (0.5, 2)]
    assert any("1 row(s) end after their media" in note and "t.csv row 5" in note for note in prepared.notes)
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
    with pytest.raises(ManifestError, match=r"valence is 4, outside -1\.\.1; say how it is rated, like scale=1\.\.5"):
        made(write(table, [("text", "v"), ("hi", "4")]), text="text", valence="v")


def test_a_number_that_is_missing(tmp_path: Path) -> None:
    table = write(tmp_path / "t/t.csv", [("text", "v", "from"), ("None", "NaN", "n/a"), ("nan", "", "null")])
    clips = made(table, text="text", valence="v", start="from").clips
    assert [(clip.text, clip.valence, clip.start) for clip in clips] == [("None", None, None), ("nan", None, None)]


# --- parts


def test_names_of_parts(tmp_path: Path) -> None:
    words = ["Train", "dev", "validation", "VALID", "eval", "", "extra"]
    table = write(tmp_path / "t/t.csv", [("text", "part"), *[(f"t{i}", word) for i, word in enumerate(words)]])
    prepared = made(table, text="text", split="part")
    assert [clip.split for clip in prepared.clips] == ["train", "val", "val", "val", "test", None]
    assert reasons(prepared) == [
        "t.csv row 7: split 'extra' is no part that is known; say what it means, like parts=extra:train"
    ]
    assert any("eval is test (1)" in note for note in prepared.notes)
    assert of(table, "split", text="text", split="part", parts="extra:train,eval:val")[-3:] == ["val", None, "train"]
    two = write(tmp_path / "t/two.csv", [("text", "part"), ("a", "train"), ("b", "eval")])
    assert of(two, "split", text="text", split="part") == ["train", "val"]
    with pytest.raises(ConfigError, match=r"prepare.parts: extra:trian: a part is one of train, val, test"):
        made(table, text="text", split="part", parts="extra:trian")


def test_a_table_for_each_part(tmp_path: Path) -> None:
    for name in ("train", "my_dev", "test-labels"):
        write(tmp_path / f"t/{name}.csv", [("id", "text"), (name, "hi"), ("same", "oh")])
    prepared = made(tmp_path / "t", id="id", text="text")
    parts = {"my_dev": "val", "same": "val", "test-labels": "test", "train": "train"}
    assert {clip.id: clip.split for clip in prepared.clips} == parts
    assert [skipped.what for skipped in prepared.skipped] == ["test-labels.csv row 2", "train.csv row 2"]
    write(tmp_path / "t/more.csv", [("id", "text")])
    with pytest.raises(ManifestError, match=r"holds 4 tables; name one, or call each after its part"):
        made(tmp_path / "t", id="id", text="text")


# --- labels


def test_words_and_numbers_of_a_table_are_said_to_be_labels(tmp_path: Path) -> None:
    table = write(
        tmp_path / "t/t.csv", [("text", "e"), ("a", 0), ("b", "1.0"), ("c", "高兴"), ("d", "xxx"), ("e", "odd")]
    )
    prepared = made(table, text="text", label="e", label_map="0:Sad,1.0:joy,高兴:happy,xxx:", **LABELS)
    assert [clip.label for clip in prepared.clips] == ["sad", "happy", "happy"]
    assert "label 'xxx' is one that label_map leaves out" in reasons(prepared)[0]
    assert "label 'odd' is not one of neutral, happy" in reasons(prepared)[1]
    assert prepared.labels["高兴", "happy"] == 1
    with pytest.raises(ManifestError, match=r"label_map: 'glad' \(of '0'\) is not in ekman7"):
        made(table, text="text", label="e", label_map="0:glad", **LABELS)
    with pytest.raises(ConfigError, match=r"prepare.label_map: '0' is no pair"):
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
        "id 'c1' is that of t.csv row 1 too; if several raters judged a clip, name their column" in reasons(prepared)[1]
    )
    with pytest.raises(ManifestError, match="rater, but no id"):
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
    assert reasons(prepared) == ["t.csv row 4: joy is '3', and one-hot columns hold 0 or 1; of counts make votes=..."]


def test_several_labels_in_a_cell_or_in_columns(tmp_path: Path) -> None:
    cells = ["joy;surprise", "joy, surprise", "joy|surprise", "['joy', 'surprise']", "joy/surprise/joy"]
    table = write(
        tmp_path / "t/t.csv", [("text", "e"), *[(f"t{i}", cell) for i, cell in enumerate(cells)], ("x", "joy")]
    )
    assert of(table, "labels", text="text", labels="e", **LABELS) == [("happy", "surprised")] * 5 + [None]
    assert of(table, "label", text="text", labels="e", **LABELS)[-1] == "happy"
    two = write(tmp_path / "t/two.csv", [("text", "e1", "e2"), ("a", "joy", "sad"), ("b", "joy", "")])
    assert of(two, "labels", text="text", labels="e1,e2", **LABELS) == [("happy", "sad"), None]
    with pytest.raises(ManifestError, match="label and labels: labels are kept in one way"):
        made(two, text="text", label="e1", labels="e2", **LABELS)


# --- features


def test_columns_of_numbers_become_features(tmp_path: Path) -> None:
    rows = [
        ("id", "f0", "f1", "AU01_r", "e"),
        ("a", "0,5", 2, 1, "joy"),
        ("b", "", "", 3, "sad"),
        ("c", 1, "", 1, "sad"),
    ]
    table = write(tmp_path / "t/t.csv", rows)
    options = {"id": "id", "speech_features": "f*", "face_features": "AU01_r", "label": "e", **LABELS}
    prepared = made(table, **options)
    first, second = prepared.clips
    assert {m: list(map(list, read(tmp_path, ref))) for m, ref in first.features.items()} == {
        "speech": [[0.5, 2.0]],
        "face": [[1.0]],
    }
    assert second.features.keys() == {"face"}
    assert reasons(prepared) == ["t.csv row 3: feature f1 is '', not a number"]
    assert not os.path.isabs(first.features["face"].path)


def test_files_of_features(tmp_path: Path) -> None:
    (tmp_path / "au").mkdir()
    np.save(tmp_path / "au/a.npy", np.ones((3, 2), dtype=np.float32))
    table = write(tmp_path / "t/t.csv", [("id", "f"), ("a", "au/a.npy"), ("b", "au/b.npy"), ("c", "")])
    for option in ("f", "au/{id}.npy"):
        prepared = made(table, id="id", text="id", face_features=option, media=str(tmp_path))
        assert read(tmp_path, prepared.clips[0].features["face"]).shape == (3, 2)
        assert "face_features 'au/b.npy' no such file in" in reasons(prepared)[0]


def read(tmp_path: Path, reference) -> np.ndarray:
    return read_features(tmp_path / "out" / reference.path, reference.key)[0]


# --- where media lie


def test_media_elsewhere_by_folder_by_pattern_and_by_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wav(tmp_path / "far/clips/dia1_utt2.wav")
    table = write(tmp_path / "t/t.csv", [("d", "u", "abs"), (1, 2, tmp_path / "far/clips/dia1_utt2.wav")])
    for options in (
        {"audio": "dia{d}_utt{u}.wav", "media": str(tmp_path / "far/clips")},
        {"audio": "clips/dia{d}_utt{u}.wav", "media": str(tmp_path / "far")},
        {"audio": "../far/clips/dia{d}_utt{u}.wav"},
        {"audio": "abs"},
        {"audio": "far/clips/dia{d}_utt{u}.wav"},
        {"audio": "abs", "text": "d"},
    ):
        (clip,) = made(table, **options).clips
        assert media_path(str(clip.audio), tmp_path / "out").is_file()
    assert (tmp_path / "out" / str(clip.audio)).resolve() == (tmp_path / "far/clips/dia1_utt2.wav").resolve()


def test_files_of_several_folders_beside_those_of_the_table(tmp_path: Path) -> None:
    names = [wav(tmp_path / "t/a.wav").name, wav(tmp_path / "x/b.wav"), wav(tmp_path / "out/c.wav")]
    table = write(tmp_path / "t/t.csv", [("f",), *[(name,) for name in names]])
    clips = made(table, audio="f").clips
    assert [clip.audio for clip in clips] == ["m.media/a.wav", "m.media-2/b.wav", "c.wav"]
    assert all(media_path(str(clip.audio), tmp_path / "out").is_file() for clip in clips)


@pytest.mark.parametrize(
    "path",
    [
        "C:\\Users\\me\\My Clips\\spk 1\\a é.wav",
        "D:/data/spk 1/a é.wav",
        "spk 1\\a é.wav",
        "\\\\server\\share\\spk 1\\a é.wav",
        "/home/other/corpus/spk 1/a é.wav",
        "file:///home/other/spk%201/a%20%C3%A9.wav",
        "file:///C:/data/spk%201/a%20%C3%A9.wav",
        "SPK 1/A É.WAV",
        '"spk 1/a é.wav"',
        unicodedata.normalize("NFD", "spk 1/a é.wav"),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_paths_of_other_machines(tmp_path: Path, path: str, form: str) -> None:
    file = wav(tmp_path / "clips" / unicodedata.normalize(form, "spk 1/a é.wav"))
    table = write(tmp_path / "t/t.csv", [("f",), (path,)])
    prepared = made(table, audio="f", media=str(tmp_path / "clips"))
    assert [media_path(str(clip.audio), tmp_path / "out").resolve() for clip in prepared.clips] == [file.resolve()]
    if "other" in path or ":" in path[:2]:
        assert any("lie elsewhere than they say" in note for note in prepared.notes)


def test_a_home_folder_and_a_url_of_a_file_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = wav(tmp_path / "a b.wav")
    table = write(tmp_path / "t/t.csv", [("f",), ("~/a b.wav",), (file.as_uri(),)])
    clips = made(table, audio="f").clips
    assert [media_path(str(clip.audio), tmp_path / "out").resolve() for clip in clips] == [file.resolve()] * 2


def test_files_that_are_missing_are_named_and_rows_keep_what_they_have(tmp_path: Path) -> None:
    wav(tmp_path / "t/a.wav")
    rows = [("f", "said"), ("a.wav", "hi"), ("b.wav", "oh"), ("c.wav", ""), ("https://x.org/d.wav", "")]
    prepared = made(write(tmp_path / "t/t.csv", rows), audio="f", text="said")
    assert [(clip.audio, clip.text) for clip in prepared.clips] == [("m.media/a.wav", "hi"), (None, "oh")]
    assert "audio 'c.wav' no such file in" in reasons(prepared)[0]
    assert "is a URL; only files on this machine are read" in reasons(prepared)[1]
    assert any("3 file(s) of audio are not there, the first in t.csv row 2: audio 'b.wav'" in n for n in prepared.notes)


def test_when_no_file_is_found_it_is_said_where_they_are(tmp_path: Path) -> None:
    wav(tmp_path / "t/wavs/a.wav")
    table = write(tmp_path / "t/t.csv", [("f", "said"), ("a", "hi"), ("b", "oh")])
    with pytest.raises(
        ManifestError, match=r"none of the 2 files of audio was found; .* ending, like audio=\{f\}\.wav"
    ):
        made(table, audio="f", text="said")
    with pytest.raises(ManifestError, match=rf"say media={tmp_path}/t/wavs"):
        made(table, audio="{f}.wav", text="said")
    assert of(table, "audio", audio="{f}.wav", text="said", media="wavs") == ["m.media/wavs/a.wav", None]
    with pytest.raises(ManifestError, match="media=nowhere: there is no such folder, neither here nor in"):
        made(table, audio="f", media="nowhere")
    wav(tmp_path / "t/wavs/x/s.wav")
    two = write(tmp_path / "t/two.csv", [("f",), ("C:\\spk1\\s.wav",), ("C:\\spk2\\s.wav",)])
    prepared = made(two, audio="f", media=str(tmp_path / "t/wavs/x"))
    assert len(prepared.clips) == 1
    assert "which has its name, is found for 'C:\\\\spk1\\\\s.wav' already" in reasons(prepared)[0]


def test_what_a_file_holds_says_its_kind(tmp_path: Path) -> None:
    from PIL import Image

    film = media_files.write(tmp_path / "film.mp4", stamps=media_files.grid(5))
    wav(tmp_path / "t/a.wav")
    Image.new("RGB", (64, 64)).save(tmp_path / "t/p.png")
    (tmp_path / "t/no.wav").write_text("no sound")
    table = write(tmp_path / "t/t.csv", [("f",), ("a.wav",), (film,), ("p.png",), ("no.wav",)])
    prepared = made(table, file="f")
    assert [[k for k in ("audio", "video", "image") if getattr(c, k)] for c in prepared.clips] == [
        ["audio"],
        ["video"],
        ["image"],
    ]
    assert "no.wav" in reasons(prepared)[0]


def test_a_row_of_a_manifest_from_another_system(tmp_path: Path, cli: Callable[..., tuple[int, str, str]]) -> None:
    wav(tmp_path / unicodedata.normalize("NFD", "clips/é 1.wav"))
    names = ["clips\\é 1.wav", "clips/é 1.wav", "~/a.wav", "file:///a.wav", "C:\\a.wav"]
    rows = [{"id": str(i), "corpus": "c", "audio": name} for i, name in enumerate(names)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    code, out, _ = cli("validate", tmp_path / "m.jsonl", "--media")
    assert code == 1
    assert [line.split(":")[0] for line in out.splitlines()] == [f"row {i} (clip '{i - 1}')" for i in (3, 4, 5)]
    assert "only files are read, and relative to the manifest's folder" in out


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
        "left out t.csv row 5: id 'a' is that of t.csv row 1 too",
        "left out clip 'b': start 2 is not before end 1",
        "note: 1 row(s) of t.csv have fewer cells than columns, the first in line 8",
    ):
        assert said in err
    assert "3 clips, 0 speakers, 4 left out" in out


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    table = write(tmp_path / "t/t.csv", [(" text", "e"), ("hi", "joy")])
    for options, said in (
        ({"text": "txt"}, r"no column 'txt' \(asked for by text=txt\); did you mean 'text'\? its columns: text, e"),
        ({"text": "text", "id": "{e}-{n}"}, r"no column 'n' \(asked for by id=\{e\}-\{n\}\)"),
        ({"text": "text", "votes": "v_*", **LABELS}, r"no column 'v_\*' \(asked for by votes=v_\*\)"),
    ):
        with pytest.raises(ManifestError, match=said):
            made(table, **options)
    assert of(table, "id", text="text", id="{text}-{e}") == ["hi-joy"]
    (clip,) = made(table, text="text", corpus="{e}", language="x-{text}").clips
    assert (clip.corpus, clip.language) == ("joy", "x-hi")
    with pytest.raises(ManifestError, match="start=text,e names 2 columns; name one"):
        made(table, text="text", start="text,e")
