"""A whole benchmark on the small synthetic corpus: its files, how it continues, and what it rejects."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from multiemo.benchmark.compare import compare
from multiemo.benchmark.cost import memory
from multiemo.benchmark.document import BenchmarkResult, ComparisonResult, ProtocolSummary
from multiemo.benchmark.folder import open_folder
from multiemo.benchmark.predictions import read_records
from multiemo.benchmark.run import run_benchmark
from multiemo.benchmark.tables import summary
from multiemo.cli import app
from multiemo.config import Config, load_config, load_stored
from multiemo.data.manifest.reading import read_manifest, write_manifest
from multiemo.errors import CheckpointError, ConfigError, SplitError, TrainingError
from multiemo.progress import Progress
from multiemo.runs.folder.evaluation_log import Reading
from multiemo.runs.folder.lock import lock_folder
from multiemo.types import SUBSETS, Clip
from tests.support.runs import answered_here

BRIEF = ("training.epochs=1", "benchmark.seeds=2", "benchmark.jobs=1")
QUICK = (*BRIEF, "benchmark.protocol=kfold", "benchmark.folds=2")


@pytest.fixture(scope="module", autouse=True)
def _memory_is_measured_in_this_process():
    """A process for each subset takes long; tests/benchmark/cost/test_memory.py starts them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "subprocess", SimpleNamespace(run=answered_here))
        yield


@pytest.fixture(scope="module")
def config(tiny_config, tmp_path_factory) -> Config:
    folder = tmp_path_factory.mktemp("benchmark")
    path = tiny_config(folder, modalities=("text", "speech"), dimensions="true")
    return load_config(path, [*QUICK, "benchmark.robustness=false"])


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "out"
    run_benchmark(config, out, show_leak=True, command="multiemo benchmark tiny.yaml --show-leak")
    return out


def result_of(folder: Path) -> dict:
    return json.loads((folder / "benchmark.json").read_text("utf-8"))


def test_the_result_holds_every_system_subset_fold_and_seed(finished, small_corpus, conforms):
    result = result_of(finished)
    conforms(finished / "benchmark.json", BenchmarkResult)
    conforms(finished / "protocol.json", ProtocolSummary)
    conforms(finished / "evaluations.jsonl", Reading)
    assert BenchmarkResult.read(finished / "benchmark.json") == result
    assert set(result["systems"]) == {"multiemo", "classic"}
    assert set(result["subsets"]) == {"T", "S", "TS"}
    clips = read_manifest(small_corpus)
    assert result["n"] == len(clips)
    assert result["speakers"] == len({c.speaker for c in clips})
    assert (result["corpus_kind"], result["split"], result["seeds"]) == ("synthetic", "test", [3, 4])
    for subsets in result["systems"].values():
        for values in subsets.values():
            low, high = values["uar_ci"]
            assert 0 <= low <= values["uar"] <= high <= 1
            assert len(values["recall"]) == len(result["label_set"])
    assert result["subsets"]["TS"]["uar_sd"] >= 0
    assert result["subsets"]["T"]["ece_raw"] >= 0
    assert {len(v) for v in result["by_fold"].values()} == {2}
    assert [len(f) for f in (result["protocol"]["folds"], result["by_fold"])] == [2, 2]
    assert set(result["cost"]["subsets"]) == {"T", "S", "TS"}
    assert 0 <= result["prior"]["uar"] <= 1
    assert result["majority"]["uar"] <= 1 / 3


def test_dimensions_are_pooled_over_folds_and_seeds(finished):
    from scipy.stats import pearsonr

    result = result_of(finished)
    assert set(result["dimensions"]) == {"valence", "arousal", "dominance"} & set(result["dimensions"])
    values = []
    for seed in result["seeds"]:
        folders = [finished / "cells" / f"{fold['name']}-seed{seed}" for fold in result["protocol"]["folds"]]
        pairs = [r["dimensions"]["valence"] for f in folders for r in read_records(f / "predictions.jsonl")
                 if "valence" in r["dimensions"]]  # fmt: skip
        values.append(pearsonr(*zip(*pairs, strict=True)).statistic)
    assert result["dimensions"]["valence"]["pearson"] == pytest.approx(sum(values) / 2, abs=1e-9)


def test_every_reading_of_a_test_part_is_counted_by_its_reader(finished):
    result, folds = result_of(finished), ("fold0", "fold1")
    assert result["reads"] == {f: {"benchmark": 2, "classic baselines": 1} for f in folds}  # two seeds
    assert result["leak"]["reads"] == {f: {"benchmark": 1} for f in folds}
    page = (finished / "report.html").read_text("utf-8")
    assert "each read 3 times: benchmark 2, classic baselines 1; those of the shuffled clips: each read once" in page
    assert "test parts: each read 3 times: benchmark 2, classic baselines 1" in summary(
        BenchmarkResult.from_json(result)
    )


def test_families_are_adjusted_and_say_what_they_could_have_found(finished):
    families = result_of(finished)["comparisons"]
    assert {name: len(tests) for name, tests in families.items()} == {
        "what each modality adds": 2, "against the classic baselines": 3,
    }  # fmt: skip
    for tests in families.values():
        for test in tests:
            assert test["p_holm"] >= test["p"]
            assert test["mdd"] > 0
            assert test["low"] <= test["difference"] <= test["high"]


def test_pooled_figures_are_those_of_the_cells_predictions(finished):
    from sklearn.metrics import recall_score

    result = result_of(finished)
    values = []
    for seed in result["seeds"]:
        folders = [finished / "cells" / f"{fold['name']}-seed{seed}" for fold in result["protocol"]["folds"]]
        records = [r for folder in folders for r in read_records(folder / "predictions.jsonl")]
        records = [r for r in records if "TS" in r["probs"]]
        truth = [max(range(5), key=r["target"].__getitem__) for r in records]
        said = [max(range(5), key=r["probs"]["TS"].__getitem__) for r in records]
        values.append(recall_score(truth, said, average="macro"))
    assert result["subsets"]["TS"]["uar"] == pytest.approx(sum(values) / 2, abs=1e-9)
    assert result["subsets"]["TS"]["uar_sd"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5, abs=1e-9)


def test_errors_are_compared_between_languages(finished, small_corpus):
    result = result_of(finished)
    rows = {row["id"]: row for row in map(json.loads, small_corpus.read_text("utf-8").splitlines())}
    groups = result["groups"]["groups"]
    assert {g["attribute"] for g in groups} == {"language"}
    assert result["groups"]["notes"][0].startswith("speaker: 6 groups with fewer than 10 clips")
    languages = {g["value"]: g for g in groups}
    assert languages.keys() == {row["language"] for row in rows.values()}
    both = [languages["en"]["difference"], languages["zh"]["difference"]]
    assert both[0] == pytest.approx(-both[1])
    assert sum(g["n"] for g in languages.values()) == result["subsets"][result["full"]]["n"]
    assert "language: en" in (finished / "report.html").read_text("utf-8")


def test_the_leak_is_measured_on_the_same_clips(finished):
    result = result_of(finished)
    full = next(t for t in result["leak"]["tests"] if t["subset"] == "TS")
    gap = result["leak"]["shuffled"]["TS"]["uar"] - result["leak"]["disjoint"]["TS"]["uar"]
    assert full["difference"] == pytest.approx(gap, abs=1e-9)
    assert sorted(p.name for p in (finished / "shuffled").iterdir()) == ["fold0-seed3", "fold1-seed3"]
    assert result["leak"]["disjoint"]["TS"]["n"] == result["subsets"]["TS"]["n"]


def test_the_report_is_one_file_that_loads_nothing(finished):
    page = (finished / "report.html").read_text("utf-8")
    assert 'src="http' not in page
    assert 'href="http' not in page
    for word in ("Synthetic.", "Paired tests", "leaking split", "Protocol", "--show-leak", "classic", "MFLOPs"):
        assert word in page
    assert result_of(finished)["protocol"]["hash"] in page
    rows = list(csv.DictReader(io.StringIO((finished / "table.csv").read_text("utf-8"))))
    assert [r["system"] for r in rows] == ["majority", "prior", *["multiemo"] * 3, *["classic"] * 3]
    assert float(rows[2]["uar_low"]) <= float(rows[2]["uar"]) <= float(rows[2]["uar_high"])
    latex = (finished / "table.tex").read_text("utf-8")
    assert latex.count(r"\\") == 1 + len(rows)
    assert r"\textbf{" in latex


@pytest.mark.fault("kill -9 while benchmarking", "finished trainings are kept; the rest goes on")
@pytest.mark.slow
def test_a_killed_benchmark_goes_on_and_keeps_what_is_finished(config, finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    kept = out / "cells" / "fold0-seed3" / "evaluation.json"
    lost = out / "cells" / "fold1-seed4"
    (lost / "evaluation.json").unlink()  # killed before it was tested
    shutil.rmtree(lost / "model")
    shutil.rmtree(out / "cells" / "fold0-seed4")  # never begun
    (out / "benchmark.json").unlink()
    stamp = kept.stat().st_mtime_ns
    run_benchmark(config, out)
    assert kept.stat().st_mtime_ns == stamp
    again, before = result_of(out), result_of(finished)
    assert again["systems"] == before["systems"]
    assert again["reads"] == {  # a test part that was read before it was killed says so
        "fold0": {"benchmark": 2, "classic baselines": 1}, "fold1": {"benchmark": 3, "classic baselines": 1},
    }  # fmt: skip


@pytest.mark.slow
def test_another_config_or_manifest_in_the_same_folder_is_refused(config, finished, tmp_path):
    other = config.model_copy(update={"seed": 9})
    with pytest.raises(CheckpointError, match=r"holds a benchmark of another config \(seed\)"):
        run_benchmark(other, finished)
    measured = config.benchmark.model_copy(update={"robustness": True, "explanations": True, "jobs": 2})
    open_folder(finished, config.model_copy(update={"benchmark": measured}))  # more is measured of the same models
    (tmp_path / "something").touch()
    with pytest.raises(CheckpointError, match="is not empty and holds no benchmark"):
        run_benchmark(config, tmp_path)
    out = tmp_path / "moved"
    shutil.copytree(finished, out)
    stored = json.loads((out / "protocol.json").read_text("utf-8"))
    (out / "protocol.json").write_text(json.dumps({**stored, "hash": "0" * 64}), "utf-8")
    with pytest.raises(CheckpointError, match="was begun with the protocol 000"):
        run_benchmark(config, out)


def renamed_copy(small_corpus: Path, folder: Path, tiny_config) -> Config:
    """The small corpus with one clip of one speaker given to another under a new name."""
    rows = read_manifest(small_corpus)
    chosen = next(c for c in rows if c.video is not None)
    other = next(c.speaker for c in rows if c.speaker != chosen.speaker)
    for name in ("media", "media2"):
        if not (folder / name).exists():
            (folder / name).symlink_to(small_corpus.parent / "media")
    copy = replace(chosen, id="copy", speaker=other, video=str(chosen.video).replace("media", "media2", 1),
                   audio=None if chosen.audio is None else chosen.audio.replace("media", "media2", 1))  # fmt: skip
    write_manifest([*rows, copy], folder / "m.jsonl")
    path = tiny_config(folder, modalities=("text", "speech"))
    return load_config(
        path, [f"data.manifest={folder / 'm.jsonl'}", *BRIEF, "benchmark.protocol=leave-one-speaker-out"]
    )


def test_a_benchmark_that_only_failed_may_be_begun_with_other_keys(config, tmp_path):
    """As a run is; and two at once are refused."""
    wrong = config.encoders["text"].model_copy(update={"heads": 3})
    failing = config.model_copy(update={"encoders": {**config.encoders, "text": wrong}})
    with pytest.raises((ConfigError, TrainingError), match="must divide dim"):
        run_benchmark(failing, tmp_path / "out")
    assert load_stored(tmp_path / "out" / "config.yaml") == failing
    with lock_folder(tmp_path / "out", Progress()), pytest.raises(CheckpointError, match="is using this folder"):
        run_benchmark(config, tmp_path / "out")
    with pytest.raises((ConfigError, TrainingError), match="must divide dim"):
        run_benchmark(failing.model_copy(update={"seed": 9}), tmp_path / "out")


@pytest.mark.slow
def test_one_stage_of_a_multimodal_config_is_benchmarked_alone(tiny_config, tmp_path):
    path = tiny_config(tmp_path, modalities=("text", "speech"), per_stage="{text: {lr: 0.1}, fuse: {lr: 0.1}}")
    quick = [wish for wish in QUICK if "seeds" not in wish]
    one = load_config(path, [*quick, "benchmark.seeds=1", "stages=[speech]", "benchmark.robustness=false"])
    result = run_benchmark(one, tmp_path / "out")
    assert list(result["systems"]["multiemo"]) == ["S"]
    assert list(result["systems"]["classic"]) == ["S"]


def test_a_renamed_copy_in_another_part_stops_the_run(small_corpus, tiny_config, tmp_path):
    config = renamed_copy(small_corpus, tmp_path, tiny_config)
    with pytest.raises(SplitError, match=r"near-duplicates are in two parts: .*'copy'.*benchmark\.duplicates=drop"):
        run_benchmark(config, tmp_path / "out")
    assert any("copy" in line for line in json.loads((tmp_path / "out" / "duplicates.json").read_text("utf-8")))
    # What the message advises works with the same folder; here it stops at the next thing that is wrong.
    kept = config.benchmark.model_copy(update={"duplicates": "drop"})
    broken = config.model_copy(
        update={"benchmark": kept, "training": config.training.model_copy(update={"lr": 1e30}), "stages": ("text",),
                "encoders": {"text": config.encoders["text"]}, "per_stage": {}}
    )  # fmt: skip
    with pytest.raises(TrainingError, match=r"fold\d, seed 3: the loss is"):
        run_benchmark(broken, tmp_path / "out")


def test_a_failing_cell_is_named_and_the_others_are_kept(config, tmp_path):
    broken = config.model_copy(
        update={"training": config.training.model_copy(update={"lr": 1e30}), "per_stage": {}, "stages": ("text",),
                "encoders": {"text": config.encoders["text"]}}
    )  # fmt: skip
    with pytest.raises(TrainingError, match=r"fold0, seed 3: the loss is"):
        run_benchmark(broken, tmp_path / "out")


def test_compare_pairs_benchmarks_and_refuses_other_test_parts(finished, tiny_run, tmp_path):
    twin = tmp_path / "twin"
    shutil.copytree(finished, twin)
    result = compare([finished, twin])
    (test,) = result["tests"]
    assert test["difference"] == 0
    assert test["p"] == 1
    assert set(result["systems"]) == {str(finished), str(twin)}
    with pytest.raises(ConfigError, match="two or more different"):
        compare([finished, finished])
    untested = shutil.copytree(tiny_run, tmp_path / "untested", ignore=shutil.ignore_patterns("predictions.jsonl"))
    with pytest.raises(CheckpointError, match=r"run `multiemo evaluate"):
        compare([finished, untested])
    for fold in ("fold0", "fold1"):
        path = twin / "cells" / f"{fold}-seed3" / "predictions.jsonl"
        lines = path.read_text("utf-8").splitlines()
        path.write_text("\n".join(lines[1:]), "utf-8")
        path = twin / "cells" / f"{fold}-seed4" / "predictions.jsonl"
        path.write_text("\n".join(path.read_text("utf-8").splitlines()[1:]), "utf-8")
    with pytest.raises(CheckpointError, match=r"2 are not in both \(first: "):
        compare([finished, twin])


def test_predictions_of_another_system_are_compared_with_all_seeds_and_logged_for_each_fold(finished, tmp_path):
    folder = tmp_path / "benchmark"
    shutil.copytree(finished, folder)
    path = tmp_path / "theirs.jsonl"
    clips = read_manifest(Path(load_stored(folder / "config.yaml").data.manifest))
    path.write_text("".join(json.dumps({"id": c.id, "label": c.label}) + "\n" for c in clips), "utf-8")
    result = compare([folder, path])
    assert result.systems[str(path)]["imported"].uar == 1
    assert result.tests[0].difference == pytest.approx(result.systems[str(folder)]["TS"].uar - 1)
    assert "compare 1" in result.reads[str(folder)]
    compare([folder, path])
    assert "compare 2" in compare([folder, finished]).reads[str(folder)]


def test_the_command_line_prints_tables_and_pure_json(finished, tmp_path, conforms):
    twin = tmp_path / "twin"
    shutil.copytree(finished, twin)
    said = CliRunner().invoke(app, ["compare", str(finished), str(twin)])
    assert said.exit_code == 0
    assert "| run" in said.stdout
    said = CliRunner().invoke(app, ["compare", str(finished), str(twin), "--json", "-"])
    assert set(json.loads(said.stdout)["systems"][str(twin)]) <= set(SUBSETS)
    conforms(json.loads(said.stdout), ComparisonResult)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["soft", *(pytest.param(t, marks=pytest.mark.slow) for t in ("single", "multi"))])
def test_one_modality_alone_is_measured_for_every_task(tmp_path, task):
    names = ("negative", "neutral", "positive")
    words = ("awful", "plain", "lovely")
    rows = []
    for i in range(72):
        label = {
            "single": {"label": names[i % 3]},
            "multi": {"labels": (names[i % 3], "neutral") if i % 2 and i % 3 != 1 else (names[i % 3],)},
            "soft": {"votes": {names[i % 3]: 3.0, names[(i + 1) % 3]: 1.0}},
        }[task]
        rows.append(Clip(id=f"c{i}", corpus="toy", speaker=f"s{i % 8}", text=f"a {words[i % 3]} day {i}",
                         label_set="polarity3", **label))  # fmt: skip
    write_manifest(rows, tmp_path / "m.jsonl")
    (tmp_path / "c.yaml").write_text(
        f"name: toy\nlabel_set: polarity3\ntask: {task}\ndata: {{manifest: '{tmp_path / 'm.jsonl'}'}}\n"
        "encoders: {text: {name: text_transformer, layers: 0, vocab_size: 600}}\nstages: [text]\n"
        "training: {epochs: 1}\nbenchmark: {protocol: kfold, folds: 2, seeds: 1, robustness: false, jobs: 1}\n",
        "utf-8",
    )
    result = run_benchmark(load_config(tmp_path / "c.yaml"), tmp_path / "out")
    assert set(result["comparisons"]) == {"against the classic baselines"}
    assert set(result["subsets"]) == {"T"}
    main = {"single": "uar", "multi": "macro_f1", "soft": "uar"}[task]
    assert 0 <= result["subsets"]["T"][main] <= 1
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert {"single": "WF1", "multi": "mAP", "soft": "cross-entropy"}[task] in page


@pytest.mark.slow
def test_processes_give_what_one_process_gives(config, finished, tmp_path):
    two = config.model_copy(update={"benchmark": config.benchmark.model_copy(update={"jobs": 2})})
    run_benchmark(two, tmp_path / "out")
    assert result_of(tmp_path / "out")["systems"] == result_of(finished)["systems"]


@pytest.mark.slow
def test_a_failure_in_a_process_of_its_own_is_one_line(config, tmp_path):
    broken = config.model_copy(
        update={"training": config.training.model_copy(update={"lr": 1e30}),
                "benchmark": config.benchmark.model_copy(update={"jobs": 2})}
    )  # fmt: skip
    with pytest.raises(TrainingError, match=r"fold\d, seed \d: the loss is"):
        run_benchmark(broken, tmp_path / "out")
