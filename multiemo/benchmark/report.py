"""A benchmark as one self-contained HTML page, and its main table as CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from multiemo.benchmark import tables
from multiemo.benchmark.document import BenchmarkResult
from multiemo.benchmark.explanations import HEADS, failures, faithfulness_table
from multiemo.benchmark.measurements import CostReport
from multiemo.benchmark.plots import draw_heat, draw_points, draw_scatter
from multiemo.benchmark.robustness.plot import plot_robustness
from multiemo.calibration import RiskCurve
from multiemo.files import write_atomically
from multiemo.metrics import MAIN_FIGURE
from multiemo.pages import page_template
from multiemo.plots import draw_confusion, draw_reliability, draw_risk_coverage
from multiemo.report import (
    TRUST,
    WORTH,
    ReportPlot,
    by_heading,
    caveat,
    confusion_width,
    constant_name,
    format_interval,
    format_number,
)
from multiemo.types import SUBSETS

_LABELS = "Which labels are recognised"
_ROBUSTNESS = "When the input gets worse"
_COST = "What it costs"
#: {heading of a section of plots: its anchor}; a section without an anchor has no link at the top of the page.
_ANCHORS = {WORTH: "results", _LABELS: "labels", TRUST: "calibration", _ROBUSTNESS: "robustness", _COST: "cost"}
#: {anchor: text of its link}, in the order of the page.
_SECTIONS = {
    "results": "Results", "comparisons": "Paired tests", "leak": "Leak", "labels": "Labels", "groups": "Groups",
    "calibration": "Calibration", "robustness": "Robustness", "explanations": "Explanations", "cost": "Cost",
    "notes": "Notes", "protocol": "Protocol", "config": "Configuration",
}  # fmt: skip


def write_report(folder: Path, result: BenchmarkResult) -> Path:
    """Write ``report.html``, ``table.csv`` and ``table.tex`` into a benchmark folder.

    Args:
        folder: holds ``config.yaml``.
        result: the finished benchmark.

    Returns:
        The path of the page.
    """
    main = MAIN_FIGURE[result.task]
    shown = by_heading(_plots(result, main))
    absent = {
        "comparisons": not result.comparisons,
        "leak": result.leak is None,
        "explanations": result.explanations is None,
        "groups": not result.groups.groups,
        "notes": not result.notes,
        **{anchor: heading not in shown for heading, anchor in _ANCHORS.items()},
    }
    page = page_template(Path(__file__).with_name("report.html")).render(
        r=result,
        caption=tables.caption_of(result),
        caveat=caveat(result.corpus_kind),
        sections=[(key, name) for key, name in _SECTIONS.items() if not absent.get(key)],
        rows=tables.table_rows(result),
        figures=tables.figures_in(result),
        heads=tables.heads_of(result.task),
        main=main,
        families=result.comparisons,
        cost=cost_table(result.cost),
        faithfulness=result.explanations and faithfulness_table(result.explanations),
        faithfulness_heads=HEADS,
        failures=failures(result.explanations) if result.explanations else [],
        plots=shown,
        anchors=_ANCHORS,
        worth=WORTH,
        labels=_LABELS,
        costs=_COST,
        reads=tables.reads_sentence(result.reads),
        leak_reads=tables.reads_sentence(result.leak.reads) if result.leak is not None else "",
        number=format_number,
        interval=format_interval,
        config=(folder / "config.yaml").read_text("utf-8"),
    )
    write_atomically(folder / "report.html", page)
    write_atomically(folder / "table.csv", tables.csv_table(tables.table_rows(result), tables.figures_in(result)))
    write_atomically(folder / "table.tex", tables.latex_table(result))
    return folder / "report.html"


def cost_table(cost: CostReport) -> dict[str, list[str]]:
    """The cost table: the column headings under ``head``, then {subset: cells}."""
    head = [
        "parameters",
        "MFLOPs a clip",
        "compute, s a clip",
        "real-time factor",
        "decoding",
        "memory, MiB",
        "training, s",
    ]
    rows = {"head": head}
    for key, values in cost.subsets.items():
        rows[key] = [
            f"{values.parameters:,}",
            f"{values.flops / 1e6:,.1f}",
            format_number(values.seconds),
            format_number(values.rtf),
            format_number(values.decode_rtf),
            "-" if values.peak_memory_mb is None else f"{values.peak_memory_mb:,.0f}",
            "-" if values.train_seconds is None else f"{values.train_seconds:,.0f}",
        ]
    return rows


def skipped_corruptions(result: BenchmarkResult) -> dict[str, list[str]]:
    """{reason: the corruptions that were not measured because of it}."""
    found: dict[str, list[str]] = {}
    for curve in result.robustness or ():
        names = found.setdefault(curve.skipped, [])
        if curve.corruption not in names:
            names.append(curve.corruption)
    found.pop("", None)
    return found


def _plots(result: BenchmarkResult, main: str) -> list[ReportPlot]:
    """The plots of the page, in order; one without data is left out.

    Args:
        result: the finished benchmark.
        main: the main figure of its task.
    """
    head = tables.heads_of(result.task)[main]
    systems, ours = result.systems, result.systems["multiemo"]
    figures = {name: {k: getattr(found[k], main) for k in SUBSETS if k in found} for name, found in systems.items()}
    points = draw_points(
        figures,
        {name: {k: getattr(v, f"{main}_ci") for k, v in subsets.items()} for name, subsets in systems.items()},
        label=f"{head} with 95% interval over speakers",
        reference=(constant_name(result.task), getattr(result.majority, main)),
    )
    shown = [ReportPlot(WORTH, f"{head} of each subset", points)]
    recall = {k: v.recall for k, v in ours.items() if v.recall}
    if recall:
        shown.append(ReportPlot(_LABELS, "recall of each label by subset", draw_heat(recall, result.label_set)))
    if result.confusion:
        matrix = draw_confusion(result.confusion, result.label_set)
        caption = f"Confusion of {result.full}, averaged over seeds."
        width = confusion_width(result.label_set)
        shown.append(ReportPlot(_LABELS, "confusion matrix", matrix, caption, width))
    if result.reliability:
        diagrams = draw_reliability(result.reliability)
        shown.append(ReportPlot(TRUST, "reliability diagrams", diagrams, _calibration_caption(result)))
        curves = draw_risk_coverage(_last(result.risk_coverage, result.full))
        shown.append(ReportPlot(TRUST, "risk-coverage curves", curves))
    robustness = plot_robustness(result.robustness or [])
    if robustness:
        shown.append(ReportPlot(_ROBUSTNESS, "robustness curves", robustness, _robustness_caption(result)))
    scatter = draw_scatter(
        {k: (v.seconds, figures["multiemo"][k]) for k, v in result.cost.subsets.items() if k in ours},
        x="seconds of preprocessing and model for one clip",
        y=head,
        highlight=result.full,
    )
    return [*shown, ReportPlot(_COST, f"{head} against cost", scatter, _cost_caption(result.cost))]


def _calibration_caption(result: BenchmarkResult) -> str:
    subsets = result.systems["multiemo"].items()
    errors = [f"{k} {format_number(v.ece_raw)} → {format_number(v.ece)}" for k, v in subsets if "ece_raw" in v]
    return (
        "A temperature and one bias for each label are fitted on the validation part of each fold, for each set of "
        f"modalities. ECE before and after, means over seeds: {', '.join(errors)}."
    )


def _robustness_caption(result: BenchmarkResult) -> str:
    plot = (
        "Models of the first seed on corrupted test clips of every fold. Shaded: 95% interval over speakers. Dashed: "
        "without corruption. Grey: share of the clips in which nothing is left of the modality."
    )
    skipped = [f"Not measured: {', '.join(names)} ({why})." for why, names in skipped_corruptions(result).items()]
    return Markup("<br>").join([plot, *skipped])


def _cost_caption(cost: CostReport) -> str:
    length = "" if not cost.media_seconds else f" of {cost.media_seconds:.1f} s on average"
    threads = f"{cost.threads} thread{'s' if cost.threads > 1 else ''}"
    return (
        f"Measured on {len(cost.clips)} validation clips{length}, on {cost.device} with {threads}: "
        f"{'; '.join(cost.notes)}."
    )


def _last(curves: Mapping[str, RiskCurve], key: str) -> dict[str, RiskCurve]:
    """The same curves, with the one of ``key`` at the end."""
    return {**{k: v for k, v in curves.items() if k != key}, key: curves[key]}
