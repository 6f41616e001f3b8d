"""The adapter ``table``: what becomes of rows and columns, whatever the format."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from multiemo.cli import app
from multiemo.data.prepare import prepare
from multiemo.errors import ConfigError, ManifestError
from multiemo.types import Clip
from tests.support.corpora import run, touch
from tests.support.corpora import write as write_text
from tests.support.tables import LABELS, made, of, wav, write


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


def test_a_row_of_a_manifest_from_another_system(tmp_path: Path, cli: Callable[..., tuple[int, str, str]]) -> None:
    wav(tmp_path / unicodedata.normalize("NFD", "clips/é 1.wav"))
    names = ["clips\\é 1.wav", "clips/é 1.wav", "~/a.wav", "file:///a.wav", "C:\\a.wav"]
    rows = [{"id": str(i), "corpus": "c", "audio": name} for i, name in enumerate(names)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    code, out, _ = cli("validate", tmp_path / "m.jsonl", "--media")
    assert code == 1
    assert [line.split(":")[0] for line in out.splitlines()] == [f"row {i} (clip '{i - 1}')" for i in (3, 4, 5)]
    assert "it must be the path of a file, relative to the manifest's folder" in out


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    table = write(tmp_path / "t/t.csv", [(" text", "e"), ("hi", "joy")])
    for options, said in (
        ({"text": "txt"}, r"no column 'txt' \(named by text=txt\); did you mean 'text'\? its columns: text, e"),
        ({"text": "text", "id": "{e}-{n}"}, r"no column 'n' \(named by id=\{e\}-\{n\}\)"),
        ({"text": "text", "votes": "v_*", **LABELS}, r"no column 'v_\*' \(named by votes=v_\*\)"),
    ):
        with pytest.raises(ManifestError, match=said):
            made(table, **options)
    assert of(table, "id", text="text", id="{text}-{e}") == ["hi-joy"]
    (clip,) = made(table, text="text", corpus="{e}", language="x-{text}").clips
    assert (clip.corpus, clip.language) == ("joy", "x-hi")
    with pytest.raises(ManifestError, match="start=text,e names 2 columns; name one"):
        made(table, text="text", start="text,e")


def test_table(tmp_path: Path) -> None:
    path = write_text(
        tmp_path / "t/clips.csv",
        "Utterance;emotion;who;from;part\n"
        "Hi there;Joy;ann;1.5;train\n;Joy;ann;;\nOh;bliss;ann;;\nWell;sad;bob;soon;\nNo label;;bob;;test\n",
    )
    options = {
        "text": "Utterance", "label": "emotion", "label_set": "ekman7", "speaker": "who", "start": "from",
        "split": "part", "corpus": "mine", "language": "en",
    }  # fmt: skip
    prepared = run("table", path.parent, tmp_path / "m.parquet", **options)
    assert prepared.clips == [
        Clip(id="clips-000001", corpus="mine", language="en", label_set="ekman7", text="Hi there", label="happy",
             speaker="ann", start=1.5, split="train"),
        Clip(id="clips-000005", corpus="mine", language="en", label_set="ekman7", text="No label", speaker="bob",
             split="test"),
    ]  # fmt: skip
    assert [s.what for s in prepared.skipped] == ["clips.csv row 2", "clips.csv row 3", "clips.csv row 4"]
    for change, message in [
        (
            {"text": "utterance"},
            r"no column 'utterance' .*did you mean 'Utterance'\? its columns: Utterance, emotion, who",
        ),
        ({"label_set": ""}, "unknown label set"),
        ({"txet": "Utterance"}, r"prepare\.txet: unknown option"),
    ]:
        with pytest.raises((ManifestError, ConfigError), match=message):
            prepare("table", path, tmp_path / "m.jsonl", {**options, **change})
    with pytest.raises(ManifestError, match="give label and label_set together"):
        prepare("table", path, tmp_path / "m.jsonl", {"text": "Utterance", "label": "emotion"})
    with pytest.raises(ManifestError, match="no column of content"):
        prepare("table", path, tmp_path / "m.jsonl", {"speaker": "who"})


def test_own_labels_go_before_aliases_and_every_change_is_listed(tmp_path: Path) -> None:
    words = ["Joy", "joy", "Contempt", "ANG", "happy", "bliss", "bliss"]
    path = write_text(tmp_path / "clips.csv", "text,emotion\n" + "".join(f"t,{word}\n" for word in words))
    options = {"text": "text", "label": "emotion", "label_set": "custom:joy,contempt,anger,happy"}
    prepared = run("table", path, tmp_path / "m.jsonl", **options)
    assert [c.label for c in prepared.clips] == ["joy", "joy", "contempt", "anger", "happy"]
    assert prepared.labels == {
        ("Joy", "joy"): 1, ("joy", "joy"): 1, ("Contempt", "contempt"): 1, ("ANG", "anger"): 1, ("happy", "happy"): 1,
        ("bliss", None): 2,
    }  # fmt: skip
    said = CliRunner().invoke(
        app,
        ["prepare", "table", str(path), "--out", str(tmp_path / "m.jsonl"), *(f"{k}={v}" for k, v in options.items())],
    )
    assert (
        "label bliss is not in the label set, left out: 2\nlabel Joy became joy: 1\nlabel Contempt became contempt: 1"
        in said.output
    )
    assert "became happy" not in said.output


def test_a_table_of_face_crops(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    path = write_text(tmp_path / "faces.csv", "file,said\na.png,\n,hello\n")
    options = {"image": "file", "text": "said", "cropped": "true"}
    prepared = run("table", path, tmp_path / "m.jsonl", **options)
    assert [(c.image, c.text, c.cropped) for c in prepared.clips] == [("a.png", None, True), (None, "hello", False)]
    assert not any(c.cropped for c in run("table", path, tmp_path / "m.jsonl", image="file").clips)
    with pytest.raises(ManifestError, match=r"table: cropped=true needs pictures; .* image=file"):
        prepare("table", path, tmp_path / "m.jsonl", {"text": "said", "cropped": "true"})
    with pytest.raises(ConfigError, match=r"prepare\.cropped: .*got 'perhaps'"):
        prepare("table", path, tmp_path / "m.jsonl", {**options, "cropped": "perhaps"})
