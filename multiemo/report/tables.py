"""Tables of an evaluation as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from multiemo.evaluation.report import CalibrationReport, Report
from multiemo.metrics import MAIN_FIGURE, PairedTest
from multiemo.types import SUBSETS

_CAVEATS = {"synthetic": "synthetic media: the figures say nothing about people",
            "composite": "composite corpus (modalities of different people paired by label): the figures say nothing "
                         "about one person's text, voice and face"}  # fmt: skip

#: {task: {figure: column heading}} of the tables; the first figure is the one that comparisons test.
COLUMNS = {
    "single": {"uar": "UAR", "macro_f1": "macro F1", "wf1": "WF1", "accuracy": "accuracy"},
    "soft": {"uar": "UAR", "macro_f1": "macro F1", "cross_entropy": "cross-entropy", "js": "JS", "cosine": "cosine"},
    "multi": {"macro_f1": "macro F1", "micro_f1": "micro F1", "map": "mAP", "uar": "UAR", "wf1": "WF1"},
    "dimensions": {"ccc": "CCC", "pearson": "Pearson", "mae": "MAE", "rmse": "RMSE"},
}


def caveat(corpus_kind: str) -> str:
    """Warning beside the figures of a synthetic or composite corpus; empty for recordings of people."""
    return _CAVEATS.get(corpus_kind, "")


def figure_name(report: Report, figure: str | None = None) -> str:
    """Column heading of a figure; of the task's main figure by default."""
    return COLUMNS[report.task][figure or MAIN_FIGURE[report.task]]


def table_rows(report: Report) -> list[list[str]]:
    """The header, a row for each constant answer (majority label or mean, guessing), and a row for each subset."""
    main, *others = COLUMNS[report.task]
    heads = [COLUMNS[report.task][name] for name in others]
    errors = {} if report.task == "dimensions" else {"ece_raw": "ECE raw", "ece": "ECE"}
    rows = [["subset", "modalities", "n", figure_name(report), "95% interval", *heads, *errors.values()]]
    always = constant_name(report.task, report.majority.get("label"))
    bases = [(always, report.majority), ("guessing as in train", report.prior)]
    named = [(key, " + ".join(SUBSETS[key]), values) for key, values in report.subsets.items()]
    for key, name, values in [*(("-", *base) for base in bases if base[1]), *named]:
        cells = (format_number(values.get(k)) for k in (*others, *errors))
        rows.append(
            [
                key,
                name,
                str(values.get("n", report.n)),
                format_number(values.get(main)),
                format_interval(values, main),
                *cells,
            ]
        )
    return rows


def constant_name(task: str, label: str | None = None) -> str:
    """Name of the constant answer in tables and plots."""
    if task == "dimensions":
        return "mean of train"
    return f"majority ({label})" if label else "majority class"


def interval_rows(report: Report) -> list[list[str]]:
    """The header, and for each subset a row of all figures with their intervals."""
    columns = COLUMNS[report.task]
    measured = {key: values for key, values in report.subsets.items() if f"{next(iter(columns))}_ci" in values}
    rows = [[f"{format_number(v[k])} ({format_interval(v, k)})" for k in columns] for v in measured.values()]
    return [["subset", *columns.values()], *([key, *row] for key, row in zip(measured, rows, strict=True))]


def format_number(value: Any) -> str:
    """A value to three decimals; a dash if it is unknown or undefined."""
    return f"{value:.3f}" if isinstance(value, int | float) and math.isfinite(value) else "-"


def format_interval(values: Mapping[str, Any], figure: str) -> str:
    """The interval of a figure as ``low .. high``; a dash if it has none."""
    ends = [format_number(end) for end in values.get(f"{figure}_ci") or (None, None)]
    return "-" if "-" in ends else " .. ".join(ends)


def comparison_text(report: Report, pair: str) -> str:
    """A paired test on one line: difference, interval, p-values and the smallest detectable difference.

    Args:
        report: holds the test.
        pair: its key in ``comparisons``, such as ``TSF-S``.
    """
    test = report.comparisons[pair]
    units = "speakers" if test.speakers > 1 else "clips"
    how = f"permutation of {units}" if test.test == "swaps" else "Student's t"
    detectable = (
        f"a difference of {test.mdd:.3f} would be found 4 times out of 5"
        if test.mdd is not None
        else f"no detectable difference can be computed: {reason_without_mdd(test)}"
    )
    return (
        f"{figure_name(report)} {test.difference:+.3f}, 95% interval {test.low:+.3f} .. {test.high:+.3f}, "
        f"{how} p = {test.p:.4f} (Holm: {test.p_holm:.4f}); {detectable}"
    )


def reason_without_mdd(test: PairedTest) -> str:
    """Why the minimum detectable difference of a paired test is not defined."""
    if test.error != 0:
        return "there is only one clip"
    units = f"all {test.speakers} speakers" if test.speakers > 1 else "all clips"
    return f"{units} show {'no' if test.difference == 0 else 'the same'} difference"


def format_table(report: Report) -> str:
    """The subset table, the test against the best modality, and the notes, as Markdown."""
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
        lines += ["", *_coverage_lines(report, report.calibration)]
    for name, values in report.dimensions.items():
        figures = (
            f"{n} {format_number(values[k])} ({format_interval(values, k)})"
            for k, n in (("ccc", "CCC"), ("mae", "MAE"))
        )
        lines.append(f"{name}: {', '.join(figures)}, n = {values.n}")
    lines += [f"note: {note}" for note in report.notes]
    return "\n".join(lines)


def best_single(report: Report) -> str | None:
    """The single modality with the highest main figure that has a paired test against the full subset."""
    singles = [k for k in report.subsets if len(k) == 1 and f"{report.full}-{k}" in report.comparisons]
    return max(singles, key=lambda k: float(getattr(report.subsets[k], MAIN_FIGURE[report.task])), default=None)


def _coverage_lines(report: Report, calibration: CalibrationReport) -> list[str]:
    """For each subset with an abstention threshold: the share of clips that get a label, and their error rate."""
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


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table with aligned columns; the first row is the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return lines
