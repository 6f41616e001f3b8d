"""The page of a report: a plot needs an entry in the list of plots, and nothing in the template."""

from __future__ import annotations

import shutil

from multiemo.report import ReportPlot, page, save_evaluation
from multiemo.runs import evaluate_run


def test_a_plot_in_the_list_is_in_the_page(tiny_run, tmp_path, monkeypatch):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    listed = page._plots

    def with_new_plots(report, history):
        known = ReportPlot(page.WORTH, "a second look", "AAAA", "Below the table & the bars.")
        new = ReportPlot("A new section", "a new plot", "BBBB", width=50)
        return [*listed(report, history), known, new]

    monkeypatch.setattr(page, "_plots", with_new_plots)
    save_evaluation(run, evaluate_run(run))
    text = (run / "report.html").read_text("utf-8")
    assert text.count(f"<h2>{page.WORTH}</h2>") == text.count(f"<h2>{page.TRUST}</h2>") == 1
    assert text.index(page.WORTH) < text.index("base64,AAAA") < text.index(page.TRUST)
    assert "<p>Below the table &amp; the bars.</p>" in text
    assert '<img style="width: 50%" alt="a new plot" src="data:image/png;base64,BBBB">' in text
    assert text.index("<h2>Training</h2>") < text.index("<h2>A new section</h2>") < text.index("<h2>Protocol</h2>")
