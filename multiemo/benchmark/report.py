"""The benchmark as one self-contained HTML page, and its main table as CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jinja2

from multiemo import plots
from multiemo.benchmark import tables
from multiemo.benchmark.document import BenchmarkResult
from multiemo.benchmark.measurements import CostReport
from multiemo.benchmark.robustness.plot import plot_robustness
from multiemo.calibration import RiskCurve
from multiemo.files import write_atomically
from multiemo.metrics import MAIN_FIGURE
from multiemo.report import caveat, constant_name, number, span
from multiemo.types import SUBSETS

_SECTIONS = {
    "results": "Results", "comparisons": "Paired tests", "leak": "Leak", "labels": "Labels",
    "calibration": "Calibration", "robustness": "Robustness", "cost": "Cost", "notes": "Notes", "protocol": "Protocol",
    "config": "Configuration",
}  # fmt: skip


def write_report(folder: Path, result: BenchmarkResult) -> Path:
    """Write ``report.html``, ``table.csv`` and ``table.tex`` into a benchmark folder.

    Args:
        folder: holds ``config.yaml``.
        result: the benchmark JSON.
    """
    main = MAIN_FIGURE[result.task]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    pictures = _plots(result, main)
    absent = {
        "comparisons": not result.comparisons,
        "leak": result.leak is None,
        "labels": not pictures["recall"],
        "calibration": not pictures["reliability"],
        "robustness": not pictures["robustness"],
        "notes": not result.notes,
    }
    page = environment.get_template("report.html").render(
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
        skipped=skipped_corruptions(result),
        plots=pictures,
        reads=tables.reads_sentence(result.reads),
        leak_reads=tables.reads_sentence(result.leak.reads) if result.leak is not None else "",
        number=number,
        span=span,
        config=(folder / "config.yaml").read_text("utf-8"),
    )
    write_atomically(folder / "report.html", page)
    write_atomically(folder / "table.csv", tables.csv_table(result))
    write_atomically(folder / "table.tex", tables.latex_table(result))
    return folder / "report.html"


def cost_table(cost: CostReport) -> dict[str, list[str]]:
    """Heads under ``head``, then {subset: cells}."""
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
            number(values.seconds),
            number(values.rtf),
            number(values.decode_rtf),
            "-" if values.peak_memory_mb is None else f"{values.peak_memory_mb:,.0f}",
            "-" if values.train_seconds is None else f"{values.train_seconds:,.0f}",
        ]
    return rows


def skipped_corruptions(result: BenchmarkResult) -> dict[str, list[str]]:
    """{reason: corruptions that were not measured for it}."""
    found: dict[str, list[str]] = {}
    for curve in result.robustness or ():
        names = found.setdefault(curve.skipped, [])
        if curve.corruption not in names:
            names.append(curve.corruption)
    found.pop("", None)
    return found


def _plots(result: BenchmarkResult, main: str) -> dict[str, str]:
    """Every picture as base64; empty where there is nothing to show."""
    heads, full = tables.heads_of(result.task), result.full
    systems, ours = result.systems, result.systems["multiemo"]
    figures = {name: {k: getattr(found[k], main) for k in SUBSETS if k in found} for name, found in systems.items()}
    cost = result.cost.subsets
    return {
        "subsets": plots.draw_points(
            figures,
            {name: {k: getattr(v, f"{main}_ci") for k, v in subsets.items()} for name, subsets in systems.items()},
            label=f"{heads[main]} with 95% interval over speakers",
            reference=(constant_name(result.task), getattr(result.majority, main)),
        ),
        "recall": plots.draw_heat({k: v.recall for k, v in ours.items() if v.recall}, result.label_set),
        "confusion": plots.draw_confusion(result.confusion, result.label_set) if result.confusion else "",
        "reliability": plots.draw_reliability(result.reliability) if result.reliability else "",
        "risk_coverage": plots.draw_risk_coverage(_last(result.risk_coverage, full)) if result.risk_coverage else "",
        "robustness": plot_robustness(result.robustness or []),
        "cost": plots.draw_scatter(
            {k: (v.seconds, figures["multiemo"][k]) for k, v in cost.items() if k in ours},
            x="seconds of preprocessing and model for one clip",
            y=heads[main],
            highlight=full,
        ),
    }


def _last(curves: Mapping[str, RiskCurve], key: str) -> dict[str, RiskCurve]:
    """The same curves, that of ``key`` at the end."""
    return {**{k: v for k, v in curves.items() if k != key}, key: curves[key]}
