"""Tables for a terminal and one self-contained HTML page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jinja2

from multiemo import plots
from multiemo.evaluation.report import CalibrationReport, Report
from multiemo.files import write_atomically
from multiemo.metrics import MAIN_FIGURE, PairedTest
from multiemo.runs.folder.evaluation_log import reading_summary, run_folder_of
from multiemo.runs.folder.required_files import model_folder
from multiemo.training.epochs import StageEpoch
from multiemo.types import SUBSETS

_SAID = {"synthetic": "synthetic media: the figures say nothing about people",
         "composite": "composite corpus (modalities of different people paired by label): the figures say nothing "
                      "about one person's text, voice and face"}  # fmt: skip


def caveat(corpus_kind: str) -> str:
    """What must stand beside the figures of a corpus that is not recordings of people; empty for a real one."""
    return _SAID.get(corpus_kind, "")


#: Columns of a table: figure and heading, by task; the first is the one that comparisons test.
COLUMNS = {
    "single": {"uar": "UAR", "macro_f1": "macro F1", "wf1": "WF1", "accuracy": "accuracy"},
    "soft": {"uar": "UAR", "macro_f1": "macro F1", "cross_entropy": "cross-entropy", "js": "JS", "cosine": "cosine"},
    "multi": {"macro_f1": "macro F1", "micro_f1": "micro F1", "map": "mAP", "uar": "UAR", "wf1": "WF1"},
    "dimensions": {"ccc": "CCC", "pearson": "Pearson", "mae": "MAE", "rmse": "RMSE"},
}


def figure_name(report: Report, figure: str | None = None) -> str:
    """How a figure is called in tables; the main one of the task by default."""
    return COLUMNS[report.task][figure or MAIN_FIGURE[report.task]]


def table_rows(report: Report) -> list[list[str]]:
    """Header, a row for always saying the majority label (or the mean), one for guessing, and one for each subset."""
    main, *others = COLUMNS[report.task]
    heads = [COLUMNS[report.task][name] for name in others]
    errors = {} if report.task == "dimensions" else {"ece_raw": "ECE raw", "ece": "ECE"}
    rows = [["subset", "modalities", "n", figure_name(report), "95% interval", *heads, *errors.values()]]
    always = constant_name(report.task, report.majority.get("label"))
    bases = [(always, report.majority), ("guessing as in train", report.prior)]
    named = [(key, " + ".join(SUBSETS[key]), values) for key, values in report.subsets.items()]
    for key, name, values in [*(("-", *base) for base in bases if base[1]), *named]:
        cells = (number(values.get(k)) for k in (*others, *errors))
        rows.append([key, name, str(values.get("n", report.n)), number(values.get(main)), span(values, main), *cells])
    return rows


def constant_name(task: str, label: str | None = None) -> str:
    """What always says the same is called in tables and pictures."""
    if task == "dimensions":
        return "mean of train"
    return f"majority ({label})" if label else "majority class"


def interval_rows(report: Report) -> list[list[str]]:
    """Header and a row a subset: every figure of the table with its interval."""
    columns = COLUMNS[report.task]
    measured = {key: values for key, values in report.subsets.items() if f"{next(iter(columns))}_ci" in values}
    rows = [[f"{number(v[k])} ({span(v, k)})" for k in columns] for v in measured.values()]
    return [["subset", *columns.values()], *([key, *row] for key, row in zip(measured, rows, strict=True))]


def number(value: Any) -> str:
    """Three decimals, or a dash for what is not known or not defined."""
    return f"{value:.3f}" if isinstance(value, int | float) and math.isfinite(value) else "-"


def span(values: Mapping[str, Any], figure: str) -> str:
    """The interval of a figure, or a dash where it has none."""
    ends = [number(end) for end in values.get(f"{figure}_ci") or (None, None)]
    return "-" if "-" in ends else " .. ".join(ends)


def comparison_text(report: Report, pair: str) -> str:
    """A paired test in one line: difference, interval, p-values, and what the test would have found."""
    test = report.comparisons[pair]
    how = "permutation of speakers" if test.test == "swaps" else "Student's t"
    found = (
        f"a difference of {test.mdd:.3f} would be found 4 times out of 5"
        if test.mdd is not None
        else "what difference would be found cannot be told, for " + same_everywhere(test)
    )
    return (
        f"{figure_name(report)} {test.difference:+.3f}, 95% interval {test.low:+.3f} .. {test.high:+.3f}, "
        f"{how} p = {test.p:.4f} (Holm: {test.p_holm:.4f}); {found}"
    )


def same_everywhere(test: PairedTest) -> str:
    """Why a paired test has no detectable difference."""
    if test.error != 0:
        return "there is one clip"
    what = "shows none" if test.difference == 0 else "shows the same one"
    return f"every one of {test.speakers} speakers {what}" if test.speakers > 1 else f"every clip {what}"


def format_table(report: Report) -> str:
    """The subset table, the paired tests and the caveats as plain text (Markdown)."""
    lines = [f"{report.corpus_kind} corpus, {report.split} part: {report.n} clips of {report.speakers} speakers"]
    if caveat(report.corpus_kind):
        lines.append(caveat(report.corpus_kind).upper())
    lines += ["", *markdown(table_rows(report))]
    best = best_single(report)
    if best is not None:
        pair = f"{report.full}-{best}"
        lines += [
            "",
            f"{report.full} against the best single modality ({best}), the same {report.comparisons[pair].n} clips: "
            + comparison_text(report, pair),
        ]
    if isinstance(report.calibration, CalibrationReport) and report.calibration.max_error is not None:
        lines += ["", *_answered(report, report.calibration)]
    for name, values in report.dimensions.items():
        spans = (f"{n} {number(values[k])} ({span(values, k)})" for k, n in (("ccc", "CCC"), ("mae", "MAE")))
        lines.append(f"{name}: {', '.join(spans)}, n = {values.n}")
    lines += [f"note: {note}" for note in report.notes]
    return "\n".join(lines)


def best_single(report: Report) -> str | None:
    """The single modality with the highest main figure that has a paired test against the full subset."""
    singles = [k for k in report.subsets if len(k) == 1 and f"{report.full}-{k}" in report.comparisons]
    return max(singles, key=lambda k: float(getattr(report.subsets[k], MAIN_FIGURE[report.task])), default=None)


def write_html(
    run: Path, report: Report, *, example: Mapping[str, Any] | None = None, title: str | None = None
) -> Path:
    """Write ``report.html`` into a run folder: figures, plots, protocol, versions; nothing is loaded from elsewhere.

    Args:
        run: run folder, or the folder of one of its branches.
        report: of the part that was evaluated.
        example: one entry of ``inputs`` of the prediction JSON, shown as an example.
        title: heading; the run's name by default.
    """
    home = run_folder_of(run)
    model = json.loads((model_folder(run) / "config.json").read_text("utf-8"))
    stage = model["facts"]["stage"]
    splits = json.loads((home / "splits.json").read_text("utf-8"))[stage]
    history = read_history(home / "metrics.jsonl")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("report.html").render(
        title=title or model["config"]["name"],
        report=report,
        caveat=caveat(report.corpus_kind),
        table=table_rows(report),
        intervals=interval_rows(report),
        figure=figure_name(report),
        history=history_figure(report.task)[1],
        number=number,
        span=span,
        best=best_single(report),
        comparison_text=partial(comparison_text, report),
        plots=_plots(report, history if home == run else {k: v for k, v in history.items() if k == stage}),
        split={k: v for k, v in splits.items() if k not in ("parts", "groups")},
        sizes={p: (len(splits["parts"][p]), len(splits["groups"][p])) for p in splits["parts"]},
        model=model,
        config=(home / "config.yaml").read_text("utf-8"),
        reads=reading_summary(home),
        example=example,
    )
    write_atomically(run / "report.html", page)
    return run / "report.html"


def _plots(report: Report, history: Mapping[str, list[StageEpoch]]) -> dict[str, str]:
    """{name: PNG, base64}; empty where there is nothing to show."""
    main, name = MAIN_FIGURE[report.task], figure_name(report)
    figures = {k: v for k, v in report.subsets.items() if main in v}
    learnt = {stage: records for stage, records in history.items() if all("uar" in r.val for r in records)}
    calibration = report.calibration if isinstance(report.calibration, CalibrationReport) else None
    bins, curves = (calibration.reliability, calibration.risk_coverage) if calibration is not None else ({}, {})
    titles = {k: f"{k}   ECE {figures[k].ece_raw:.3f} → {figures[k].ece:.3f}" for k in bins}
    points = {k: (figures[k]["coverage"], figures[k]["selective_error"]) for k in curves
              if figures[k].get("selective_error") is not None}  # fmt: skip
    return {
        "subsets": plots.draw_bars(
            {k: getattr(v, main) for k, v in figures.items()},
            {k: getattr(v, f"{main}_ci") for k, v in figures.items() if f"{main}_ci" in v},
            label=f"{name} with 95% interval",
            highlight=report.full,
            reference=(constant_name(report.task), getattr(report.majority, main)),
        ),
        "confusion": plots.draw_confusion(report.confusion, report.label_set) if report.confusion else "",
        "history": plots.draw_training(learnt, *history_figure(report.task)) if learnt else "",
        "reliability": plots.draw_reliability({titles[k]: v for k, v in bins.items()}) if bins else "",
        "risk_coverage": plots.draw_risk_coverage(curves, points=points, max_error=calibration.max_error)
        if calibration is not None and curves
        else "",
    }


def history_figure(task: str) -> tuple[str, str]:
    """The validation figure that every stage logs, and its name."""
    return ("ccc", "CCC") if task == "dimensions" else ("uar", "UAR")


def _answered(report: Report, calibration: CalibrationReport) -> list[str]:
    """For each subset that a threshold was found for: how many clips get a label, and how many of those are wrong."""
    lines = []
    for key, threshold in calibration.thresholds.items():
        values = report.subsets[key]
        if threshold is None or values.coverage is None:
            continue
        error = values["selective_error"]
        wrong = "" if error is None else f", error among them {error:.3f}"
        share = f"{values.coverage:.0%} of the clips get a label (confidence from {threshold:.2f})"
        lines.append(f"{key}: {share}{wrong}")
    return lines


def read_history(path: Path) -> dict[str, list[StageEpoch]]:
    """{stage: its epoch records}; an epoch that was run twice (after a resume) counts once, the later."""
    stages: dict[str, dict[int, StageEpoch]] = {}
    if path.is_file():
        for line in path.read_text("utf-8").splitlines():
            epoch = StageEpoch.from_json(json.loads(line))
            stages.setdefault(epoch.stage, {})[epoch.epoch] = epoch
    return {stage: [epochs[e] for e in sorted(epochs)] for stage, epochs in stages.items()}


def save_evaluation(
    run: Path, report: Report, *, example: Mapping[str, Any] | None = None, title: str | None = None
) -> None:
    """Write ``evaluation.json``, ``predictions.jsonl`` and ``report.html`` into a run folder.

    Args:
        run: run folder, or the folder of one of its branches.
        report: of the part that was evaluated.
        example: one entry of ``inputs`` of the prediction JSON, shown in the page.
        title: of the page; the name of the run by default.
    """
    write_atomically(run / "evaluation.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    lines = (json.dumps(p, ensure_ascii=False) + "\n" for p in report.predictions)
    write_atomically(run / "predictions.jsonl", "".join(lines))
    write_html(run, report, example=example, title=title)


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, its columns aligned; the first row is the head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return lines
