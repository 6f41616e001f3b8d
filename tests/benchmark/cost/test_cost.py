"""The cost of a model: parameters, seconds, memory, and how they were measured."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

from multiemo.benchmark import environment
from multiemo.benchmark.cost import memory
from multiemo.benchmark.cost.cost import count_parameters, measure_cost, training_seconds
from multiemo.benchmark.measurements import CostReport
from multiemo.config import load_config, parse_config, save_config
from multiemo.data.manifest.reading import write_manifest
from multiemo.runs import load_bundle, train
from multiemo.types import SUBSETS, Clip, FeatureRef
from tests.support.runs import answered_here, source_of


@pytest.fixture(scope="module")
def measured(tiny_run: Path) -> CostReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "subprocess", SimpleNamespace(run=answered_here))
        return measure_cost(tiny_run, source_of(tiny_run), clips=2, repeats=3, device="cpu")


def test_parameters_equal_a_hand_count(tiny_run: Path, measured: CostReport):
    model = load_bundle(tiny_run).model
    classes, dim = 5, model.encoders["text"].out_dim
    parts = measured.parameters
    assert parts["fusion"] == sum(
        p.numel() for name, p in model.named_parameters() if name.startswith(("fusion.", "head.", "dimension_head."))
    )
    encoder = sum(p.numel() for p in model.encoders["text"].parameters())
    assert parts["text"] == encoder + 2 * dim + dim * classes + classes  # a normalisation and a linear layer
    assert sum(parts.values()) == sum(p.numel() for p in model.parameters())
    assert measured.subsets["TSF"].parameters == sum(parts.values())
    assert measured.subsets["SF"].parameters == parts["speech"] + parts["face"] + parts["fusion"]


def test_a_branch_alone_has_no_fusion(tiny_run: Path):
    model = load_bundle(tiny_run / "branches" / "speech").model
    assert count_parameters(model) == {"speech": sum(p.numel() for p in model.parameters())}


def test_a_larger_subset_never_costs_less(measured: CostReport):
    assert list(measured.subsets) == list(SUBSETS)
    for small, one in measured.subsets.items():
        for large, other in measured.subsets.items():
            if set(SUBSETS[small]) < set(SUBSETS[large]):
                assert one.parameters < other.parameters
                assert one.flops < other.flops
                assert one.train_seconds < other.train_seconds
    assert measured.subsets["TSF"].seconds > measured.subsets["T"].seconds
    assert measured.subsets["TSF"].decode_rtf > measured.subsets["T"].decode_rtf


def test_the_report_says_how_it_was_measured(measured: CostReport, tiny_run: Path, conforms):
    conforms(measured, CostReport)
    source = source_of(tiny_run)
    assert set(measured.clips) <= set(source.split.parts["val"])
    assert 0.5 < measured.media_seconds < 10
    assert (measured.device, measured.threads) == ("cpu", torch.get_num_threads())
    values = json.loads(json.dumps(measured))
    assert values["subsets"]["S"]["rtf"] == pytest.approx(measured.subsets["S"].rtf)
    # Clips differ in length, so the ratio of the means is only about the ratio of the sums.
    cost = measured.subsets["TSF"]
    assert cost.rtf == pytest.approx(cost.seconds / measured.media_seconds, rel=1e-6)


def test_training_seconds_are_those_of_the_last_record_of_each_stage(tiny_run: Path, measured: CostReport):
    records = [json.loads(line) for line in (tiny_run / "metrics.jsonl").read_text().splitlines()]
    last = {r["stage"]: r["seconds"] for r in records}
    assert training_seconds(tiny_run) == last
    assert measured.subsets["TF"].train_seconds == pytest.approx(last["text"] + last["face"] + last["fuse"])


def test_a_branch_taken_over_brings_its_seconds(tiny_run: Path, tmp_path: Path):
    config = load_config(tiny_run / "config.yaml", [f"branches.speech={tiny_run / 'branches' / 'speech'}"])
    (tmp_path / "config.yaml").write_text(json.dumps(config.model_dump(mode="json")))
    (tmp_path / "metrics.jsonl").write_text('{"stage": "fuse", "seconds": 3.0}\n')
    facts = json.loads((tiny_run / "branches" / "speech" / "config.json").read_text())["facts"]
    assert training_seconds(tmp_path) == {"fuse": 3.0, "speech": facts["seconds"]}
    (tmp_path / "metrics.jsonl").unlink()
    assert training_seconds(tmp_path) == {}


def test_memory_is_the_peak_of_the_process_that_answers(measured: CostReport):
    assert all(one.peak_memory_mb >= measured.libraries_mb > 100 for one in measured.subsets.values())


def test_what_cannot_be_told_ends_nothing(tiny_run: Path, tmp_path: Path, monkeypatch):
    """Memory of a process that died, training of a branch that is gone, hardware that does not answer."""
    failed = subprocess.CompletedProcess([], 1, "", "OSError: no room")
    monkeypatch.setattr(memory, "subprocess", SimpleNamespace(run=lambda *_, **__: failed))
    monkeypatch.setattr("os.cpu_count", lambda: None)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_name", MagicMock(side_effect=RuntimeError("no driver")))
    monkeypatch.setattr("os.sysconf", MagicMock(side_effect=ValueError("unrecognized configuration name")))
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    config = load_config(run / "config.yaml")
    save_config(config.model_copy(update={"branches": {"text": str(tmp_path / "gone")}}), run / "config.yaml")
    log = run / "metrics.jsonl"
    log.write_text("".join(line for line in log.open() if '"stage": "text"' not in line))
    report = measure_cost(run, source_of(tiny_run), clips=1, repeats=1, device="cpu")
    assert {c.peak_memory_mb for c in report.subsets.values()} == {None}
    assert sum("OSError: no room" in note for note in report.notes) == 7
    assert {key for key, cost in report.subsets.items() if cost.train_seconds is None} == {"T", "TS", "TF", "TSF"}
    assert report.hardware.startswith(environment._processor() + "; ")


def test_precomputed_features_without_media_have_no_real_time_factor(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(memory, "subprocess", SimpleNamespace(run=answered_here))
    random = np.random.default_rng(0)
    clips = []
    for i in range(24):
        np.save(tmp_path / f"{i}.npy", random.normal(size=(3, 6)).astype(np.float32))
        label = ("happy", "sad")[i % 2]
        feature = {"face": FeatureRef(f"{i}.npy")}
        clips.append(
            Clip(id=f"c{i}", corpus="x", speaker=f"s{i // 4}", features=feature, label=label, label_set="demo5")
        )
    write_manifest(clips, tmp_path / "m.jsonl")
    values = {
        "name": "features", "label_set": "demo5", "device": "cpu",
        "data": {"manifest": str(tmp_path / "m.jsonl"), "split": {"val": 0.3, "test": 0.3}},
        "encoders": {"face": {"name": "features", "hidden": 8}}, "stages": ["face"],
        "training": {"epochs": 1},
    }  # fmt: skip
    train(parse_config(values), tmp_path / "run")
    report = measure_cost(tmp_path / "run", source_of(tmp_path / "run"), clips=1, repeats=1, device="cpu")
    cost = report.subsets["F"]
    assert list(report.subsets) == ["F"]
    assert (cost.rtf, cost.decode_rtf, report.media_seconds) == (None, None, None)
    assert cost.seconds > 0
    # Two layers at three steps; a single branch runs its head twice, as a branch and as the whole model.
    assert cost.flops == 2 * 3 * (6 * 8 + 8 * 8) + 2 * (2 * 8 * 5)
    assert any("no real-time factor" in note for note in report.notes)
