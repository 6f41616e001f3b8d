"""A few random and damaged inputs of each kind; ``python -m tests.fuzz`` reads thousands. What that found is here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from multiemo.benchmark.compare import read_measured
from multiemo.config import load_config
from multiemo.config.strict_yaml import read_yaml
from multiemo.data.features.reading import read_features
from multiemo.data.manifest.reading import read_manifest
from multiemo.errors import CheckpointError, ConfigError, ManifestError, MediaError, MultiemoError
from multiemo.evaluation.report import Report
from multiemo.runs import load_bundle
from multiemo.runs.folder.required_files import model_folder
from multiemo.tables.reading import open_table
from tests.fuzz.__main__ import SHARES
from tests.fuzz.kinds import make_kind, report_of
from tests.fuzz.run import Session, property_of

#: Kinds whose whole files take long to make.
SLOW = ("model", "text", "anonymize", "media")
DEEP = ("[" * 100_000, '{"a":' * 100_000)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in SHARES])
def test_every_input_is_a_result_or_an_error_that_names_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    session = Session(make_kind(name, tmp_path / "whole"), tmp_path, tmp_path / "tmp")
    property_of(session, 150 if name in SLOW else 8, first=7)()
    assert not session.tally.defects
    assert session.tally.inputs >= 8
    assert session.tally.files <= 5


@pytest.mark.parametrize(
    "text",
    [
        "a: 2001-13-01",
        "!!set x",
        "!!int x",
        "&a [*a]",
        "a: &a {b: *a}",
        "[" * 100_000,
        "- " * 3000,
        "x: !!float 'y'",
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{c}: &{c} [{','.join([f'*{b}'] * 9)}]\n" for b, c in zip("abcdefgh", "bcdefghi", strict=True)),
        f"seed: {'9' * 5000}",
        "!!python/object/apply:os.system [x]",
    ],
    ids=range(11),
)
def test_yaml_that_broke_the_parser(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml: not valid YAML"):
        load_config(tmp_path / "c.yaml")


def test_an_alias_is_read() -> None:
    assert read_yaml("base: &b {x: 1}\nc: {<<: *b, y: 2}\nd: *b") == {
        "base": {"x": 1},
        "c": {"x": 1, "y": 2},
        "d": {"x": 1},
    }


def test_a_long_number_in_an_override_takes_no_time(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("name: x")
    with pytest.raises(ConfigError):
        load_config(tmp_path / "c.yaml", [f"name={'1' * 50_000}x"])


@pytest.mark.parametrize("text", DEEP, ids=["list", "object"])
def test_json_too_deep_for_the_parser(text: str, tmp_path: Path) -> None:
    for name in ("evaluation.json", "config.json"):
        (tmp_path / name).write_text(text)
    with pytest.raises(CheckpointError, match=r"evaluation\.json: not readable as a result"):
        Report.read(tmp_path / "evaluation.json")
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        load_bundle(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"facts": []},
        {"assets": [1]},
        {"fused": "yes"},
        {"facts": {"objective": 3}},
        {"inputs": {"text": {"kind": "text", "max_tokens": "x"}}},
        {"inputs": {"text": {"kind": "text", "max_tokens": [1]}}},
        {"versions": 1},
        {"label_set": None},
        {"config": []},
    ],
    ids=str,
)
def test_a_model_whose_config_has_other_types(change: dict, tiny_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder(tiny_run), tmp_path / "model")
    values = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(CheckpointError, match=str(folder)):
        load_bundle(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"target": "x"},
        {"target": [1, 2]},
        {"probs": [1]},
        {"probs": {"T": "x"}},
        {"id": {}},
        {"said": 1},
        {"target": [10**400, 0, 0]},
    ],
    ids=str,
)
def test_predictions_of_other_types(change: dict, tmp_path: Path) -> None:
    row = {"id": "c1", "speaker": "s1", "target": [1.0, 0.0, 0.0], "probs": {"T": [0.5, 0.2, 0.3]}, "said": {"T": 0}}
    figures = {"n": 1, "uar": 1.0, "macro_f1": 1.0, "wf1": 1.0, "accuracy": 1.0, "ece": 0.1}
    report = report_of("abc", figures)
    (tmp_path / "evaluation.json").write_text(json.dumps(report))
    (tmp_path / "predictions.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({**row, "id": "c2", **change}))
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        read_measured(tmp_path)


@pytest.mark.parametrize("read", [read_manifest, lambda path: [*open_table(path).rows]], ids=["manifest", "table"])
def test_a_parquet_on_which_polars_panics(
    read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A panic in Rust is a BaseException. Which bytes cause one depends on the version of polars."""

    def panics(*_: object, **__: object) -> None:
        raise pl.exceptions.PanicException("assertion failed: offset + length <= self.length")

    pl.DataFrame({"id": ["a"], "corpus": ["x"], "text": ["y"]}).write_parquet(tmp_path / "m.parquet")
    monkeypatch.setattr(pl.LazyFrame, "collect", panics)
    with pytest.raises(ManifestError, match=r"m\.parquet: is not a Parquet file.*assertion failed"):
        read(tmp_path / "m.parquet")


def test_a_damaged_header_of_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.ones((4, 3)))
    data = (tmp_path / "f.npy").read_bytes()
    for old, new in (
        (b"'descr'", b"'descr\n"),
        (b"(4, 3)", b"(4, 3\n"),
        (b"<f8", b"|O8"),
        (b"(4, 3)", b"(9" + b"9" * 3 + b")"),
    ):
        (tmp_path / "f.npy").write_bytes(data.replace(old, new))
        with pytest.raises(MediaError, match=r"f\.npy: "):
            read_features(tmp_path / "f.npy")


def test_control_characters_of_a_file_do_not_reach_the_terminal() -> None:
    error = MultiemoError("a\x1b[2Jb\u202ec\x07\x9b\u2028.wav")
    assert str(error) == "a\\x1b[2Jb\\u202ec\\x07\\x9b\\u2028.wav"
    assert issubclass(ManifestError, MultiemoError)
