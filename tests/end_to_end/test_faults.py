"""Faults of the machine while a run is trained: nothing is lost, one line says what happened, the rerun continues."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from multiemo.cli.console import ConsoleProgress
from multiemo.config import load_config
from multiemo.data.cache.tensors import TensorCache
from multiemo.data.manifest.reading import read_manifest, write_manifest
from multiemo.errors import MediaError
from multiemo.runs import train
from multiemo.training.checkpoint import load_tensors
from multiemo.types import Clip

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A config of words alone, whose manifest lies beside it."""
    said = {"negative": "awful", "neutral": "plain", "positive": "lovely"}
    rows = [
        Clip(id=f"c{i}", corpus="toy", speaker=f"s{i % 6}", text=f"a {word} day", label_set="polarity3", label=label)
        for i, (label, word) in enumerate(list(said.items()) * 12)
    ]
    write_manifest(rows, tmp_path / "m.jsonl")
    config = tmp_path / "c.yaml"
    config.write_text(
        f"name: toy\nlabel_set: polarity3\ndevice: cpu\ndata: {{manifest: '{tmp_path / 'm.jsonl'}'}}\n"
        "encoders: {text: {name: text_transformer, layers: 1, dim: 16, heads: 2, vocab_size: 600}}\nstages: [text]\n"
        "recipes: {}\ntraining: {epochs: 3, select: last}\n",
        "utf-8",
    )
    return config


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_tensors(run / "model" / "model.safetensors")[0]


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return all(torch.equal(first[name], second[name]) for name in first)


def one_line(err: str, *parts: str) -> None:
    """Standard error ends in one line of an error, and has no traceback."""
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert all(part in lines[0] for part in parts), lines
    assert "Traceback" not in err


@pytest.mark.fault(
    "SIGTERM while training", "one line; the state of the step is saved; `--resume` gives the same weights"
)
def test_a_training_that_is_terminated_is_resumed(
    cli: Cli, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        pytest.skip("another handler is installed")
    train(load_config(words), tmp_path / "whole")
    epochs = count(1)

    def terminated(*_: object) -> None:
        if next(epochs) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(ConsoleProgress, "epoch", terminated)
        code, _, err = cli("train", words, "--out", tmp_path / "run")
    assert code == 1
    one_line(err, "stopped by SIGTERM", "continue with --resume")
    assert not (tmp_path / "run" / "model" / "config.json").exists()
    assert cli("train", words, "--out", tmp_path / "run", "--resume")[0] == 0
    assert same(tmp_path / "run", tmp_path / "whole")


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    """A context in which a folder is on a file system that is mounted read-only; root may not write there either."""

    def mounted(folder: Path) -> Any:
        patch = pytest.MonkeyPatch()
        refused = OSError(errno.EROFS, os.strerror(errno.EROFS))

        def guard(module: Any, name: str, writes: Callable[..., bool]) -> None:
            real = getattr(module, name)

            def call(path: Any, *args: Any, **kwargs: Any) -> Any:
                inside = isinstance(path, str | os.PathLike) and Path(path).is_relative_to(folder)
                if inside and writes(*args, **kwargs):
                    raise OSError(*refused.args, str(path))
                return real(path, *args, **kwargs)

            patch.setattr(module, name, call)

        def opens_to_write(mode: str = "r", *_: Any, **__: Any) -> bool:
            return bool(set(mode) & set("wax+"))

        guard(io, "open", opens_to_write)
        guard(Path, "open", opens_to_write)  # before Python 3.11, paths keep the real ``io.open``
        guard(os, "open", lambda flags, *_, **__: bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)))
        for name in ("mkdir", "unlink", "rename", "replace", "symlink"):
            guard(os, name, lambda *_, **__: True)
        return patch

    return mounted


@pytest.mark.fault(
    "run folder on a read-only file system", "one line names the file; what is there is unchanged; the rerun continues"
)
def test_a_run_folder_that_cannot_be_written(
    cli: Cli, words: Path, tmp_path: Path, read_only: Callable[[Path], Any]
) -> None:
    train(load_config(words, ["training.epochs=1"]), tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    patch = read_only(tmp_path / "run")
    try:
        code, _, err = cli("train", words, "--out", tmp_path / "run", "--resume")
        new_code, _, new_err = cli(
            "predict", tmp_path / "run", "--text", "lovely", "--json", tmp_path / "run" / "o.json"
        )
    finally:
        patch.undo()
    assert (code, new_code) == (1, 2)
    one_line(err, str(tmp_path / "run"), "Read-only file system")
    one_line(new_err, "o.json", "Read-only file system")
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    assert cli("train", words, "--out", tmp_path / "run", "--resume")[0] == 0


@pytest.mark.fault("clock that goes back", "training, its cache and its log work; seconds are not negative")
def test_a_clock_that_goes_back(cli: Cli, words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.time()
    ticks = count()
    monkeypatch.setattr(time, "time", lambda: began - 3600.0 * next(ticks))
    cache = TensorCache(tmp_path / "cache", limit=40_000)
    for i in range(30):
        cache.put(bytes([i]) * 16, torch.full((1000,), float(i)))
        assert cache.get(bytes([i]) * 16) is not None, "what was just stored was evicted as the oldest"
    cache.close()
    assert cli("train", words, "--out", tmp_path / "run")[0] == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert all(line["seconds"] >= 0 for line in lines)


@pytest.mark.fault(
    "NaN in the features of one clip", "one line names clip, file, row and column; `data.skip_bad=true` leaves it out"
)
def test_nan_in_one_clip(cli: Cli, words: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(36, 4, 3)).astype(np.float32)
    values[7, 2, 1] = np.nan
    rows = []
    for i, clip in enumerate(read_manifest(tmp_path / "m.jsonl")):
        np.save(tmp_path / f"f{i}.npy", values[i])
        rows.append({"id": clip.id, "corpus": "toy", "speaker": clip.speaker, "label_set": "polarity3",
                     "label": clip.label, "features": {"face": {"path": f"f{i}.npy"}}})  # fmt: skip
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = words.read_text().replace("text: {name: text_transformer, layers: 1, dim: 16, heads: 2, vocab_size: 600}",
                                     "face: {name: features}").replace("stages: [text]", "stages: [face]")  # fmt: skip
    text = text.replace("m.jsonl'}", "m.jsonl', split: {val: 0, test: 0}}")  # every clip is read
    words.write_text(text)
    code, _, err = cli("train", words, "training.epochs=1", "--out", tmp_path / "run")
    assert code == 1
    one_line(err, "c7", "f7.npy", "row 3, column 1", "NaN", "data.skip_bad=true")
    assert cli("train", words, "training.epochs=1", "data.skip_bad=true", "--out", tmp_path / "run")[0] == 0
    assert all(
        torch.isfinite(tensor).all() for tensor in weights(tmp_path / "run").values() if tensor.is_floating_point()
    )
    with pytest.raises(MediaError, match="c7"):
        train(load_config(words, ["training.epochs=1"]), tmp_path / "other")
