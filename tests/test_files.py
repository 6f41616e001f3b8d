"""Files that are written whole or not at all: their mode, and one line where a disk has no room."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from multiemo.applications.tables import Writer
from multiemo.config import load_config
from multiemo.data.cache.tensors import TensorCache
from multiemo.data.corpora.sentiment import feature_pickle
from multiemo.data.manifest.reading import write_manifest
from multiemo.errors import CheckpointError, MultiemoError
from multiemo.files import append_line, write_atomically
from multiemo.predict.formats import write_timeline
from multiemo.runs import load_bundle, train
from multiemo.runs.model_folder import save_bundle
from multiemo.training.checkpoint import save_tensors
from multiemo.types import Clip
from tests.support.jsonl import read_lines

CLIPS = [Clip(id=f"clip{i}", corpus="x", text="so it goes " * 20) for i in range(200)]
SALT = [Clip(id=f"clip{i}", corpus="x", text=os.urandom(99).hex()) for i in range(500)]  # which does not compress
ENTRY = {"input": "a.mp4", "segments": [], "absent": {"text": "no transcript " * 500}}


def write_table(path: Path) -> None:
    with Writer(path, {"id": None, "text": None}) as writer:
        for _ in range(20):
            writer.write([{"id": str(i), "text": "so it goes " * 20} for i in range(50)])


def write_log(path: Path) -> None:
    append_line(path, "x" * 30_000)


WRITERS = {
    "weights.safetensors": lambda path: save_tensors(path, {"x": torch.zeros(5000)}, {}),
    "report.html": lambda path: write_atomically(path, "x" * 20_000),
    "metrics.jsonl": write_log,
    "manifest.jsonl": lambda path: write_manifest(CLIPS, path),
    "manifest.parquet": lambda path: write_manifest(SALT, path),
    "table.csv": write_table,
    "table.jsonl": write_table,
    "timeline.json": lambda path: write_timeline(ENTRY, path),
}


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Every file may have this many bytes: the system then says what it says of a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def umask() -> Iterator[int]:
    old = os.umask(0o027)
    yield 0o027
    os.umask(old)


# --------------------------------------------------------------------------------------------------------------- modes
@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_obeys_the_umask(name, tmp_path, umask):
    WRITERS[name](tmp_path / name)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_whole_run_can_be_read_by_whoever_the_umask_lets(tiny_run):
    mask = os.umask(0o022)
    os.umask(mask)
    files = [p for p in tiny_run.rglob("*") if p.is_file()]
    assert len(files) > 20
    assert {p.name for p in files if stat.S_IMODE(p.stat().st_mode) != 0o666 & ~mask} == set()


def test_the_cache_obeys_the_umask(tmp_path, umask):
    cache = TensorCache(tmp_path / "cache")
    cache.put(b"k" * 21, torch.zeros(3))
    cache.close()
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "cache").iterdir()}
    assert modes == {"data.mdb": 0o640, "lock.mdb": 0o640, "users.lock": 0o640}


def test_features_of_a_pickle_obey_the_umask(tmp_path, umask, monkeypatch):
    class Block:
        def text(self, *_):
            return "clip"

        def array(self, *_):
            return np.ones((4, 3), dtype=np.float32)

        def length(self, *_):
            return 4

    feature_pickle._write(Block(), "speech", [0], tmp_path / "made" / "speech", feature_pickle.Counter())
    assert stat.S_IMODE((tmp_path / "made" / "speech.safetensors").stat().st_mode) == 0o640


# ------------------------------------------------------------------------------------------------------------- no room
@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_does_not_fit_is_one_line_and_leaves_the_older_one(name, tmp_path):
    path = tmp_path / name
    path.write_text("older\n")
    with room_for(4096), pytest.raises(MultiemoError) as error:
        WRITERS[name](path)
    said = str(error.value)
    assert said.startswith(f"{path}: cannot be written: ")
    assert re.search(r" \((\d[\d,]+ bytes, and|after \d[\d,]* bytes;) \d[\d,]+ are free\); free some space", said), said
    assert "\n" not in said
    assert path.read_text() == "older\n"
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_model_that_does_not_fit_is_one_line(tiny_run, tmp_path):
    with room_for(4096), pytest.raises(CheckpointError, match=r"copy/.* cannot be written: .* free some space"):
        save_bundle(load_bundle(tiny_run), tmp_path / "copy")


def test_evaluation_without_room_is_one_line_and_the_cache_goes_on(cli, tiny_run, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("evaluation*", "predictions.jsonl", "report.html"))
    monkeypatch.setenv("MULTIEMO_CACHE", str(tmp_path / "cache"))
    # Without workers: their shared memory consists of files too.
    monkeypatch.setattr("multiemo.inputs.dataset._MIN_CLIPS_FOR_WORKERS", 1000)
    with room_for(6000):
        code, _, err = cli("evaluate", run, "--device", "cpu")
    assert code == 1
    assert err.splitlines()[-1].startswith(f"error: {run / 'evaluation.json'}: cannot be written: ")
    assert "Traceback" not in err
    notes = " ".join(err.split())  # as the terminal wraps lines
    assert notes.count("note: cache: ") == 1
    assert "work goes on without it" in notes
    assert not (run / "evaluation.json").exists()
    assert not list(run.glob("*.tmp"))


def test_training_without_room_for_the_cache_trains(tiny_config, tmp_path, monkeypatch):
    """Workers of their own process decode, and what their cache has to say reaches the reader."""
    from multiemo.progress import Progress

    class Notes(Progress):
        def __init__(self):
            self.said = []

        def note(self, message):
            self.said.append(message)

    cache = tmp_path / "full"
    monkeypatch.setenv("MULTIEMO_CACHE", str(cache))
    monkeypatch.setattr("shutil.disk_usage", lambda place: shutil._ntuple_diskusage(10**12, 10**12, 0))
    notes = Notes()
    train(load_config(tiny_config(tmp_path, modalities=("speech",)), ["training.epochs=1"]), tmp_path / "run",
          progress=notes)  # fmt: skip
    assert sum("work goes on without it" in note for note in notes.said) == 2, "once a part"
    assert (tmp_path / "run" / "model" / "config.json").is_file()


def test_a_line_that_does_not_fit_leaves_no_half(tmp_path):
    log = tmp_path / "log.jsonl"
    append_line(log, json.dumps({"a": 1}))
    with room_for(100), pytest.raises(CheckpointError, match=r"log\.jsonl: cannot be written"):
        append_line(log, json.dumps({"b": "x" * 200}))
    append_line(log, json.dumps({"c": 3}))
    assert read_lines(log) == [{"a": 1}, {"c": 3}]


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_not_replaced(tmp_path, kind):
    place = tmp_path / "place"
    os.mkfifo(place) if kind == "pipe" else place.mkdir()
    with pytest.raises(CheckpointError, match="it is no file that could be replaced"):
        write_atomically(place, "x")
    assert place.is_fifo() if kind == "pipe" else place.is_dir()


def test_the_draft_of_a_long_name_fits(tmp_path):
    write_atomically(tmp_path / ("ü" * 120 + ".json"), "{}")
    assert [len(p.name.encode()) for p in tmp_path.iterdir()] == [245]
    write_atomically(tmp_path / ("x" * 255), "{}")
