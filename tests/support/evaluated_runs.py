"""A run folder as it is after ``evaluate``, written by hand: no model is needed to compare predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from multiemo.evaluation.report import ClipPrediction, Report
from multiemo.metrics import Baseline


def evaluated_run(
    folder: Path,
    labels: Sequence[str],
    predictions: Sequence[ClipPrediction],
    rows: Sequence[Mapping[str, Any]] = (),
    task: Any = "single",
) -> Path:
    """Write the files of a tested run that comparisons read.

    Args:
        folder: folder of the run; its manifest is ``m.jsonl`` beside it.
        labels: label set.
        predictions: the lines of ``predictions.jsonl``.
        rows: rows of the manifest.
        task: task of the run.
    """
    (folder / "model").mkdir(parents=True)
    report = Report(label_set=list(labels), split="test", n=len(predictions), speakers=1, corpus_kind="real",
                    majority=Baseline(), subsets={}, task=task)  # fmt: skip
    (folder / "evaluation.json").write_text(json.dumps(report), "utf-8")
    (folder / "predictions.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in predictions), "utf-8")
    manifest = folder.parent / "m.jsonl"
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    facts = {"facts": {"stage": "text", "manifest": str(manifest)}}
    (folder / "model" / "config.json").write_text(json.dumps(facts), "utf-8")
    (folder / "model" / "model.safetensors").touch()
    return folder
