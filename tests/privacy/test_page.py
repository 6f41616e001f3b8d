"""The page of a privacy report, its curve and its lines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from multiemo.privacy.page import report_lines, trade_points, write_report
from multiemo.report.privacy import strongest
from multiemo.runs.folder.privacy_report import PrivacyReport
from tests.support.documents import check_record
from tests.support.privacy_reports import privacy_report


def test_the_page_escapes_what_it_shows(tmp_path: Path) -> None:
    report = replace(privacy_report(), name="<script>alert(1)</script>", notes=["a <b> note"])
    page = write_report(report, tmp_path).read_text("utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "A &lt;b&gt; note" in page
    assert PrivacyReport.read(tmp_path / "privacy.json") == json.loads(json.dumps(report))
    check_record(report)


def test_an_attacker_that_does_not_know_the_protection_is_not_the_measure() -> None:
    report = privacy_report()
    found = strongest(report.protections[1], "speech")
    assert found is not None
    assert (found.knowledge, found.eer.value) == ("semi-informed", 0.2)


def test_the_curve_has_the_best_model_against_the_strongest_attacker() -> None:
    (points,) = trade_points(privacy_report()).values()
    assert [(p.name, p.eer, p.emotion) for p in points] == [("none", 0.1, 0.6), ("mcadams 0.8", 0.2, 0.55)]


def test_lines_name_figures_with_intervals() -> None:
    text = "\n".join(report_lines(privacy_report()))
    assert "speech EER 20.0% [15.0, 25.0] (resemblyzer, semi-informed)" in text
    assert "membership, speech branch, people, run: AUC 70.0% [60.0, 80.0]" in text
