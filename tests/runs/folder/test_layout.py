"""A run folder in a user's hands: one stage of several, failed starts, two calls at once, more epochs, moves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import multiemo
from multiemo.benchmark.protocol import plan
from multiemo.config import load_config, parse_config
from multiemo.data.manifest.reading import read_manifest, write_manifest
from multiemo.errors import CheckpointError, ConfigError, ManifestError, TrainingError
from multiemo.report import save_evaluation
from multiemo.runs import evaluate_run, load_bundle, train
from multiemo.runs.folder.evaluation_log import run_folder_of
from multiemo.runs.folder.layout import has_training
from multiemo.runs.folder.lock import lock_folder
from multiemo.training.checkpoint import load_tensors
from tests.support.jsonl import read_lines, write_lines
from tests.support.progress import Notes


@pytest.fixture
def words(tiny_config, small_corpus, tmp_path):
    """(overrides) -> a config of a text branch, over a corpus of its own in ``tmp_path/project``."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(small_corpus, project / "m.jsonl")
    (project / "media").symlink_to(small_corpus.parent / "media")

    def load(*overrides: str, **lines: str):
        path = tiny_config(project, modalities=("text",), **lines)
        wishes = {"data.manifest": str(project / "m.jsonl"), "training.epochs": "1"}
        wishes |= dict(override.split("=", 1) for override in overrides)
        return load_config(path, [f"{key}={value}" for key, value in wishes.items()])

    return load


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_tensors(folder / "model" / "model.safetensors")[0]


def history(folder: Path) -> list[tuple[str, int]]:
    records = read_lines(folder / "metrics.jsonl")
    return [(r["stage"], r["epoch"]) for r in records]


@pytest.mark.parametrize("stage", ["text", "speech"])
def test_one_stage_of_a_multimodal_config_is_what_is_trained_saved_and_reported(stage, tiny_config, tiny_run, tmp_path):
    """Also where the file names a branch of another modality, which stands first."""
    branches = f"{{text: '{tiny_run}/branches/text'}}"
    settings = "{speech: {warmup: 0.2}, fuse: {branch_loss: 0.1}}"
    path = tiny_config(tmp_path, branches=branches, per_stage=settings)
    run = train(load_config(path, [f"stages=[{stage}]", "training.lr=0.001"]), tmp_path / "run")
    key = {"text": "T", "speech": "S"}[stage]
    assert list(run.validation.subsets) == [key]
    assert load_bundle(run.folder).model.modalities == (stage,)
    assert list(evaluate_run(run.folder).subsets) == [key]
    mine, _ = load_tensors(run.folder / "branches" / stage / "model.safetensors")
    assert all(torch.equal(mine[k], v) for k, v in weights(run.folder).items())
    assert history(run.folder) == [(stage, 1), (stage, 2)]


def test_one_stage_of_a_config_with_sources_needs_its_own_manifest_alone(tiny_config, small_corpus, tmp_path):
    sources = {m: {"manifest": str(small_corpus), "split": {"val": 0.3, "test": 0.34}} for m in ("text", "speech")}
    sources["speech"]["manifest"] = "nowhere.jsonl"
    values = yaml.safe_load(Path(tiny_config(tmp_path, modalities=("text", "speech"))).read_text())
    values["data"] = {"sources": sources, "workers": 1}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))
    run = train(load_config(tmp_path / "c.yaml", ["stages=[text]", "training.epochs=1"]), tmp_path / "run")
    for folder in (run.folder, run.folder / "branches" / "text"):
        assert list(evaluate_run(folder).subsets) == ["T"]


@pytest.mark.slow
def test_two_sources_of_one_manifest_are_two_and_their_run_goes_on(tiny_config, small_corpus, tmp_path):
    """Each modality with its own labels of the same clips; and the checkpoint it starts from is found again."""
    people = {"train": ["spk01", "spk02"], "val": ["spk03", "spk04"], "test": ["spk05", "spk06"]}
    split = {"kind": "speakers", **{f"{part}_speakers": names for part, names in people.items()}}
    sources = {m: {"manifest": str(small_corpus), "split": split, "label_from": m} for m in ("text", "speech")}
    values = yaml.safe_load(Path(tiny_config(tmp_path, modalities=("text", "speech"))).read_text())
    values["data"] = {"sources": sources, "workers": 1, "per_label": {"train": 4, "val": 2, "test": 2}}
    values["training"] = {"epochs": 1, "batch_size": 8}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))
    config = load_config(tmp_path / "c.yaml")
    train(config, tmp_path / "run")
    assert list(evaluate_run(tmp_path / "run" / "branches" / "speech").subsets) == ["S"]
    shutil.rmtree(tmp_path / "run" / "model")
    shutil.rmtree(tmp_path / "run" / "state" / "fuse")
    assert set(train(config, tmp_path / "run", resume=True).stages) == {"fuse"}


@pytest.mark.parametrize(
    ("slip", "said"),
    [
        ("encoders.text.heads=3", "must divide dim"),  # found when the encoder is built
        ("data.split.test=0.9", "test"),  # when the split is made
        ("encoders.text.context=2", "none of 41 rows with text has a group"),
        ("data.split.hash=x", "the config requires the split x"),
        ("training.lr=1e30", "the loss is"),  # in the first epoch
    ],
)
def test_a_start_that_fails_leaves_the_folder_free(slip, said, words, tmp_path):
    with pytest.raises((ConfigError, ManifestError, TrainingError), match=said):
        train(words(slip, "training.epochs=2"), tmp_path / "run")
    assert not has_training(tmp_path / "run")
    train(words(), tmp_path / "run")
    with pytest.raises(CheckpointError, match="already has a run; add --resume"):
        train(words(), tmp_path / "run")


def test_resuming_what_only_failed_begins_it(words, tmp_path):
    with pytest.raises(ConfigError):
        train(words("encoders.text.heads=3"), tmp_path / "run")
    train(words(), tmp_path / "run", resume=True)
    with pytest.raises(CheckpointError, match="no run to resume"):
        train(words(), tmp_path / "other", resume=True)
    assert not (tmp_path / "other").exists()


HOLD = "import sys, time; from pathlib import Path; from multiemo.runs.folder.lock import lock_folder\n"
HOLD += "from multiemo.progress import Progress\n"
HOLD += (
    "with lock_folder(Path(sys.argv[1]), Progress()):\n    {fork}\n    print('held', flush=True)\n    time.sleep(60)\n"
)


@pytest.mark.fault(
    "two processes on one run folder",
    "the second is refused in one line; the lock of a killed one is free",
)
@pytest.mark.parametrize("fork", ["pass", "import os; os.fork() or time.sleep(60)"])
def test_a_second_call_is_refused_and_a_killed_one_leaves_nothing(fork, words, tmp_path):
    """Also where the killed one has left a child behind, as a loader's worker is one."""
    run = tmp_path / "run"
    train(words(), run)
    command = [sys.executable, "-c", HOLD.format(fork=fork), str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(CheckpointError, match=f"process {other.pid} on .* is using this folder"):
            train(words(), run, resume=True)
        other.kill()
        other.wait()
        try:
            train(words(), run, resume=True)
        finally:
            os.killpg(other.pid, signal.SIGKILL) if fork != "pass" else None


@pytest.mark.fault("file system without locks", "a note; the run goes on")
def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("multiemo.runs.folder.lock.fcntl.flock", none)
    heard = Notes()
    with lock_folder(tmp_path, heard):
        assert "is not locked: its file system has no locks (No locks available)" in heard.notes[0]


def test_a_finished_run_goes_on_for_more_epochs(words, tmp_path):
    run, heard = tmp_path / "run", Notes()
    train(words("training.epochs=2"), run)
    save_evaluation(run, evaluate_run(run))
    before = weights(run)
    longer = train(words("training.epochs=4"), run, resume=True, progress=heard)
    assert history(run) == [("text", e) for e in (1, 2, 3, 4)]
    assert any("text is extended from 2 to 4 epochs" in note for note in heard.notes)
    assert longer.stages["text"].epochs == 4
    assert longer.stages["text"].best_epoch > 2 or all(torch.equal(before[k], v) for k, v in weights(run).items())
    assert not (run / "evaluation.json").exists()  # it was of the model as it was before
    assert (run / "before" / "evaluation.json").is_file()
    assert load_config(run / "config.yaml").training.epochs == 4


@pytest.mark.slow
def test_a_longer_branch_begins_the_fused_stage_anew(tiny_config, tmp_path):
    path = tiny_config(tmp_path, modalities=("text", "speech"), per_stage="{fuse: {epochs: 1}}")
    run, short = tmp_path / "run", ["training.epochs=1"]
    train(load_config(path, short), run)
    train(load_config(path, [*short, "per_stage.text={epochs: 2}"]), run, resume=True)
    assert sorted(history(run)) == [("fuse", 1), ("speech", 1), ("text", 1), ("text", 2)]
    kept, _ = load_tensors(run / "branches" / "speech" / "model.safetensors")
    train(load_config(path, [*short, "per_stage.text={epochs: 2}", "per_stage.fuse.epochs=2"]), run, resume=True)
    assert sorted(history(run)) == [("fuse", 1), ("fuse", 2), ("speech", 1), ("text", 1), ("text", 2)]
    same, _ = load_tensors(run / "branches" / "speech" / "model.safetensors")
    assert all(torch.equal(kept[k], same[k]) for k in kept)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("training.epochs=1", "epochs 2, and 1 is fewer"),
        ("training.lr=0.1", r"another config \(different: training.lr\)"),
        ("seed=8", r"another config \(different: seed\)"),
    ],
)
def test_only_more_epochs_are_another_length(change, said, words, tmp_path):
    train(words("training.epochs=2"), tmp_path / "run")
    changed = words(change) if "epochs" in change else words("training.epochs=2", change)
    with pytest.raises(CheckpointError, match=said):
        train(changed, tmp_path / "run", resume=True)


def test_every_row_can_be_trained_on_with_no_test_part(words, tmp_path, small_corpus, cli):
    heard = Notes()
    run = train(words("data.split={val: 0, test: 0}", "training.epochs=2"), tmp_path / "run", progress=heard)
    parts = json.loads((run.folder / "splits.json").read_text())["text"]["parts"]
    assert (len(parts["train"]), parts["val"], parts["test"]) == (len(read_manifest(small_corpus)), [], [])
    assert run.validation is None
    assert any("every row is trained on" in note for note in heard.notes)
    assert run.stages["text"].best_epoch == 2  # the last
    assert run.bundle.calibration.temperatures == {}
    answer = multiemo.load(run.folder).predict(text="I am so happy")
    assert sum(answer["segments"][0]["probs"].values()) == pytest.approx(1, abs=1e-4)
    with pytest.raises(ConfigError, match="trained without a test part"):
        evaluate_run(run.folder)
    report = evaluate_run(run.folder, manifest=small_corpus)
    assert any("were in training" in note for note in report.notes)
    code, out, _ = cli("evaluate", run.folder, "--split", "train")
    assert (code, "train part" in out) == (0, True)


def test_validation_alone_can_be_held_out(words, tmp_path):
    run = train(words("data.split={val: 0.3, test: 0}"), tmp_path / "run")
    parts = json.loads((run.folder / "splits.json").read_text())["text"]["parts"]
    assert parts["val"]
    assert not parts["test"]
    assert run.validation.n > 0
    with pytest.raises(ConfigError, match="trained without a test part"):
        evaluate_run(run.folder)


def test_what_needs_validation_is_refused_without_it():
    values = {
        "name": "x", "label_set": "polarity3", "encoders": {"text": {"name": "text_transformer"}}, "stages": ["text"],
        "data": {"manifest": "m.jsonl", "split": {"val": 0, "test": 0}},
    }  # fmt: skip
    parse_config(values)
    for keys in ({"max_error": 0.1}, {"training": {"patience": 3}}, {"training": {"monitor": "wf1"}}):
        with pytest.raises(ConfigError, match=r"^(max_error|training\.(patience|monitor)): cannot take effect"):
            parse_config(values | keys)


def test_a_run_is_found_from_anywhere_and_after_a_move(words, tmp_path, monkeypatch):
    project = tmp_path / "project"
    monkeypatch.chdir(project)
    config = words("data.manifest=m.jsonl")
    train(config, "runs/a")
    figures = evaluate_run("runs/a").subsets
    monkeypatch.chdir("/")
    assert evaluate_run(project / "runs/a").subsets == figures
    moved = project.rename(tmp_path / "elsewhere")  # both together
    assert evaluate_run(moved / "runs/a").subsets == figures
    monkeypatch.chdir(moved)
    train(config, "runs/a", resume=True)  # which knows where things are now
    away = (moved / "runs/a").rename(tmp_path / "far")  # the run alone
    assert evaluate_run(away).subsets == figures
    (moved / "m.jsonl").rename(moved / "other.jsonl")
    with pytest.raises(ManifestError, match="give its new path with --manifest PATH --split test") as error:
        evaluate_run(away)
    assert str(moved / "m.jsonl") in str(error.value)
    told = evaluate_run(away, manifest=moved / "other.jsonl", split="test")
    assert told.subsets == figures
    assert not any("in training" in note for note in told.notes)


def test_of_two_manifests_that_could_be_meant_the_one_that_was_trained_on_counts(words, tmp_path):
    project = tmp_path / "project"
    run = train(words(), project / "run").folder
    figures = evaluate_run(run).subsets
    other = tmp_path / "x" / "project"
    other.mkdir(parents=True)
    copied = run.rename(other / "run")
    write_manifest([c for c in read_manifest(project / "m.jsonl") if c.speaker != "spk01"], other / "m.jsonl")
    assert evaluate_run(copied).subsets == figures


def test_a_manifest_that_was_edited_is_said(words, tmp_path):
    run = train(words(), tmp_path / "run").folder
    manifest = tmp_path / "project" / "m.jsonl"
    assert not any("byte for byte" in note for note in evaluate_run(run).notes)
    manifest.write_text(manifest.read_text("utf-8") + "\n", "utf-8")
    assert any("is not byte for byte the manifest" in note for note in evaluate_run(run).notes)


def test_a_run_of_an_earlier_version_is_evaluated_where_it_was_started(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "project")
    run = train(words(), tmp_path / "run").folder
    (run / "places.json").unlink()
    values = json.loads((run / "model" / "config.json").read_text("utf-8"))
    values["facts"]["manifest"] = "m.jsonl"
    del values["facts"]["label_from"]
    (run / "model" / "config.json").write_text(json.dumps(values), "utf-8")
    assert evaluate_run(run).n > 0


def test_a_cache_named_by_the_config_is_found_and_none_is_made_elsewhere(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "project")
    train(words("data.cache=cache"), "run")
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    evaluate_run(tmp_path / "project" / "run")
    assert list(empty.iterdir()) == []


def test_no_folder_that_goes_with_a_model_names_a_path(words, tmp_path):
    run = train(words(), tmp_path / "run").folder
    for file in (run / "model", run / "branches" / "text"):
        facts = json.loads((file / "config.json").read_text("utf-8"))["facts"]
        assert str(tmp_path) not in json.dumps(facts)


def test_a_run_that_is_resumed_from_elsewhere_is_the_same(words, tmp_path, monkeypatch):
    """Where the manifest lies is not what is trained; another one under the same name is."""
    monkeypatch.chdir(tmp_path / "project")
    train(words("data.manifest=m.jsonl"), "run")
    monkeypatch.chdir("/")
    train(words(), tmp_path / "project" / "run", resume=True)
    manifest = tmp_path / "project" / "m.jsonl"
    write_manifest([c for c in read_manifest(manifest) if c.speaker != "spk01"], manifest)
    with pytest.raises(CheckpointError, match="no longer gives the split"):
        train(words(), tmp_path / "project" / "run", resume=True)


def test_a_branch_is_evaluated_on_the_test_part_of_its_run(tiny_run, tmp_path, cli):
    run = shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation*.json*"))
    tested = json.loads((run / "splits.json").read_text("utf-8"))["speech"]["parts"]["test"]
    branch = run / "branches" / "speech"
    code, out, err = cli("evaluate", branch, "--json", "-")
    assert code == 0, err
    values = json.loads(out)
    assert list(values["subsets"]) == ["S"]
    assert (values["n"], values["split"]) == (len(tested), "test")
    assert "test part of this run has been read once" in values["notes"][-1]
    assert (branch / "report.html").is_file()
    assert not (run / "evaluation.json").exists()
    assert run_folder_of(run / "model") == run_folder_of(branch) == run
    alone = shutil.copytree(branch, tmp_path / "alone")
    code, _, err = cli("evaluate", alone)
    assert code == 1
    assert "evaluate the run folder that this model comes from" in err


def told_otherwise(small_corpus: Path, folder: Path, **kept) -> Path:
    """The small corpus with other values of some keys (``None`` removes one), and no labels of modalities."""
    rows = read_lines(small_corpus)
    rows = [{**r, "modality_labels": None, **kept} for r in rows if {"audio", "text"} <= {*r}]
    write_lines(folder / "m.jsonl", [{k: v for k, v in r.items() if v is not None} for r in rows])
    (folder / "media").symlink_to(small_corpus.parent / "media")
    return folder / "m.jsonl"


UNKNOWN = {"label_set": "custom:zig,zag", "label": "zig"}
OF_DEMO5 = r"no row has a label of demo5 \(.*\), which the model predicts: \d+ clips with label zig have no place"


@pytest.mark.parametrize(
    ("kept", "said"),
    [(UNKNOWN, OF_DEMO5), ({"text": None}, "no clip has text, which this model reads; text: the row has no text")],
)
def test_a_manifest_with_nothing_to_measure_is_one_line(kept, said, tiny_run, small_corpus, tmp_path, cli):
    manifest = told_otherwise(small_corpus, tmp_path, **kept)
    with pytest.raises(ManifestError, match=said):
        evaluate_run(tiny_run / "branches" / "text", manifest=manifest)
    code, _, err = cli("evaluate", tiny_run / "branches" / "text", "--manifest", manifest)
    assert (code, err.splitlines()[-1].startswith("error: ")) == (1, True)


@pytest.mark.parametrize("stages", ["[text, speech, fuse]", "[fuse]"])
@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (UNKNOWN, OF_DEMO5),
        ({"audio": None, "video": None}, "no clip to train on has audio or video, which encoders.speech reads"),
    ],
)
def test_a_manifest_with_nothing_to_learn_is_said_before_anything_is_trained(
    kept, said, stages, tiny_config, small_corpus, tmp_path
):
    manifest = told_otherwise(small_corpus, tmp_path, **kept)
    path = tiny_config(tmp_path, modalities=("text", "speech"), stages=stages)
    config = load_config(path, [f"data.manifest={manifest}"])
    with pytest.raises(ManifestError, match=said):
        train(config, tmp_path / "run")
    assert not has_training(tmp_path / "run")
    with pytest.raises(ManifestError, match=said):
        plan(config)


def test_what_fsdp_cannot_share_out_is_said(words, tmp_path):
    heard = Notes()
    train(words("parallel=fsdp"), tmp_path / "run", progress=heard)
    assert any("parallel: fsdp has no effect with one process" in note for note in heard.notes)
