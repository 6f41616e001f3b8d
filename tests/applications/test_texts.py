"""Texts in bulk: the same answers as one by one, every row kept as it was, whatever the format."""

from __future__ import annotations

import csv
import datetime
import gzip
import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from multiemo.applications import text_model, texts
from multiemo.applications.tables import FORMATS, Writer
from multiemo.applications.text_model import TextModel
from multiemo.applications.texts import predict_texts
from multiemo.config import load_config
from multiemo.errors import ConfigError, ManifestError
from multiemo.predict import Predictor, load
from multiemo.progress import Progress
from multiemo.runs import train
from multiemo.tables.reading import open_table

WORDS = ["I am so happy today", "我今天很难过", "leave me alone!!", "what a day " * 30, 'it, is "odd"\nreally', "ok"]


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> Predictor:
    return load(tiny_run, device="cpu")


@pytest.fixture(autouse=True)
def _loaded_once(model: Predictor, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "load", lambda run, device: model if run == tiny_run else load(run, device="cpu"))


@pytest.fixture(scope="module")
def several(tiny_config: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which several labels can hold at once."""
    folder = tmp_path_factory.mktemp("multi")
    train(load_config(tiny_config(folder, modalities=("text",), task="multi")), folder / "run")
    return folder / "run"


def rows(path: Path) -> list[dict]:
    return list(open_table(path).rows)


def write(path: Path, table: list[dict]) -> Path:
    with Writer(path, dict.fromkeys(table[0])) as writer:
        writer.write(table)
    return path


TABLE = [{"id": f"0{i}", "text": text, "note": "a, b"} for i, text in enumerate(WORDS)]


@pytest.mark.parametrize(("source", "target"), zip(FORMATS, [*FORMATS[-2:], *FORMATS[:-2]], strict=True))
def test_every_row_comes_out_as_it_was_with_what_the_model_says(
    source: str, target: str, model: Predictor, tiny_run: Path, tmp_path: Path
) -> None:
    table = write(tmp_path / f"in{source}", TABLE)
    out = tmp_path / f"out{target}"
    summary = predict_texts(tiny_run, table, column="text", out=out)
    found = rows(out)
    assert [{k: row[k] for k in TABLE[0]} for row in found] == TABLE
    for row in found:
        said = model.predict(text=row["text"])["segments"][0]
        assert (row["emotion"], row["emotion_best"]) == (said["label"], said["best"])
        assert float(row["emotion_prob"]) == pytest.approx(said["probs"][said["best"]], abs=1e-5)
        for label, p in said["probs"].items():
            assert float(row[f"p_{label}"]) == pytest.approx(p, abs=1e-5)
        assert float(row["valence"]) == pytest.approx(said["valence"], abs=2e-4)
    assert (summary["rows"], summary["predicted"], summary["without_text"]) == (len(TABLE), len(TABLE), {})
    assert sum(summary["labels"].values()) == len(TABLE)


def test_batches_and_windows_change_nothing(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write(tmp_path / "in.jsonl", [{"text": WORDS[i % 5] + " and" * (i % 9)} for i in range(60)])
    predict_texts(tiny_run, table, column="text", out=tmp_path / "one.jsonl", batch=1)
    monkeypatch.setattr(texts, "WINDOW", 7)
    monkeypatch.setattr(text_model, "_MAX_TOKENS", 100)
    predict_texts(tiny_run, table, column="text", out=tmp_path / "many.jsonl")
    for one, many in zip(rows(tmp_path / "one.jsonl"), rows(tmp_path / "many.jsonl"), strict=True):
        numbers = [key for key in one if key.startswith("p_")]
        assert [one[n] for n in numbers] == pytest.approx([many[n] for n in numbers], abs=1e-5)
        assert one["text"] == many["text"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_without_a_text_stay_and_are_counted_by_reason(suffix: str, tiny_run: Path, tmp_path: Path) -> None:
    kinds = [None, "  ", "hello", None, "\u200b", "you"]
    table = write(tmp_path / f"in{suffix}", [{"name": f"n{i}", "text": t} for i, t in enumerate(kinds)])
    summary = predict_texts(tiny_run, table, column="text", out=tmp_path / "out.jsonl", id_column="name")
    assert summary["without_text"] == {"no text": 2, "empty text": 2}
    assert summary["examples"] == {"n0": "no text", "n1": "empty text", "n3": "no text", "n4": "empty text"}
    assert (summary["rows"], summary["predicted"]) == (6, 2)
    found = rows(tmp_path / "out.jsonl")
    assert [row["emotion"] is None for row in found] == [True, True, False, True, True, False]
    assert found[0]["p_happy"] is None


def test_a_parquet_keeps_its_types(tiny_run: Path, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "text": pl.Series([None, "hello", "you"]),
            "small": pl.Series([1, None, 3], dtype=pl.Int16),
            "day": [datetime.date(2024, 5, 1)] * 3,
            "kind": pl.Series(["a", "b", "a"], dtype=pl.Categorical),
            "tags": [["x"], [], None],
        }
    )
    frame.write_parquet(tmp_path / "in.parquet")
    predict_texts(tiny_run, tmp_path / "in.parquet", column="text", out=tmp_path / "out.parquet")
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert found.select(frame.columns).equals(frame)
    assert found.schema["small"] == pl.Int16
    assert found.schema["day"] == pl.Date
    assert found.schema["p_happy"] == pl.Float64


def test_a_csv_is_not_reinterpreted(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(
        '\ufeffzip,when,text,empty\r\n007,1e5,"She said ""no"",\r\ntwice",\r\nNA,null,😀 ok,\r\n'.encode()
    )
    predict_texts(tiny_run, tmp_path / "in.csv", column="text", out=tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["zip"] for row in found] == ["007", "NA"]
    assert [row["when"] for row in found] == ["1e5", "null"]
    assert found[0]["text"] == 'She said "no",\r\ntwice'
    assert [row["empty"] for row in found] == ["", ""]


def test_rows_of_jsonl_keep_the_keys_that_they_have(tiny_run: Path, tmp_path: Path) -> None:
    lines = [{"text": "hello", "user": {"id": 1}}, {"more": [1, {"a": None}], "text": "half \ud83d"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n\n" for line in lines), "utf-8")
    predict_texts(tiny_run, tmp_path / "in.jsonl", column="text", out=tmp_path / "out.jsonl")
    found = rows(tmp_path / "out.jsonl")
    assert [{k: v for k, v in row.items() if k in line} for row, line in zip(found, lines, strict=True)] == lines
    assert "more" not in found[0]
    with pytest.raises(ConfigError, match=r"write \.jsonl"):
        predict_texts(tiny_run, tmp_path / "in.jsonl", column="text", out=tmp_path / "out.parquet")


def test_several_labels(several: Path, tmp_path: Path) -> None:
    model = load(several, device="cpu")
    table = write(tmp_path / "in.csv", TABLE)
    for suffix in FORMATS:
        predict_texts(several, table, column="text", out=tmp_path / f"out{suffix}")
        for row in rows(tmp_path / f"out{suffix}"):
            said = model.predict(text=row["text"])["segments"][0]
            assert (row["emotion"], row["emotion_best"]) == (said["label"], said["best"])
            expected = said["labels"]
            if suffix in (".csv", ".tsv"):
                assert (row["emotion_labels"] or "") == ";".join(expected)
            else:
                assert row["emotion_labels"] == expected


def test_the_file_appears_whole_or_not_at_all(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "WINDOW", 2)
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n{"text": "c"}\n{"text": 5}\n', "utf-8")
    for suffix in FORMATS:
        out = tmp_path / "sub" / f"out{suffix}"
        out.parent.mkdir(exist_ok=True)
        out.write_text("old", "utf-8")
        with pytest.raises(ConfigError, match="row 4: 'text' is 5, which is not text"):
            predict_texts(tiny_run, tmp_path / "in.jsonl", column="text", out=out)
        assert out.read_text("utf-8") == "old"
        assert [p.name for p in out.parent.iterdir()] == [out.name]
        out.unlink()


def test_no_rows(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,text\n", "utf-8")
    for suffix in (".csv", ".parquet"):
        summary = predict_texts(tiny_run, tmp_path / "in.csv", column="text", out=tmp_path / f"out{suffix}")
        assert (summary["rows"], summary["predicted"]) == (0, 0)
        found = open_table(tmp_path / f"out{suffix}")
        assert [*found.columns][:4] == ["id", "text", "emotion", "emotion_best"]
        assert not list(found.rows)


@pytest.mark.parametrize(
    ("name", "content", "error", "says"),
    [
        ("in.txt", "x", ConfigError, "no column 'text'; it has 'x'"),
        ("in.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)), ManifestError, "in.csv: is n"),
        ("in.csv", gzip.compress(b"text\na\n", mtime=0), ManifestError, "is compressed by gzip; unpack it"),
        ("gone.csv", None, ManifestError, "no such file"),
        ("in.csv", "", ManifestError, "no header"),
        ("in.csv", "id,words\n1,a\n", ConfigError, "no column 'text'; it has 'id', 'words'"),
        ("in.csv", "text,text\n1,a\n", ManifestError, "'text' twice"),
        ("in.csv", "id,text\n2,b,c\n", ManifestError, "line 2: 3 cells, but 2 columns"),
        ("in.csv", 'text\n"a', ManifestError, "line 2: is not CSV"),
        ("in.csv", "text,emotion\na,b\n", ConfigError, "already has 'emotion'"),
        ("in.jsonl", "", ConfigError, "no column 'text'; it has none"),
        ("in.parquet", "PAR1 this is none", ManifestError, "is not a Parquet file"),
    ],
)
def test_what_is_wrong_is_named(
    name: str, content: str | bytes | None, error: type[Exception], says: str, tiny_run: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(error) as caught:
        predict_texts(tiny_run, tmp_path / name, column="text", out=tmp_path / "out.csv")
    assert says in str(caught.value)
    assert not (tmp_path / "out.csv").exists()


BROKEN = {
    "in.csv": ("id,text\n1,a\n2,b,c\n3,d\n", {"line 3": "3 cells, but 2 columns"}),
    "in.tsv": ('id\ttext\n1\ta\n3\t"d\n', {}),
    "quote.csv": ('id,text\n1,a\n2,"b\n3,d\n', {"line 3": "is not CSV (unexpected end of data)"}),
    "swallow.tsv": ('id\ttext\n1\ta\n2\t"b\n3\td"\n4\te\n', {}),
    "in.jsonl": ('{"id": "1", "text": "a"}\n{"text": \n[1]\n{"id": "3", "text": "d"}\n', {
        "line 2": "is not JSON", "line 3": "is not a JSON object",
    }),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_row_that_cannot_be_read_is_listed_and_the_others_are_answered(
    name: str, tiny_run: Path, tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    content, broken = BROKEN[name]
    (tmp_path / name).write_text(content, "utf-8")
    out = tmp_path / "out.jsonl"
    summary = predict_texts(tiny_run, tmp_path / name, column="text", out=out)
    assert summary["failures"].keys() == broken.keys()
    assert all(why in summary["failures"][place] for place, why in broken.items())
    found = rows(out)
    assert len(found) == content.count("\n") - len(broken) - ("{" not in content)
    assert [row["id"] for row in found][-1] == re.search(r"\d", content.strip().rpartition("\n")[2])[0]
    assert all(row["emotion"] for row in found)
    code, _, err = cli("texts", tiny_run, tmp_path / name, "--column", "text", "--out", out)
    assert code == bool(broken)
    assert all(f"error: {tmp_path / name} {place}: " in err for place in broken)


POSTS = {
    "gb18030": "编号,text\n1,我今天很难过\n2,太好了\n",
    "big5": "編號,text\n1,我今天很難過\n2,這個人很好\n",
    "cp1252": "größe;text\n1;Ich bin so glücklich – „wirklich“\n2;déjà vu\n",
    "utf-16": "id\ttext\n1\tI’m glad\n2\t我很高兴\n",
    "utf-16-le": "id|text\n1|I’m glad\n2|我很高兴\n",
    "utf-16-be": "id,text\n1,I’m glad\n2,我很高兴\n",
    "utf-8-sig": "sep=;\nid;text\n1;I’m glad\n2;我很高兴\n",
}


@pytest.mark.parametrize("encoding", POSTS)
def test_a_table_is_read_in_its_encoding_and_with_its_separator(
    encoding: str, model: Predictor, tiny_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "posts.csv").write_bytes(POSTS[encoding].encode(encoding))
    lines = POSTS[encoding].splitlines()[-2:]
    expected = [line.replace("\t", ",").replace(";", ",").replace("|", ",").split(",")[1] for line in lines]
    summary = predict_texts(tiny_run, tmp_path / "posts.csv", column="text", out=tmp_path / "out.jsonl")
    assert [row["text"] for row in rows(tmp_path / "out.jsonl")] == expected
    told = [note for note in summary["notes"] if f"read as {encoding}" in note.lower()]
    assert bool(told) == (encoding != "utf-8-sig")


def test_a_cell_may_be_of_any_length_and_the_limit_of_others_stays(tiny_run: Path, tmp_path: Path) -> None:
    long = "so happy " * 30_000
    with (tmp_path / "long.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text"), (1, "ok"), (2, long), (3, "sad")])
    limit = csv.field_size_limit(1000)
    try:
        predict_texts(tiny_run, tmp_path / "long.csv", column="text", out=tmp_path / "out.jsonl")
        assert csv.field_size_limit() == 1000
    finally:
        csv.field_size_limit(limit)
    found = rows(tmp_path / "out.jsonl")
    assert [row["id"] for row in found] == ["1", "2", "3"]
    assert found[1]["text"] == long
    assert all(row["emotion"] for row in found)


def test_models_and_targets_that_cannot_be(tiny_run: Path, tiny_config: Callable[..., str], tmp_path: Path) -> None:
    table = write(tmp_path / "in.csv", TABLE)
    with pytest.raises(ConfigError, match="this model reads face, but not text"):
        predict_texts(tiny_run / "branches" / "face", table, column="text", out=tmp_path / "out.csv")
    with pytest.raises(ConfigError, match="is the table to read"):
        predict_texts(tiny_run, table, column="text", out=table)
    with pytest.raises(ConfigError, match="has no suffix of a table"):
        predict_texts(tiny_run, table, column="text", out=tmp_path / "out.xlsx")
    with pytest.raises(ConfigError, match="no column 'who'"):
        predict_texts(tiny_run, table, column="text", out=tmp_path / "out.csv", id_column="who")


def test_progress_is_told(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Watch(Progress):
        def __init__(self) -> None:
            self.seen: list[int] = []

        def update(self, done: int, total: int) -> None:
            self.seen.append(done)

    monkeypatch.setattr(texts, "WINDOW", 4)
    watch = Watch()
    predict_texts(tiny_run, write(tmp_path / "in.csv", TABLE), column="text", out=tmp_path / "o.csv", progress=watch)
    assert watch.seen == [4, 6]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_table(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own memory for forty windows is that for ten; both exceed the first block that is read."""
    monkeypatch.setattr(texts, "WINDOW", 500)
    monkeypatch.setattr(
        TextModel, "predict", lambda self, some, _: [dict.fromkeys(self.columns, 0.0) | {"emotion": "x"} for _ in some]
    )
    peaks = {}
    for windows in (10, 40):
        with (tmp_path / "in.csv").open("w", encoding="utf-8") as file:
            file.write("text\n" + f"{'a word ' * 30}\n" * (500 * windows))
        tracemalloc.start()
        predict_texts(tiny_run, tmp_path / "in.csv", column="text", out=tmp_path / "out.csv")
        peaks[windows] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[40] < 1.3 * peaks[10]
