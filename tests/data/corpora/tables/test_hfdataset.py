"""Hugging Face folders, as ``datasets`` 5.2 writes them: Arrow streams with JSON beside, Parquet with it inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ConfigError, ManifestError
from tests.support.corpora import run, touch, write

FEATURES = {
    "utterance": {"dtype": "string", "_type": "Value"},
    "emotion": {"names": ["anger", "joy", "love", "neutral"], "_type": "ClassLabel"},
    "who": {"dtype": "int64", "_type": "Value"},
    "sound": {"sampling_rate": 16000, "_type": "Audio"},
}
OPTIONS = {"text": "utterance", "label": "emotion", "label_set": "ekman7", "speaker": "who"}
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
STRUCT = pl.Struct({"bytes": pl.Binary, "path": pl.String})


def frame(*rows: tuple[Any, ...]) -> pl.DataFrame:
    """Rows of (utterance, emotion, who, bytes of sound, path of sound)."""
    return pl.DataFrame(
        {
            "utterance": [row[0] for row in rows],
            "emotion": [row[1] for row in rows],
            "who": [row[2] for row in rows],
            "sound": pl.Series([{"bytes": row[3], "path": row[4]} for row in rows], dtype=STRUCT),
            "unused": [object() is None for _ in rows],
        }
    )


def arrow(folder: Path, table: pl.DataFrame, name: str = "data-00000-of-00001.arrow") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    table.write_ipc_stream(folder / name)
    write(folder / "dataset_info.json", json.dumps({"features": FEATURES, "builder_name": "x"}))
    return folder


def parquet(path: Path, table: pl.DataFrame, features: Any = FEATURES) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    return path


def test_save_to_disk(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write(root / "dataset_dict.json", '{"splits": ["train", "validation"]}')
    arrow(root / "train", frame(("I won", 1, 7, None, None), (" ", 0, 7, None, None), ("Oh", -1, 8, None, None)))
    arrow(root / "train", frame(("My love", 2, 7, None, None)), "data-00001-of-00002.arrow")
    arrow(root / "validation", frame(("Leave", 0, 9, None, None)))
    prepared = run("hfdataset", root, tmp_path / "m.jsonl", corpus="mine", language="en", **OPTIONS)
    assert [(c.id, c.corpus, c.text, c.label, c.label_set, c.speaker, c.split) for c in prepared.clips] == [
        ("train-000001", "mine", "I won", "happy", "ekman7", "7", "train"),
        ("train-000003", "mine", "Oh", None, "ekman7", "8", "train"),
        ("val-000001", "mine", "Leave", "angry", "ekman7", "9", "val"),
    ]  # fmt: skip
    assert [(s.what, s.reason) for s in prepared.skipped] == [
        ("train/data-00000-of-00001.arrow train-000002", "has neither text nor media"),
        (
            "train/data-00001-of-00002.arrow train-000004",
            "label 'love' is not one of neutral, happy, sad, angry, fearful, disgusted, surprised",
        ),
    ]
    custom = run("hfdataset", root, tmp_path / "m.jsonl", **{**OPTIONS, "label_set": "custom:anger,joy,love"})
    assert [c.label for c in custom.clips] == ["joy", None, "love", "anger"]


def test_hub_parquet_with_media(tmp_path: Path) -> None:
    root = touch(tmp_path / "set", "clips/b.flac")
    touch(tmp_path, "outside.wav")
    table = frame(
        ("a", 0, 1, WAV, "a.WAV"),
        ("b", 0, 1, None, "clips/b.flac"),
        ("c", 0, 1, b"fLaC0000", None),
        ("d", 0, 1, b"0000ftypmp42", None),
        ("e", 0, 1, WAV, "../../../etc/passwd"),
        ("f", 0, 1, None, "../outside.wav"),
        ("g", 0, 1, None, "clips/gone.wav"),
        ("h", 0, 1, b"????????????", None),
        ("i", 0, 1, None, None),
        ("j", 2, 1, WAV, "j.wav"),
    )
    parquet(root / "data/test-00000-of-00001.parquet", table)
    out = tmp_path / "out/m.jsonl"
    prepared = run("hfdataset", root, out, audio="sound", **OPTIONS)
    assert [(c.text, c.audio) for c in prepared.clips] == [
        ("a", "m.media/audio/test-000001.wav"),
        ("b", "m.media/corpus/clips/b.flac"),
        ("c", "m.media/audio/test-000003.flac"),
        ("d", "m.media/audio/test-000004.mp4"),
        ("e", "m.media/audio/test-000005.wav"),
        ("i", None),
    ]
    assert (out.parent / "m.media/audio/test-000001.wav").read_bytes() == WAV
    assert {s.what.split()[1]: s.reason for s in prepared.skipped if "label" not in s.reason} == {
        "test-000006": f"audio '../outside.wav' is not a file below {root}",
        "test-000007": f"audio 'clips/gone.wav' is not a file below {root}",
        "test-000008": "audio has 12 bytes in an unknown format",
    }
    assert not (out.parent / "m.media/audio/test-000010.wav").exists()  # of a row that is left out


def test_columns(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"t": ["a", "b", "c"], "fold": ["dev", "train", "extra"], "v": [0.5, None, -1.0], "n": ["x", "y", "z"]}
    )
    path = parquet(tmp_path / "set/all.parquet", table, None)
    prepared = run("hfdataset", path, tmp_path / "m.jsonl", text="t", split="fold", valence="v", id="n")
    assert [(c.id, c.text, c.split, c.valence) for c in prepared.clips] == [
        ("x", "a", "val", 0.5), ("y", "b", "train", None),
    ]  # fmt: skip
    assert [s.reason for s in prepared.skipped] == ["split 'extra' is not train, validation or test"]


def test_caches_of_the_library_are_not_data(tmp_path: Path) -> None:
    rows = frame(("a", 0, 1, None, None), ("b", 1, 2, None, None))
    root = arrow(tmp_path / "set/train", rows).parent
    arrow(root / "train", rows, "cache-1f2e3d.arrow")
    prepared = run("hfdataset", root, tmp_path / "m.jsonl", **OPTIONS)
    assert [c.text for c in prepared.clips] == ["a", "b"]
    assert [s.what for s in prepared.skipped] == ["train/cache-1f2e3d.arrow"]


def test_configurations_with_the_same_rows_are_not_joined(tmp_path: Path) -> None:
    root = tmp_path / "set"
    parquet(root / "split/train-00000-of-00001.parquet", frame(("a", 0, 1, None, None)))
    parquet(root / "split/test-00000-of-00001.parquet", frame(("b", 1, 2, None, None)))
    parquet(root / "unsplit/train-00000-of-00001.parquet", frame(("a", 0, 1, None, None), ("b", 1, 2, None, None)))
    with pytest.raises(ManifestError, match=r"files of the part train in several folders \(split, unsplit\)"):
        prepare("hfdataset", root, tmp_path / "m.jsonl", OPTIONS)
    one = run("hfdataset", root / "split", tmp_path / "m.jsonl", **OPTIONS)
    assert [(c.text, c.split) for c in one.clips] == [("b", "test"), ("a", "train")]


def test_an_absent_rating_costs_no_row_and_parts_have_other_names(tmp_path: Path) -> None:
    table = pl.DataFrame({"t": ["a", "b"], "fold": ["training", "testing"], "v": [0.5, float("nan")]})
    path = parquet(tmp_path / "set/all.parquet", table, None)
    prepared = run("hfdataset", path, tmp_path / "m.jsonl", text="t", split="fold", valence="v")
    assert [(c.text, c.split, c.valence) for c in prepared.clips] == [("a", "train", 0.5), ("b", "test", None)]


def test_face_crops(tmp_path: Path) -> None:
    picture = {"bytes": b"\x89PNG pixels", "path": None}
    path = parquet(tmp_path / "set/all.parquet", pl.DataFrame({"face": pl.Series([picture], dtype=STRUCT)}), None)
    assert run("hfdataset", path, tmp_path / "m.jsonl", image="face", cropped="true").clips[0].cropped
    assert not run("hfdataset", path, tmp_path / "m.jsonl", image="face").clips[0].cropped


def test_what_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "m.jsonl"
    root = parquet(tmp_path / "set/train.parquet", frame(("a", 0, 1, None, None)), {}).parent
    for change, message in [
        ({}, r"label=emotion: .*train.parquet has numbers such as 0 without names for them \(ClassLabel\)"),
        (
            {"text": "uterance"},
            r"has no column 'uterance' .*did you mean 'utterance'\? its columns: utterance, emotion",
        ),
        ({"label_set": None}, "hfdataset: give label and label_set together"),
        ({"text": None}, "hfdataset: no column of content is named; name the one"),
        ({"label_set": "ekman8"}, "hfdataset: label_set: unknown label set 'ekman8'"),
    ]:
        options = {k: v for k, v in {**OPTIONS, **change}.items() if v is not None}
        with pytest.raises((ManifestError, ConfigError), match=message):
            prepare("hfdataset", root, out, options)
    for name in ("train.parquet", "train.arrow"):
        with pytest.raises(ManifestError, match=rf"hfdataset: .*{name} cannot be read .*; download or save it again"):
            prepare("hfdataset", write(tmp_path / name, "PAR1 but no more"), out, OPTIONS)
    arrow(tmp_path / "odd", frame(("a", 0, 1, None, None)))
    write(tmp_path / "odd/dataset_info.json", "[]")
    with pytest.raises(ManifestError, match="are not described in JSON"):
        prepare("hfdataset", tmp_path / "odd", out, OPTIONS)
