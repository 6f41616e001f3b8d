"""How often the labels of a run's test part were read, and by what: counted where it happens, printed, kept."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from multiemo.benchmark.compare import compare
from multiemo.benchmark.cost.cost import measure_cost
from multiemo.benchmark.robustness.curves import robustness_curves
from multiemo.data.manifest.reading import read_manifest, write_manifest
from multiemo.inputs.dataset import ClipDataset
from multiemo.predict import evaluate
from multiemo.report import save_evaluation
from multiemo.runs import evaluate_run, load_bundle
from multiemo.runs.folder.evaluation_log import reads_of, reads_of_test
from tests.support.runs import source_of


def ids_of_test(run: Path) -> set[str]:
    return set(json.loads((run / "splits.json").read_text("utf-8"))["fuse"]["parts"]["test"])


@pytest.fixture
def run(tiny_run, tmp_path) -> Path:
    """A run that nobody has read."""
    return shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("evaluations.jsonl"))


def test_every_reading_is_counted_with_its_reader(run):
    report = evaluate_run(run)
    assert report.notes[-1] == "the test part of this run has been read once, by evaluate"
    evaluate(run)  # from Python it counts as well
    robustness_curves([(load_bundle(run), source_of(run))], corruptions=["missing_any"])
    assert reads_of_test(run) == {"evaluate": 2, "robustness": 1}
    report = evaluate_run(run)
    assert report.notes[-1] == "the test part of this run has been read 4 times: evaluate 3, robustness 1"
    first, *_ = reads_of(run)
    assert (first["split"], first["n"], first["test"]) == ("test", report.n, report.n)
    assert (first["subset"], first["uar"]) == ("TSF", report.subsets["TSF"]["uar"])
    assert first["compute"] == "cpu, float32"


@pytest.mark.slow
def test_other_parts_are_kept_and_not_counted(run):
    for split in ("val", "train"):
        assert not any("has been read" in note for note in evaluate_run(run, split=split).notes)
    robustness_curves([(load_bundle(run), source_of(run))], part="val", corruptions=["missing_any"])
    assert reads_of_test(run) == {}
    assert [(r["by"], r["split"], r["test"]) for r in reads_of(run)] == [
        ("evaluate", "val", 0), ("evaluate", "train", 0), ("robustness", "val", 0),
    ]  # fmt: skip


@pytest.mark.slow
def test_cost_reads_no_test_clip(run, monkeypatch):
    read = set()
    get = ClipDataset.__getitem__

    def spy(self, index):
        read.add(self.clips[index].id)
        return get(self, index)

    monkeypatch.setattr(ClipDataset, "__getitem__", spy)
    measure_cost(run, source_of(run), clips=2, repeats=1)
    assert read
    assert not read & ids_of_test(run)
    assert reads_of(run) == []


@pytest.mark.slow
def test_another_manifest_is_counted_by_its_content(run, small_corpus, tmp_path):
    """The run's own clips under another name are its test part all the same; other people's with their ids are not."""
    clips = read_manifest(small_corpus)
    (tmp_path / "media").symlink_to(small_corpus.parent / "media")
    write_manifest([c for c in clips if c.id in ids_of_test(run)], tmp_path / "own.jsonl")
    write_manifest([replace(c, speaker=f"other-{c.speaker}") for c in clips], tmp_path / "other.jsonl")
    for name, n in (("own.jsonl", 1), ("other.jsonl", 1), ("own.jsonl", 2)):
        notes = evaluate_run(run, manifest=tmp_path / name).notes
        often = "read once, by evaluate" if n == 1 else "read 2 times: evaluate 2"
        assert f"with this run, {tmp_path / name} has been {often}" in notes
        assert any("the test part of this run" in note for note in notes) == (name == "own.jsonl")
    lines, own = reads_of(run), len(ids_of_test(run))
    assert [(r["test"], r["n"]) for r in lines] == [(own, own), (0, len(clips)), (own, own)]
    assert lines[0]["sha256"] == sha256((tmp_path / "own.jsonl").read_bytes()).hexdigest()
    assert reads_of_test(run) == {"evaluate": 2}


@pytest.mark.slow
def test_a_branch_and_a_model_folder_count_in_their_run(run, small_corpus, tmp_path):
    evaluate_run(run / "branches" / "text", manifest=small_corpus)
    evaluate_run(run / "model", manifest=small_corpus)
    assert reads_of_test(run) == {"evaluate": 2}
    alone = shutil.copytree(run / "model", tmp_path / "alone")
    evaluate_run(alone, manifest=small_corpus)
    assert [r["test"] for r in reads_of(alone)] == [0]  # of no run that is known here


def test_what_cannot_be_counted_is_said(run, monkeypatch):
    (run / "evaluations.jsonl").mkdir()
    assert evaluate_run(run).notes[-1] == (
        f"this reading could not be logged: {run / 'evaluations.jsonl'}: cannot be written: Is a "
        "directory; choose another place"
    )


def test_lines_of_before_and_damaged_ones_count(run):
    (run / "evaluations.jsonl").write_text('{"split": "test", "subset": "TSF", "uar": 0.5}\n{"split": "te', "utf-8")
    assert reads_of_test(run) == {"evaluate": 1, "a damaged line": 1}


@pytest.mark.slow
def test_the_count_is_printed_and_in_the_report(run, cli, small_corpus):
    code, out, _ = cli("evaluate", run)
    assert code == 0
    assert "note: the test part of this run has been read once, by evaluate\n" in out
    cli("evaluate", run, "--manifest", small_corpus)
    cli("evaluate", run)
    page = (run / "report.html").read_text("utf-8")
    assert "test part: read 3 times: evaluate 3; " in page
    digest = sha256(small_corpus.read_bytes()).hexdigest()[:12]
    assert f"{small_corpus} ({len(read_manifest(small_corpus))} clips, sha256 {digest}): read once, by evaluate" in page
    notes = json.loads((run / "evaluation.json").read_text("utf-8"))["notes"]
    assert "the test part of this run has been read 3 times: evaluate 3" in notes


@pytest.mark.slow
def test_compare_says_how_often_each_was_read(run, tmp_path, cli):
    save_evaluation(run, evaluate_run(run))
    twin = shutil.copytree(run, tmp_path / "twin")
    save_evaluation(twin, evaluate_run(twin))
    assert compare([run, twin])["reads"] == {
        str(run): "read once, by evaluate", str(twin): "read 2 times: evaluate 2",
    }  # fmt: skip
    _, out, _ = cli("compare", run, twin)
    assert f"test part of {twin}: read 2 times: evaluate 2" in out
