"""The report of an evaluation as a self-contained HTML page, and the files beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from multiemo import plots
from multiemo.encryption import read_sealed
from multiemo.evaluation.report import CalibrationReport, Report
from multiemo.files import parse_json, write_atomically
from multiemo.metrics import MAIN_FIGURE
from multiemo.pages import page_template
from multiemo.report.card import write_cards
from multiemo.report.tables import (
    best_single,
    caveat,
    comparison_text,
    constant_name,
    figure_name,
    format_interval,
    format_number,
    interval_rows,
    table_rows,
)
from multiemo.runs.folder.evaluation_log import reading_summary, run_folder_of
from multiemo.runs.folder.required_files import model_folder
from multiemo.training.epochs import StageEpoch

#: Headings of the sections that hold plots beside a table or a text of their own.
WORTH = "What each set of modalities is worth"
TRUST = "How far its confidence can be trusted"


@dataclass(frozen=True, slots=True)
class ReportPlot:
    """A plot in the page of a report.

    Plots with one heading share a section. A heading that the template does not know gets a section of its own.

    Args:
        heading: of its section.
        alt: description for readers who do not see the plot.
        png: the PNG, base64.
        caption: text below the plot, if any.
        width: of the plot, per cent of the page.
    """

    heading: str
    alt: str
    png: str
    caption: str = ""
    width: int = 100


def by_heading(shown: Sequence[ReportPlot]) -> dict[str, list[ReportPlot]]:
    """{heading: its plots}, in the order of the plots.

    Example:
        >>> plots = [ReportPlot("A", "one", ""), ReportPlot("B", "two", ""), ReportPlot("A", "three", "")]
        >>> {heading: [plot.alt for plot in found] for heading, found in by_heading(plots).items()}
        {'A': ['one', 'three'], 'B': ['two']}
    """
    sections: dict[str, list[ReportPlot]] = {}
    for plot in shown:
        sections.setdefault(plot.heading, []).append(plot)
    return sections


def write_html(
    run: Path, report: Report, *, example: Mapping[str, Any] | None = None, title: str | None = None
) -> Path:
    """Write ``report.html`` into a run folder: figures, plots, protocol and versions in one file.

    Args:
        run: run folder, or the folder of one of its branches.
        report: evaluation of one part.
        example: one entry of ``inputs`` of the prediction JSON, shown as an example.
        title: heading; the name of the run by default.

    Returns:
        The path of the page.
    """
    home = run_folder_of(run)
    model = parse_json(read_sealed(model_folder(run) / "config.json"))
    stage = model["facts"]["stage"]
    splits = json.loads((home / "splits.json").read_text("utf-8"))[stage]
    history = read_history(home / "metrics.jsonl")
    page = page_template(Path(__file__).with_name("report.html")).render(
        title=title or model["config"]["name"],
        report=report,
        caveat=caveat(report.corpus_kind),
        table=table_rows(report),
        intervals=interval_rows(report),
        figure=figure_name(report),
        number=format_number,
        interval=format_interval,
        best=best_single(report),
        comparison_text=partial(comparison_text, report),
        plots=by_heading(_plots(report, history if home == run else {k: v for k, v in history.items() if k == stage})),
        worth=WORTH,
        trust=TRUST,
        split={k: v for k, v in splits.items() if k not in ("parts", "groups")},
        sizes={p: (len(splits["parts"][p]), len(splits["groups"][p])) for p in splits["parts"]},
        model=model,
        config=(home / "config.yaml").read_text("utf-8"),
        reads=reading_summary(home),
        example=example,
    )
    write_atomically(run / "report.html", page)
    return run / "report.html"


def _plots(report: Report, history: Mapping[str, list[StageEpoch]]) -> list[ReportPlot]:
    """The plots of the page, in order; one without data is left out.

    Args:
        report: what was measured.
        history: {stage: epoch records}.
    """
    main, name = MAIN_FIGURE[report.task], figure_name(report)
    figures = {k: v for k, v in report.subsets.items() if main in v}
    bars = plots.draw_bars(
        {k: getattr(v, main) for k, v in figures.items()},
        {k: getattr(v, f"{main}_ci") for k, v in figures.items() if f"{main}_ci" in v},
        label=f"{name} with 95% interval",
        highlight=report.full,
        reference=(constant_name(report.task), getattr(report.majority, main)),
    )
    shown = [ReportPlot(WORTH, f"{name} of each subset", bars)]
    if isinstance(report.calibration, CalibrationReport):
        shown += _calibration_plots(report, report.calibration)
    if report.confusion:
        matrix = plots.draw_confusion(report.confusion, report.label_set)
        width = confusion_width(report.label_set)
        shown.append(ReportPlot(f"Confusion, {report.full}", "confusion matrix", matrix, width=width))
    logged = {stage: records for stage, records in history.items() if all("uar" in r.val for r in records)}
    if logged:
        figure, title = history_figure(report.task)
        curves = plots.draw_training(logged, figure, title)
        shown.append(ReportPlot("Training", f"validation {title} by epoch", curves))
    return shown


def _calibration_plots(report: Report, calibration: CalibrationReport) -> list[ReportPlot]:
    """Reliability diagrams and risk-coverage curves; none if nothing was calibrated."""
    bins, curves, figures = calibration.reliability, calibration.risk_coverage, report.subsets
    if not bins:
        return []
    titles = {k: f"{k}   ECE {figures[k].ece_raw:.3f} → {figures[k].ece:.3f}" for k in bins}
    points = {k: (figures[k]["coverage"], figures[k]["selective_error"]) for k in curves
              if figures[k].get("selective_error") is not None}  # fmt: skip
    reliability = plots.draw_reliability({titles[k]: v for k, v in bins.items()})
    risk = plots.draw_risk_coverage(curves, points=points, max_error=calibration.max_error)
    assured = any(threshold is not None for threshold in calibration.thresholds.values())
    return [
        ReportPlot(TRUST, "reliability diagrams", reliability, _RELIABILITY_CAPTION),
        ReportPlot(TRUST, "risk-coverage curves", risk, _risk_caption(calibration.max_error, assured)),
    ]


_RELIABILITY_CAPTION = (
    "Each set of modalities has its own temperature and one bias for each label, fitted on validation. The temperature "
    "changes how confident the model is; the biases can change the label, unless the model was trained with label "
    "weights. On the dashed line, confidence equals accuracy. The area of a dot grows with its number of clips."
)


def _risk_caption(max_error: float | None, assured: bool) -> Markup:
    """What the risk-coverage curves show, and what the allowed error rate does.

    Args:
        max_error: the allowed error rate, if there is one.
        assured: whether any set of modalities has a threshold that keeps it.
    """
    curve = "The error rate if only the most confident clips get a label; AURC is the area under the curve. "
    if max_error is None:
        return Markup("{}The run sets no <code>max_error</code>, so every clip gets a label.").format(curve)
    if not assured:
        return Markup(
            "{}The run allows an error rate of {}. The validation clips are too few, or too often wrong, to find a "
            "threshold that keeps it (with probability 0.9), so every label is given as <i>uncertain</i>."
        ).format(curve, max_error)
    return Markup(
        "{}The run allows an error rate of {}. A threshold that keeps it was found on validation (with probability "
        "0.9, for clips drawn like those). A label whose confidence is below the threshold is given as "
        "<i>uncertain</i>. The dots show coverage and error of this part at the thresholds."
    ).format(curve, max_error)


def confusion_width(labels: Sequence[str]) -> int:
    """Width of a confusion matrix in per cent of the page, so that its cells keep their size."""
    return min(100, 24 + 7 * len(labels))


def history_figure(task: str) -> tuple[str, str]:
    """The validation figure that every stage logs: its key and its name."""
    return ("ccc", "CCC") if task == "dimensions" else ("uar", "UAR")


def read_history(path: Path) -> dict[str, list[StageEpoch]]:
    """Read ``metrics.jsonl``: {stage: its epoch records}.

    An epoch that was run again after a resume is listed once, with its later record.
    """
    stages: dict[str, dict[int, StageEpoch]] = {}
    if path.is_file():
        for line in path.read_text("utf-8").splitlines():
            epoch = StageEpoch.from_json(json.loads(line))
            stages.setdefault(epoch.stage, {})[epoch.epoch] = epoch
    return {stage: [epochs[e] for e in sorted(epochs)] for stage, epochs in stages.items()}


def save_evaluation(
    run: Path, report: Report, *, example: Mapping[str, Any] | None = None, title: str | None = None
) -> None:
    """Write ``evaluation.json``, ``predictions.jsonl``, ``report.html`` and the model cards into a run folder.

    Args:
        run: run folder, or the folder of one of its branches.
        report: evaluation of one part.
        example: one entry of ``inputs`` of the prediction JSON, shown in the page.
        title: heading of the page; the name of the run by default.
    """
    write_atomically(run / "evaluation.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    lines = (json.dumps(p, ensure_ascii=False) + "\n" for p in report.predictions)
    write_atomically(run / "predictions.jsonl", "".join(lines))
    write_html(run, report, example=example, title=title)
    write_cards(run)
