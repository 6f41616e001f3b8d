"""What a report says of each task: figures, dimensions, notes, JSON."""

from __future__ import annotations

import json
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from multiemo import metrics
from multiemo.errors import CheckpointError
from multiemo.evaluation import ClipPrediction, Report, collect, evaluate_model
from multiemo.report import comparison_text, format_table, interval_rows, table_rows
from multiemo.types import Batch, Output

LABELS = ["calm", "happy", "sad"]


def batches(task="single", clips=60, speakers=12, seed=0):
    """Two batches without inputs: the model below reads the target."""
    rng = np.random.default_rng(seed)
    half = clips // 2
    for part in range(2):
        target = np.eye(3)[rng.integers(0, 3, half)]
        if task == "multi":
            target = (rng.random((half, 3)) < 0.4) * 1.0
        if task == "soft":
            target = rng.multinomial(4, [0.5, 0.3, 0.2], half) / 4
        numbers = range(part * half, (part + 1) * half)
        dimensions = rng.uniform(-1, 1, (half, 3))
        dimensions[:, 2] = np.nan
        dimensions[::4, 1] = np.nan
        yield Batch(
            ids=[f"c{i}" for i in numbers],
            corpora=["real"] * half,
            speakers=[f"s{i % speakers}" for i in numbers],
            inputs={},
            masks={},
            presence={"speech": torch.ones(half, dtype=torch.bool), "face": torch.arange(half) % 5 > 0},
            absent=[{} for _ in numbers],
            target=torch.tensor(target, dtype=torch.float32),
            labelled=torch.tensor([i % 10 > 0 for i in numbers]),
            dimensions=torch.tensor(dimensions, dtype=torch.float32),
        )


def model(batch):
    torch.manual_seed(len(batch.ids[0]))
    noise = torch.randn(3, len(batch), 3)
    there = {"S": batch.presence["speech"], "F": batch.presence["face"], "SF": batch.presence["speech"]}
    logits = {key: 4 * batch.target - 2 + (3 - len(key)) * n for key, n in zip(there, noise, strict=True)}
    known = torch.nan_to_num(batch.dimensions)
    return Output(logits["SF"], by_subset=logits, usable=there, dimensions=0.6 * known + 0.1 * noise[0])


def measure(task="single", **how):
    prior = np.array([0.5, 0.3, 0.2])
    options = {k: how.pop(k) for k in ("intervals",) if k in how}
    return evaluate_model(model, batches(task, **how), label_set=LABELS, prior=prior, task=task, **options)


@pytest.mark.parametrize("task", ["single", "soft", "multi"])
def test_a_report_holds_every_figure_of_its_task_as_json(task, conforms):
    report = measure(task)
    values = json.loads(json.dumps(report, allow_nan=False))
    conforms(values, Report)
    conforms(report.predictions[0], ClipPrediction)
    assert Report.from_json(values) == report == values
    assert values["task"] == task
    assert (values["n"], values["speakers"]) == (54, 12)
    assert set(values["subsets"]) == {"S", "F", "SF"}
    assert values["subsets"]["F"]["n"] < values["n"]
    main = metrics.MAIN_FIGURE[task]
    for figures in values["subsets"].values():
        low, high = figures[f"{main}_ci"]
        assert 0 <= low <= figures[main] <= high <= 1
    assert {"uar", "macro_f1", "wf1", "accuracy"} <= set(values["majority"]) & set(values["prior"])
    assert {"figure", "difference", "low", "high", "p", "p_holm", "mdd"} <= set(values["comparisons"]["SF-S"])
    assert values["per_class"]["SF"]["calm"]["support"] > 0
    header, *rows = table_rows(report)
    assert [row[0] for row in rows] == ["-", "-", "S", "F", "SF"]
    assert all(len(row) == len(header) for row in rows)
    assert len(interval_rows(report)) == 4
    assert "Holm" in format_table(report)


def test_dimensions_are_measured_where_they_are_known():
    found = measure().dimensions
    assert set(found) == {"valence", "arousal"}, "no clip has dominance"
    assert found["arousal"]["n"] < found["valence"]["n"] == 60
    for figures in found.values():
        assert figures["ccc_ci"][0] < figures["ccc"] < figures["ccc_ci"][1] <= 1
        assert 0 < figures["mae_ci"][0] < figures["mae"] < figures["rmse"]
    assert "valence: CCC" in format_table(measure())


def test_selection_does_without_intervals():
    report = measure(intervals=False)
    assert all(isinstance(v, int | float) for figures in report.subsets.values() for v in figures.values())
    assert (report.comparisons, report.per_class, report.notes) == ({}, {}, [])
    assert "valence" in report.dimensions
    assert "mae_ci" not in report.dimensions["valence"]


@pytest.mark.parametrize(
    ("speakers", "note"),
    [
        (1, "this speaker's clips"),
        (4, "too few speakers to swap"),
        (8, "8 speakers: intervals"),
        (60, "over clips"),
        (25, "SF: all 25 speakers have the same figure"),
    ],
)
def test_the_reader_is_told_what_the_intervals_rest_on(speakers, note):
    notes = measure(speakers=speakers).notes
    assert any(note in n for n in notes)


def test_two_that_say_the_same_have_no_detectable_difference():
    report = measure(speakers=4)
    same = metrics.Scores(
        task="single", labels=LABELS, target=np.eye(len(LABELS))[[0, 1, 0, 1] * 2],
        usable={k: np.full(8, True) for k in "SF"},
        probabilities=dict.fromkeys(("S", "F"), np.eye(len(LABELS))[[0, 1, 1, 0] * 2]),
        speakers=np.array(list("aabbccdd")), prior=np.full(len(LABELS), 1 / len(LABELS)),
    )  # fmt: skip
    report = replace(report, comparisons=metrics.compare_subsets(same))
    said = comparison_text(report, next(iter(report.comparisons)))
    assert "would be found 4 times" not in said
    assert said.endswith("no detectable difference can be computed: all 4 speakers show no difference")
    json.dumps(report, allow_nan=False)


def test_a_figure_that_is_not_defined_is_null_in_json_and_nan_as_an_attribute(tmp_path, conforms):
    report = measure(intervals=False)
    undefined = replace(report.subsets["F"], uar=float("nan"), uar_ci=[float("nan")] * 2)
    report = replace(report, subsets={"F": undefined})
    assert report["subsets"]["F"]["uar"] is None
    conforms(report, Report)
    (tmp_path / "evaluation.json").write_text(json.dumps(report))
    again = Report.read(tmp_path / "evaluation.json")
    assert again == report
    assert np.isnan([again.subsets["F"].uar, *again.subsets["F"].uar_ci]).all()
    (tmp_path / "evaluation.json").write_text(json.dumps({**report, "n": "many"}))
    with pytest.raises(CheckpointError, match=r"evaluation\.json: not readable as a result: n: "):
        Report.read(tmp_path / "evaluation.json")


def test_inputs_are_let_go_of_batch_by_batch():
    inputs: list[weakref.ref] = []
    most = 0

    def heavy():
        nonlocal most
        for seed in range(4):
            for batch in batches(seed=seed):
                batch.inputs, batch.masks = {"face": torch.zeros(30, 4)}, {"face": torch.ones(30, 4, dtype=torch.bool)}
                inputs.append(weakref.ref(batch.inputs["face"]))
                most = max(most, sum(one() is not None for one in inputs))
                yield batch

    got = collect(model, heavy())
    assert len(inputs) == 8
    assert most == 2  # the batch at hand, and the one before it while this one was made
    assert sum(one() is not None for one in inputs) == 0
    assert got.ids == [f"c{i}" for i in range(60)] * 4
    assert got.presence["face"].tolist() == [i % 30 % 5 > 0 for i in range(240)]
