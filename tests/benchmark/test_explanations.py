"""Faithfulness of explanations in a benchmark: the table, the page and the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from multiemo.benchmark import run
from multiemo.benchmark.document import BenchmarkResult
from multiemo.benchmark.explanations import HEADS, failures, faithfulness_table
from multiemo.benchmark.report import write_report
from multiemo.benchmark.run import run_benchmark
from multiemo.benchmark.tables import summary
from multiemo.config import load_config
from multiemo.explanation.faithfulness.curves import CurveFigures
from multiemo.explanation.faithfulness.records import Faithfulness
from multiemo.explanation.faithfulness.summary import ClipFigures, summarise
from multiemo.progress import Progress
from multiemo.runs.model_folder import Bundle
from multiemo.runs.sources import Source


@pytest.fixture(scope="module")
def measured() -> Faithfulness:
    """Speech passes, text fails."""
    clips = [
        ClipFigures(
            m, "time", "occlusion", f"s{i % 6}", CurveFigures(d + i / 100, 0.2, 0.3, 0.4, 0.5, 0.6), i / 50, 0.9
        )
        for m, d in (("speech", 1.0), ("text", -1.0))
        for i in range(12)
    ]
    return Faithfulness(corpus="tiny", part="val", clips=12, seed=0, views=summarise(clips, {}))  # type: ignore[arg-type]


def test_the_table_has_a_row_for_each_view(measured: Faithfulness) -> None:
    rows = faithfulness_table(measured)
    assert [len(row) for row in rows] == [len(HEADS)] * 2
    assert rows[0][:5] == ["speech", "time", "12", "+1.055", "+1.036 .. +1.074"]
    assert [row[-1] for row in rows] == ["passed", "failed"]
    assert len(failures(measured)) == 1
    assert failures(measured)[0].startswith("text, time: removing")


@pytest.mark.slow
def test_explanations_are_measured_once_if_the_config_asks_for_them(
    tiny_config, measured: Faithfulness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conforms
) -> None:
    asked: list[list[Path | None]] = []

    def fake(models: list[tuple[Bundle, Source]], *, device: str, progress: Progress) -> Faithfulness:
        asked.append([bundle.folder for bundle, _ in models])
        return measured

    monkeypatch.setattr(run, "measure_faithfulness", fake)
    keys = ["training.epochs=1", *(f"benchmark.{k}" for k in ("seeds=2", "jobs=1", "explanations=true"))]
    keys += ["benchmark.robustness=false", "benchmark.baselines=false"]
    config = load_config(tiny_config(tmp_path, modalities=("text",)), keys)
    for _ in range(2):
        result = run_benchmark(config, tmp_path / "out")
    assert asked == [[tmp_path / "out" / "cells" / "holdout-seed3"]]
    assert result.explanations == measured
    conforms(tmp_path / "out" / "benchmark.json", BenchmarkResult)
    assert BenchmarkResult.read(tmp_path / "out" / "benchmark.json").explanations == measured
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert 'href="#explanations"' in page
    assert "+1.036 .. +1.074" in page
    assert "Text, time: removing" in page
    assert "| speech" in summary(result)
    without = replace(result, explanations=None)
    write_report(tmp_path / "out", without)
    assert "explanations" not in (tmp_path / "out" / "report.html").read_text("utf-8").split("<pre>")[0]
    assert "| speech" not in summary(without)
