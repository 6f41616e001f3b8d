"""The documents of the written formats name every member that a record has."""

from __future__ import annotations

import re

import pytest

from multiemo.benchmark.document import BenchmarkResult, ComparisonResult, FoldSummary, ProtocolSummary
from multiemo.benchmark.measurements import Cost, Curve
from multiemo.calibration import Calibration
from multiemo.data.splits.split import StoredSplit
from multiemo.evaluation import ClipPrediction, Report
from multiemo.metrics import LabelFigures, SubsetComparison, SubsetFigures
from multiemo.records import json_schema_of
from multiemo.runs.folder.evaluation_log import Reading
from multiemo.training.epochs import StageEpoch
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
RUN = (
    Report,
    SubsetFigures,
    SubsetComparison,
    LabelFigures,
    ClipPrediction,
    Reading,
    StageEpoch,
    StoredSplit,
    Calibration,
)
BENCHMARK = (BenchmarkResult, ComparisonResult, ProtocolSummary, FoldSummary, Cost, Curve)


@pytest.mark.parametrize(
    ("page", "kind"), [*(("run-folder.md", kind) for kind in RUN), *(("benchmark.md", kind) for kind in BENCHMARK)]
)
def test_every_member_is_named(page: str, kind: type) -> None:
    named = set(re.findall(r"`(\w+)`", (DOCS / page).read_text("utf-8")))
    members = {re.sub(r"_(ci|sd)$", "", name) for name in json_schema_of(kind)["properties"]}
    assert members <= named, sorted(members - named)
