"""Which columns an encoder of features takes: those of most clips, and never by a guess."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from multiemo.config import load_config
from multiemo.data.features.columns import agreed_columns, in_order
from multiemo.data.features.reading import feature_columns, read_features
from multiemo.data.manifest.checks import check_media
from multiemo.errors import CheckpointError, ManifestError, MediaError
from multiemo.predict.predictor import load
from multiemo.predict.sources import expand
from multiemo.runs import evaluate_run, load_bundle, train
from multiemo.types import Clip, FeatureRef
from tests.support.jsonl import write_lines
from tests.support.progress import Notes


def test_columns_are_those_that_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    np.save(tmp_path / "two.npy", np.zeros((4, 2)))
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 5)))
    save_file({"x": np.zeros((4, 6)), "y": np.zeros(7)}, tmp_path / "a.safetensors")
    (tmp_path / "au.csv").write_text("frame, success, AU01_r, AU02_r\n1, 1, 0, 0\n")
    (tmp_path / "any.csv").write_text("frame,a,b,note\n1,0,0,hm\n")
    (tmp_path / "table.csv").write_text("clip,a,b\nx,1,2\n")
    for name, key, width in [
        ("one.npy", None, 3), ("two.npy", None, 2), ("a.npz", "x", 5), ("a.safetensors", "x", 6),
        ("a.safetensors", "y", 7), ("au.csv", None, 2), ("any.csv", None, 2), ("table.csv", "x", 2),
    ]:  # fmt: skip
        columns = feature_columns(tmp_path / name, key)
        assert columns == read_features(tmp_path / name, key)[1]
        assert len(columns) == width
    np.save(tmp_path / "deep.npy", np.zeros((2, 2, 2)))
    (tmp_path / "cut.safetensors").write_bytes(b"\x08\0\0")
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    for name in ("deep.npy", "cut.safetensors", "cut.npy", "gone.npy", "gone.csv", "gone.safetensors"):
        with pytest.raises(MediaError, match=name):
            feature_columns(tmp_path / name)


def clips(folder: Path, *widths: int | str) -> list[Clip]:
    """One clip a width, ``c0`` first; a text is the columns of a CSV, and 0 a file that is no array."""
    found = []
    for number, width in enumerate(widths):
        if isinstance(width, str):
            path = folder / f"c{number}.csv"
            path.write_text(f"{width}\n{','.join('0' for _ in width.split(','))}\n")
        else:
            path = folder / f"c{number}.npy"
            np.save(path, np.full(width, number % 2, dtype=np.float32)) if width else path.write_bytes(b"broken")
        found.append(Clip(id=f"c{number}", corpus="mine", features={"face": FeatureRef(path.name)}))
    return found


def test_most_decide_and_both_are_named(tmp_path: Path) -> None:
    minority_first = clips(tmp_path, 2, 3, 3, 0, 3)
    told = "features.face differ in their columns: 3 columns in 3 clips such as 'c1'; 2 columns in 1 clips such as 'c0'"
    with pytest.raises(ManifestError, match=f"{told}; extract all features in the same way, or set data.skip_bad=true"):
        agreed_columns(minority_first, tmp_path, "face", skip_bad=False)
    assert len(agreed_columns(minority_first, tmp_path, "face", skip_bad=True)) == 3
    assert len(agreed_columns(minority_first[1:], tmp_path, "face", skip_bad=False)) == 3
    with pytest.raises(ManifestError, match=r"no row has features\.speech"):
        agreed_columns(minority_first, tmp_path, "speech", skip_bad=True)
    with pytest.raises(MediaError, match=r"clip 'c3': .*c3.npy: cannot be read"):
        agreed_columns([minority_first[3]], tmp_path, "face", skip_bad=True)


def test_what_a_majority_cannot_decide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"there is no majority, so data\.skip_bad cannot choose"):
        agreed_columns(clips(tmp_path, 2, 3, 3, 2), tmp_path, "face", skip_bad=True)
    named = clips(tmp_path, "AU01_r,AU02_r", "AU01_r,AU02_r", "AU02_r,AU01_r")
    with pytest.raises(ManifestError, match=r"2 columns \(AU01_r, AU02_r\) in 2 .* 'c0'; 2 columns \(AU02_r, AU01_r\)"):
        agreed_columns(named, tmp_path, "face", skip_bad=True)


def corpus(folder: Path, width: int, odd: int) -> Path:
    """A manifest of six speakers with a vector a clip; the first clips are the odd ones."""
    rows = []
    for number in range(24):
        name = f"c{number:02d}"
        np.save(folder / f"{name}.npy", np.full(width - 1 if number < odd else width, number % 2, dtype=np.float32))
        rows.append(
            {
                "id": name, "corpus": "mine", "speaker": f"s{number % 6}", "label_set": "custom:up,down",
                "label": ("up", "down")[number % 2], "features": {"face": {"path": f"{name}.npy"}},
            }
        )  # fmt: skip
    path = folder / "m.jsonl"
    return write_lines(path, rows)


def config(folder: Path, manifest: Path) -> str:
    path = folder / "c.yaml"
    path.write_text(
        f"""
name: vectors
label_set: custom:up,down
device: cpu
data: {{manifest: '{manifest}', split: {{val: 0.3, test: 0.34}}}}
encoders: {{face: {{name: features, hidden: 8}}}}
stages: [face]
training: {{epochs: 1, batch_size: 8}}
"""
    )
    return str(path)


def test_training_keeps_the_majority_of_vectors(tmp_path: Path) -> None:
    manifest = corpus(tmp_path, 4, odd=3)
    path = config(tmp_path, manifest)
    with pytest.raises(
        ManifestError, match=r"m.jsonl: features.face differ .*4 columns in 21 .*3 columns in 3 .*'c00'"
    ):
        train(load_config(path), tmp_path / "refused")
    assert [str(p) for p in check_media(manifest)] == [
        f"row {n + 1} (clip 'c0{n}'): features.face: has 3 columns; 4 columns in 21 clips such as 'c03'"
        for n in range(3)
    ]
    heard = Notes()
    train(load_config(path, ["data.skip_bad=true"]), tmp_path / "run", progress=heard)
    assert load_bundle(tmp_path / "run").model.encoders["face"].input_spec.dim == 4
    parts = json.loads((tmp_path / "run/splits.json").read_text())["face"]["parts"]
    odd = {"c00", "c01", "c02"}
    told = {name for name in odd for note in heard.notes if name in note and "features have 3 columns" in note}
    assert told == odd - set(parts["test"])
    assert evaluate_run(tmp_path / "run").n == len(set(parts["test"]) - odd)


def test_columns_are_put_in_the_order_of_the_encoder(tmp_path: Path) -> None:
    values = np.array([[1.0, 2.0, 3.0]], dtype=np.float32)
    path, order = tmp_path / "x.csv", ("AU01_r", "AU02_r", "AU04_r")
    assert in_order(values, ("AU04_r", "AU01_r", "AU02_r"), order, path).tolist() == [[2, 3, 1]]
    assert in_order(values, (), order, path).tolist() == [[1, 2, 3]]
    assert in_order(values, order[::-1], (), path).tolist() == [[1, 2, 3]]
    with pytest.raises(MediaError, match=r"x\.csv: .*the file lacks AU04_r; the encoder does not know AU12_r"):
        in_order(values, ("AU01_r", "AU02_r", "AU12_r"), order, path)
    with pytest.raises(MediaError, match=r"features have 2 columns, but the encoder reads 3: the file lacks AU04_r;"):
        in_order(values[:, :2], ("AU01_r", "AU02_r"), order, path)


def test_names_of_columns_travel_with_the_model(tmp_path: Path) -> None:
    """A model that was trained on named columns finds them by name, whatever their order in another file."""
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 5, (24, 3)).round(3)

    def table(name: str, order: tuple[int, ...], header: str) -> str:
        lines = [f"c{n:02d}," + ",".join(str(values[n, c]) for c in order) for n in range(24)]
        (tmp_path / f"{name}.csv").write_text("\n".join([f"clip,{header}", *lines]) + "\n")
        return f"{name}.csv"

    def manifest(file: str) -> Path:
        rows = [
            {
                "id": f"c{n:02d}", "corpus": "mine", "speaker": f"s{n % 6}", "label_set": "custom:up,down",
                "label": ("up", "down")[int(values[n, 0] > 2.5)],
                "features": {"face": {"path": file, "key": f"c{n:02d}"}},
            }
            for n in range(24)
        ]  # fmt: skip
        return write_lines(tmp_path / f"{file}.jsonl", rows)

    straight = manifest(table("straight", (0, 1, 2), "AU01_r,AU02_r,AU12_r"))
    turned = manifest(table("turned", (2, 0, 1), "AU12_r,AU01_r,AU02_r"))
    other = manifest(table("other", (0, 1, 2), "AU01_r,AU02_r,AU15_r"))
    train(load_config(config(tmp_path, straight)), tmp_path / "run")
    model = load(tmp_path / "run")
    assert load_bundle(tmp_path / "run").inputs["face"].spec.columns == ("AU01_r", "AU02_r", "AU12_r")
    first, second = ([a.entry.segments[0].probs for a in model.predict_many(expand([m]))] for m in (straight, turned))
    assert first == second
    assert first[0] != first[1]
    refused = next(model.predict_many(expand([other])))
    assert isinstance(refused, MediaError)
    assert re.search(r"other\.csv: .*AU12_r; the encoder does not know AU15_r", str(refused))
    begun = [f"init.face={tmp_path / 'run/branches/face'}"]
    with pytest.raises(CheckpointError, match=r"init.face .*with other columns .*it does not know AU15_r"):
        train(load_config(config(tmp_path, other), begun), tmp_path / "again")


def test_a_branch_for_other_vectors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "four").mkdir()
    (tmp_path / "five").mkdir()
    train(load_config(config(tmp_path, corpus(tmp_path / "four", 4, odd=0))), tmp_path / "run")
    other = config(tmp_path, corpus(tmp_path / "five", 5, odd=0))
    begun = [f"init.face={tmp_path / 'run/branches/face'}", "data.skip_bad=true"]
    with pytest.raises(CheckpointError, match=r"init.face .*takes features of 4 columns, but .* of .*m.jsonl have 5"):
        train(load_config(other, begun), tmp_path / "again")
