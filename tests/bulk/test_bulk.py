"""Bulk prediction: the same bytes whoever computes them, whatever dies in between, and nothing lost."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import multiemo
from multiemo.bulk import plan as bulk_plan
from multiemo.bulk import predict_bulk
from multiemo.bulk import shard as bulk_shard
from multiemo.bulk.local import run_local
from multiemo.bulk.plan import Job, cut, read_item, write_item
from multiemo.bulk.shard import Trail, Worker
from multiemo.config import load_config
from multiemo.data.features.reading import read_features
from multiemo.data.manifest.checks import check_media, check_rows
from multiemo.data.manifest.reading import media_path, read_manifest
from multiemo.data.manifest.rows import parse_row
from multiemo.errors import CheckpointError, ConfigError, DefectError, ManifestError, MediaError, MultiemoError
from multiemo.predict import Answer, Item, expand
from multiemo.predict.reader import Options
from multiemo.progress import Progress
from multiemo.runs import train
from multiemo.types import Clip
from tests.support.jsonl import read_lines

RESULTS = ("predictions.jsonl", "quarantine.jsonl", "features.jsonl")


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    """Seven shards are enough to see everything; their size is known to the planning process alone."""
    monkeypatch.setattr(bulk_plan, "SHARD", 8)


@pytest.fixture(scope="module")
def files(small_corpus, tmp_path_factory) -> Path:
    """A folder with four clips and one that is none."""
    folder = tmp_path_factory.mktemp("files")
    for clip in [c for c in read_manifest(small_corpus) if c.video or c.audio][:4]:
        source = small_corpus.parent / (clip.video or clip.audio)
        shutil.copy(source, folder / source.name)
    (folder / "broken.mp4").write_bytes(b"this is no film")
    return folder


@pytest.fixture(scope="module")
def done(tiny_run, small_corpus, files, tmp_path_factory) -> Path:
    """Everything predicted by one worker."""
    out = tmp_path_factory.mktemp("bulk") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk_plan, "SHARD", 8)
        predict_bulk(tiny_run, [small_corpus, files], out, workers=1, embeddings=True)
    return out


@pytest.fixture
def begun(done, tmp_path) -> Path:
    """The same with three shards missing, the last of them with the bad file."""
    out = tmp_path / "begun"
    shutil.copytree(done, out)
    for name in RESULTS:
        (out / name).unlink()
    for number in (1, 3, 6):
        for part in (out / "parts").glob(f"part-0000{number}.*"):
            part.unlink()
    return out


def assert_same(one: Path, other: Path) -> None:
    for name in RESULTS:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    for part in (one / "parts").glob("*.safetensors"):
        assert part.read_bytes() == (other / "parts" / part.name).read_bytes(), part.name
    assert {p.name for p in (one / "parts").iterdir()} == {p.name for p in (other / "parts").iterdir()}


def assert_close(one, other) -> None:
    """Equal, but for the last digit of probabilities: batches and threads differ."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_close(a, b)
    else:
        assert one == (pytest.approx(other, abs=1e-5) if isinstance(other, float) else other)


@pytest.mark.slow
# ------------------------------------------------------------------------------------------------------- many items
def test_many_items_are_answered_in_order_and_together(tiny_run, small_corpus, tmp_path):
    model = multiemo.load(tiny_run)
    items = expand([small_corpus], context=model.context)[:20]
    items.insert(3, Item("gone", tmp_path / "gone.mp4"))
    items.insert(9, Item("nothing", text="   "))
    sizes: list[int] = []
    classify = model._add_results
    model._add_results = lambda batch: (sizes.append(len(batch)), classify(batch))
    answers = list(model.predict_many(iter(items)))
    assert sizes == [16, 4]
    assert isinstance(answers.pop(3), MediaError)
    del items[3]
    assert [answer.entry["input"] for answer in answers] == [item.name for item in items]
    assert answers[8].entry["segments"] == []
    assert answers[8].embeddings == {}
    for item, answer in zip(items, answers, strict=True):
        assert_close(answer.entry, model.predict_item(item))


# -------------------------------------------------------------------------------------------------------------- plan
def test_items_travel_as_lines(small_corpus):
    for item in [
        *expand([small_corpus], context=2),
        Item("片.mp4", Path("片.mp4"), "yes"),
        Item("\udcff", Path("\udcff")),
    ]:
        line = write_item(item)
        assert line.isascii()
        assert "\n" not in line
        back = read_item(line)
        item.context = [*item.context]
        assert back == item


def test_a_plan_depends_on_every_input_and_names_each_once(small_corpus):
    items = expand([small_corpus])
    shards = cut(items)
    assert [len(shards[n]) for n in range(len(shards))] == [8] * 6
    assert len(cut(items[:17])) == 3
    assert shards.digest == cut(items).digest
    assert shards.digest != cut(items[::-1]).digest
    assert shards.digest != cut([*items[:-1], Item(items[-1].name, text="else")]).digest
    with pytest.raises(ManifestError, match=f"{items[0].name}' occurs twice.*merge"):
        cut([*items, items[0]])


# ------------------------------------------------------------------------------------------------------------- local
def test_it_says_what_predict_says_and_names_what_it_cannot(done, tiny_run, small_corpus, files):
    model = multiemo.load(tiny_run)
    items = expand([small_corpus, files], context=model.context)
    answers = list(zip(items, model.predict_many(items), strict=True))
    entries = [answer.entry for _, answer in answers if isinstance(answer, Answer)]
    failures = [{"input": item.name, "error": str(got)} for item, got in answers if not isinstance(got, Answer)]
    assert_close(read_lines(done / "predictions.jsonl"), entries)
    assert read_lines(done / "quarantine.jsonl") == failures
    assert "broken.mp4" in failures[0]["input"]
    summary = json.loads((done / "summary.json").read_text())
    counts = {key: summary[key] for key in ("inputs", "predicted", "quarantined", "kept")}
    assert counts == {"inputs": 53, "predicted": 52, "quarantined": 1, "kept": 0}
    assert summary["model"]["labels"] == list(model.labels)
    assert summary["seconds"] > 0


class _Killer(Progress):
    """Kills every worker once, in the midst of a shard."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.killed: list[int] = []
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not any(p.read_text().count(" ") >= 3 for p in self.out.glob("parts/*.trail")):
            time.sleep(0.002)
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, signal.SIGKILL)
            self.killed.append(worker.pid)


@pytest.mark.fault("worker killed during `predict --out`", "its clips are read by another; none is lost or read twice")
@pytest.mark.slow
def test_workers_that_are_killed_lose_and_double_nothing(done, begun, tiny_run, small_corpus, files):
    killer = _Killer(begun)
    summary = predict_bulk(tiny_run, [small_corpus, files], begun, workers=2, embeddings=True, progress=killer)
    assert len(killer.killed) == 2
    assert summary["workers"] == 2
    assert_same(done, begun)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_called_again_it_does_what_is_missing(done, tiny_run, small_corpus, files, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(done, out)
    monkeypatch.setattr("multiemo.processes._start", lambda *_: pytest.fail("nothing is to be done"))
    assert predict_bulk(tiny_run, [small_corpus, files], out, embeddings=True)["kept"] == 53
    monkeypatch.undo()
    monkeypatch.setattr(bulk_plan, "SHARD", 8)
    (out / "parts" / "part-00003.jsonl").unlink()  # as if stopped while the shard was written
    (out / "parts" / "part-00003.bad.jsonl").write_text("half a li")
    (out / "parts" / "part-00003.jsonl.tmp").write_text("half a li")
    (out / "predictions.jsonl").unlink()
    before = {p.name: p.stat().st_mtime_ns for p in (out / "parts").iterdir() if "00003" not in p.name}
    summary = predict_bulk(tiny_run, [small_corpus, files], out, workers=2, embeddings=True)
    assert summary["kept"] == 45
    assert {p.name: p.stat().st_mtime_ns for p in (out / "parts").iterdir() if "00003" not in p.name} == before
    assert_same(done, out)


def test_another_task_is_not_mixed_in(done, tiny_run, small_corpus, files, tmp_path):
    given = [small_corpus, files]
    branch = tiny_run / "branches" / "speech"
    with pytest.raises(ConfigError, match="was started with another model"):
        predict_bulk(branch, given, done, embeddings=True)
    with pytest.raises(ConfigError, match="was started for other inputs"):
        predict_bulk(tiny_run, given[::-1], done, embeddings=True)
    with pytest.raises(ConfigError, match="another choice of --embeddings"):
        predict_bulk(tiny_run, given, done)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty"):
        predict_bulk(tiny_run, given, tmp_path)
    job = Job(tiny_run, done, True, "other")
    plan = json.loads((done / "plan.json").read_text())
    with bulk_plan.claimed(job, plan), pytest.raises(ConfigError, match="another call is writing"):
        predict_bulk(tiny_run, given, done, embeddings=True)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "plan.json").write_text("{")
    with pytest.raises(ConfigError, match="is damaged"):
        predict_bulk(tiny_run, given, copy)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        predict_bulk(tiny_run, given, tmp_path / "file" / "out")


@pytest.mark.slow
def test_a_worker_without_a_model_is_one_error(tmp_path):
    job = Job(tmp_path / "model", tmp_path, False, "call")
    with pytest.raises(MultiemoError, match="model: no such folder"):
        list(run_local(job, cut([Item("text", text="so")]), [0], 1))


def test_workers_that_die_while_they_load_are_one_error(tiny_run, tmp_path):
    over = threading.Event()

    def kill():
        while not over.is_set():
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGKILL)
            time.sleep(0.05)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        with pytest.raises(MultiemoError, match=r"code -9 while they load the model.*fewer --workers"):
            list(run_local(Job(tiny_run, tmp_path, False, "call"), cut([Item("text", text="so")]), [0], 1))
    finally:
        over.set()
        thread.join()


# ------------------------------------------------------------------------------------------------------------- shard
def test_a_trail_finds_the_clip_that_kills(tmp_path):
    items = [Item(str(n)) for n in range(6)]

    def die_at(last, call="one"):
        trail = Trail(tmp_path / "t", call)
        follow = trail.follow(items, [n for n in range(6) if n not in trail.fatal])
        while next(follow).name != str(last):
            pass
        return trail.fatal

    assert die_at(3) == set()
    assert die_at(2) == set()
    assert die_at(3) == set()
    assert die_at(4) == {3}
    assert die_at(4) == {3}
    assert Trail(tmp_path / "t", "one").fatal == {3, 4}
    assert die_at(1, call="another") == set(), "a call that was killed as a whole proves nothing"
    trail = Trail(tmp_path / "t", "another")
    trail.end()
    assert not (tmp_path / "t").exists()


@pytest.fixture
def worker(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # the tests' own process
    (tmp_path / "parts").mkdir()
    return Worker(Job(tiny_run, tmp_path, False, "call"), "cpu")


@pytest.mark.fault("clip on which workers die", "it is quarantined and listed; the others go on")
def test_a_clip_that_kills_workers_is_left_out(worker, tmp_path):
    given = [write_item(Item(str(n), text=f"number {n}")) for n in range(4)]
    worker.job.part(0, ".trail").write_text("call\n0 1 2 \n0 1 2 \n")
    worker.work(0, given)
    assert read_lines(tmp_path / "parts" / "part-00000.bad.jsonl") == [
        {"input": "2", "error": "2 workers died at this clip; it is left out"}
    ]
    assert [entry["input"] for entry in read_lines(tmp_path / "parts" / "part-00000.jsonl")] == ["0", "1", "3"]
    assert not worker.job.part(0, ".trail").exists()


def test_a_clip_that_nobody_foresaw_is_named_and_the_others_go_on(worker, tmp_path, monkeypatch):
    classify = worker.predictor._add_results

    def broken(batch):
        if any(pending.item.name == "1" for pending, _ in batch):
            raise IndexError("out of range")
        classify(batch)

    monkeypatch.setattr(worker.predictor, "_add_results", broken)
    worker.work(0, [write_item(Item(str(n), text=f"number {n}")) for n in range(4)])
    assert read_lines(worker.job.part(0, ".bad.jsonl")) == [
        {
            "input": "1",
            "error": "1: an unexpected error in multiemo or a library (IndexError: out of range); please report it",
        }
    ]
    assert [entry["input"] for entry in read_lines(worker.job.part(0))] == ["0", "2", "3"]
    monkeypatch.setattr(worker.predictor, "_add_results", lambda batch: 1 / 0)
    with pytest.raises(DefectError, match="ZeroDivisionError"):  # a broken worker, not sixty-four bad clips
        worker.work(1, [write_item(Item(str(n), text=f"number {n}")) for n in range(4)])
    assert not worker.job.is_done(1)


@pytest.mark.fault("disk full during `predict --out`", "one line; the rerun goes on")
def test_a_full_disk_is_one_error(worker, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bulk_shard, "write_atomically", full)
    with pytest.raises(CheckpointError, match=r"No space left on device .*; then run the command again"):
        worker.work(0, [write_item(Item("a", text="so"))])


def test_names_that_are_not_text_are_escaped(worker):
    worker.work(0, [write_item(Item("a\udcff.wav", Path("a\udcff.wav")))])
    assert read_lines(worker.job.part(0, ".bad.jsonl"))[0]["input"] == "a\udcff.wav"


@pytest.mark.slow
# ---------------------------------------------------------------------------------------------------------- features
def test_features_are_what_the_encoders_make_and_train_a_model(done, tiny_run, tiny_config, small_corpus, tmp_path):
    manifest = done / "features.jsonl"
    assert check_rows(manifest) == []
    assert check_media(manifest) == []
    rows = {clip.id: clip for clip in read_manifest(manifest)}
    clips = read_manifest(small_corpus)
    model = multiemo.load(tiny_run)
    for clip, item in zip(clips, expand([small_corpus], context=model.context), strict=True):
        answer = next(model.predict_many([item]))
        assert isinstance(answer, Answer)
        row = rows[clip.id]
        assert (row.label, row.speaker, row.text, row.split) == (clip.label, clip.speaker, clip.text, clip.split)
        assert row.video is row.audio is row.image is row.start is row.end is None
        assert set(row.features) == set(answer.embeddings) == set(answer.entry["present"])
        for m, reference in row.features.items():
            vector, _ = read_features(media_path(reference.path, done), reference.key)
            np.testing.assert_allclose(vector, answer.embeddings[m].numpy(), atol=1e-5)
    assert len(rows) == 52
    assert sum(row.corpus == "files" and row.label is None for row in rows.values()) == 4

    labelled = done / "labelled.jsonl"
    labelled.write_text("".join(line + "\n" for line in manifest.read_text().splitlines()[: len(clips)]))
    given = [f"data.manifest={labelled}", *(f"encoders.{m}={{name: features}}" for m in ("text", "speech", "face"))]
    run = train(load_config(tiny_config(tmp_path), given), tmp_path / "run")
    assert run.validation.n > 0
    said = multiemo.load(tmp_path / "run").predict_item(expand([labelled])[0])
    assert said["present"] == [m for m in ("text", "speech", "face") if m in rows[clips[0].id].features]


def test_long_files_have_a_row_a_segment(tiny_run, small_corpus, worker):
    worker.predictor.reader.options = Options(segments="windows", window=1.0)
    worker.job = Job(tiny_run, worker.job.out, True, "call")
    clip = next(c for c in read_manifest(small_corpus) if c.video)
    worker.work(0, [write_item(Item("film", small_corpus.parent / clip.video))])
    entry, row = read_lines(worker.job.part(0))[0], read_lines(worker.job.part(0, ".features.jsonl"))[0]
    reference = row["features"]["speech"]
    vectors, _ = read_features(worker.job.out / reference["path"], reference["key"])
    heard = [segment for segment in entry["segments"] if "speech" in segment["present"]]
    assert len(vectors) == len(heard) > 1


def test_vectors_of_a_face_crop_make_a_valid_row(tiny_run, worker, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8))
    worker.job = Job(tiny_run, worker.job.out, True, "call")
    clip = Clip(id="crop", corpus="x", image="a.png", cropped=True)
    worker.work(0, [write_item(Item("crop", clip=clip, folder=tmp_path))])
    (row,) = read_lines(worker.job.part(0, ".features.jsonl"))
    assert list(parse_row(row).features) == ["face"]
    assert "cropped" not in row


# --------------------------------------------------------------------------------------------------------------- ray
@pytest.fixture
def quiet_ray(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.slow
def test_ray_gives_the_same_bytes(done, begun, tiny_run, small_corpus, files, quiet_ray):
    summary = predict_bulk(tiny_run, [small_corpus, files], begun, engine="ray", workers=2, embeddings=True)
    assert summary["engine"] == "ray"
    assert summary["kept"] == 53 - 8 - 8 - 5
    assert_same(done, begun)


@pytest.mark.slow
def test_a_ray_actor_that_is_killed_loses_and_doubles_nothing(done, begun, tiny_run, small_corpus, files, quiet_ray):
    psutil = pytest.importorskip("psutil")
    killed = []

    def kill():
        while not any(p.read_text().count(" ") >= 3 for p in begun.glob("parts/*.trail")):
            time.sleep(0.002)
        for process in psutil.Process().children(recursive=True):
            if any("MapWorker" in part for part in process.cmdline()):
                process.kill()
                killed.append(process.pid)

    threading.Thread(target=kill, daemon=True).start()
    predict_bulk(tiny_run, [small_corpus, files], begun, engine="ray", workers=2, embeddings=True)
    assert killed
    assert_same(done, begun)


@pytest.mark.slow
def test_ray_says_what_is_wrong_with_the_model(tmp_path, quiet_ray):
    from multiemo.bulk.on_ray import run_ray

    job = Job(tmp_path / "model", tmp_path, False, "call")
    with pytest.raises(MultiemoError, match="model: no such folder"):
        list(run_ray(job, cut([Item("text", text="so")]), [0], 1))


def test_ray_is_not_started_for_nothing(done, quiet_ray, monkeypatch):
    from multiemo.bulk import on_ray

    monkeypatch.setattr(on_ray, "_connect", lambda _: pytest.fail("nothing is to be done"))
    assert list(on_ray.run_ray(Job(done, done, False, "call"), cut([Item("text", text="so")]), [], 2)) == []


def test_without_ray_its_extra_is_named(tiny_run, tmp_path, cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = cli("predict", tiny_run, tmp_path, "--out", tmp_path / "out", "--engine", "ray")
    assert code == 2
    assert 'pip install "multiemo[bulk]"' in err


# ------------------------------------------------------------------------------------------------------ command line
@pytest.mark.slow
def test_the_command_counts_what_it_could_not_predict(done, tiny_run, small_corpus, files, tmp_path, cli):
    out = tmp_path / "out"
    shutil.copytree(done, out)
    code, said, err = cli("predict", tiny_run, small_corpus, files, "--out", out, "--embeddings")
    assert code == 1
    assert "52 of 53 inputs" in said
    assert "52 clips with embeddings" in said
    assert "error: 1 inputs could not be predicted" in err
    assert "quarantine.jsonl" in err
    assert "Traceback" not in err
    code, said, _ = cli("predict", tiny_run, "--text", "so happy", "--out", tmp_path / "text", "--json", "-")
    assert code == 0
    assert json.loads(said)["predicted"] == 1
    assert read_lines(tmp_path / "text" / "predictions.jsonl")[0]["present"] == ["text"]


@pytest.mark.parametrize("option", [("--engine", "local"), ("--workers", "2"), ("--embeddings",)])
def test_bulk_options_need_a_folder(cli, tiny_run, option):
    code, _, err = cli("predict", tiny_run, "--text", "so", *option)
    assert code == 2
    assert "--out DIR" in err


def test_engines_have_names(cli, tiny_run, tmp_path):
    code, _, err = cli("predict", tiny_run, "--text", "so", "--out", tmp_path / "out", "--engine", "spark")
    assert code == 2
    assert "'spark' is not one of local, ray" in err
    assert not (tmp_path / "out").exists()
