"""A model as a whole, on the synthetic corpus."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from multiemo.explanation.emap import compare_additive
from multiemo.explanation.faithfulness.stored import FAITHFULNESS, measure_run
from multiemo.explanation.overall import measure
from multiemo.explanation.overall.measure import explain_run
from multiemo.explanation.overall.outcomes import Outcomes
from multiemo.explanation.overall.records import ModelExplanation
from multiemo.report.overall import model_lines, write_model_page
from multiemo.runs.evaluation import evaluate_bundle, evaluate_run
from multiemo.runs.folder.evaluation_log import reads_of_test
from multiemo.runs.folder.required_files import model_folder
from multiemo.runs.model_folder import load_bundle
from tests.support.injection import inert, injected

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def explained(tiny_run) -> ModelExplanation:
    return explain_run(tiny_run, clips=6)


def test_it_covers_the_validation_part_and_reads_no_test(tiny_run, explained) -> None:
    before = reads_of_test(tiny_run)
    report = evaluate_run(tiny_run, split="val")
    assert (explained.part, explained.clips, explained.speakers) == ("val", report.n, report.speakers)
    assert explained.explained == 6
    assert reads_of_test(tiny_run) == before
    assert explained.groups.overall == pytest.approx(report.subsets[report.full].uar)


def test_confusions_are_those_of_the_evaluation(tiny_run, explained) -> None:
    report = evaluate_run(tiny_run, split="val")
    assert explained.confusions, "a model of one epoch is wrong somewhere"
    for confusion in explained.confusions:
        row, column = report.label_set.index(confusion.truth), report.label_set.index(confusion.said)
        assert confusion.clips == report.confusion[row][column]
        assert confusion.share == pytest.approx(confusion.clips / sum(report.confusion[row]))
        for example in confusion.examples:
            assert set(example.probs) == {confusion.truth, confusion.said}
            assert example.evidence


def test_effects_and_cues_are_by_decided_label(explained) -> None:
    assert explained.effects is not None
    counted = sum(effects.clips for effects in explained.effects.by_label.values())
    assert counted == explained.effects.overall.clips == explained.clips
    assert {cues.label for cues in explained.cues} <= set(explained.effects.by_label)
    kinds = {(cues.modality, cues.unit) for cues in explained.cues}
    assert {("speech", "cue"), ("face", "region")} <= kinds
    assert explained.additive is not None
    assert 0 <= explained.additive.same_label <= 1


def test_interactions_are_measured_on_the_labels_that_the_model_decides(tiny_run, monkeypatch) -> None:
    bundle = load_bundle(tiny_run)
    count = len(bundle.labels)
    calibration = replace(
        bundle.calibration,
        temperatures={"TSF": 2.0},
        biases={"TSF": np.linspace(1, -1, count).tolist()},
        costs={"TSF": np.linspace(1, 3, count).tolist()},
    )
    bundle = replace(bundle, calibration=calibration)
    bundle.model.reliability = nn.ModuleDict({"text": _Doubtful()})
    seen: dict[str, Any] = {}

    def compare(projection, truth, speakers):
        seen["full"] = projection.full.argmax(1)
        return compare_additive(projection, truth, speakers)

    def outcomes(report, bundle, clips):
        seen["outcomes"] = Outcomes.of(report, bundle, clips)
        return seen["outcomes"]

    def evaluate(bundle, part, **options):
        seen["data"] = part.dataset
        return evaluate_bundle(bundle, part, **options)

    monkeypatch.setattr(measure, "load_bundle", lambda folder: bundle)
    monkeypatch.setattr(measure, "evaluate_bundle", evaluate)
    monkeypatch.setattr(measure, "compare_additive", compare)
    monkeypatch.setattr(measure, "Outcomes", SimpleNamespace(of=outcomes))
    explain_run(tiny_run, clips=1)
    found, data = seen["outcomes"], seen["data"]
    whole = [i for i, row in enumerate(found.rows) if len(data[row].inputs) == 3 and found.truth[i] >= 0]
    assert seen["full"].tolist() == [found.said[i] for i in whole]


class _Doubtful(nn.Module):
    """Reliability that falls with the number of tokens."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return 1 / (1 + mask.sum(1))


def test_the_page_stands_alone_and_the_record_keeps_its_schema(explained, conforms, tmp_path) -> None:
    conforms(json.loads(json.dumps(explained)), ModelExplanation)
    write_model_page(explained, tmp_path / "model.html")
    page = (tmp_path / "model.html").read_text("utf-8")
    assert "http" not in page
    assert "<script" not in page
    assert "not measured on this model" in page
    assert "Synthetic." in page
    lines = list(model_lines(explained))
    assert lines[0].endswith(f"{explained.clips} clips of {explained.speakers} speakers")


def test_markup_in_labels_and_words_is_inert_in_the_page(explained, tmp_path) -> None:
    values = json.loads(json.dumps(explained))
    score = next(iter(values["effects"]["overall"]["contribution"].values()))["signed"]
    values["cues"][0]["cues_for"] = [{"name": "lovely", "clips": 1, "score": score, "strongest": 1}]
    hostile = injected(values, {*values["labels"], values["name"], values["corpus"], "lovely"})
    write_model_page(ModelExplanation.from_json(hostile), tmp_path / "model.html")
    text = inert(tmp_path / "model.html")
    assert all(f"{shown}&lt;script&gt;" in text for shown in ("lovely", values["name"], values["corpus"]))


def test_the_command_measures_and_stores_faithfulness(tiny_run, cli, tmp_path) -> None:
    out, written = tmp_path / "model.html", tmp_path / "model.json"
    code, said, _ = cli("explain", str(tiny_run), "--global", "--clips", "6", "--out", str(out), "--json", str(written))
    assert code == 0, said
    stored = model_folder(tiny_run) / FAITHFULNESS
    try:
        assert json.loads(written.read_text("utf-8"))["faithfulness"] == json.loads(stored.read_text("utf-8"))
        assert "How faithful the evidence is" in out.read_text("utf-8")
        assert measure_run(tiny_run, clips=6).views
    finally:
        stored.unlink()


def test_wrong_uses_are_refused(tiny_run, cli) -> None:
    code, _, error = cli("explain", str(tiny_run), "clip.mp4", "--global")
    assert code == 2
    assert "leave out the input" in error
    code, _, error = cli("explain", str(tiny_run), "--text", "hi", "--split", "test")
    assert code == 2
    assert "add --global" in error
