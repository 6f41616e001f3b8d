"""The main table of a benchmark as text, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multiemo.benchmark.document import BenchmarkResult, ComparisonResult, Leak, SystemComparison
from multiemo.benchmark.explanations import HEADS, faithfulness_table
from multiemo.benchmark.imported.wording import SET_CAPTION, facts_of, set_rows
from multiemo.metrics import MAIN_FIGURE, Baseline
from multiemo.report import COLUMNS, format_interval, format_number, markdown
from multiemo.runs.folder.evaluation_log import describe_counts
from multiemo.tables.formulas import without_formula
from multiemo.types import SUBSETS

#: Errors and distances: the lowest value is the best.
_LOWER_IS_BETTER = ("cross_entropy", "js", "ece", "mae", "rmse")


def heads_of(task: str) -> dict[str, str]:
    """{figure: its column heading}, in order."""
    return COLUMNS[task] if task == "dimensions" else {**COLUMNS[task], "ece": "ECE"}


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the main table.

    Args:
        system: name of the system, or of the constant answer.
        subset, modalities: key of the subset, and names of its modalities; empty for constant answers.
        n: number of clips.
        figures: {name: value}, with intervals and deviations.
    """

    system: str
    subset: str
    modalities: str
    n: int
    figures: Mapping[str, Any]


def table_rows(result: BenchmarkResult) -> list[TableRow]:
    """Rows of the constant answers, then of every subset of every system."""
    if result.task == "dimensions":
        constant = {"mean of train": result.majority}
    else:
        constant = {"majority": result.majority, "prior": result.prior or Baseline()}
    rows = [TableRow(name, "", "", found.get("n", result.n), found) for name, found in constant.items()]
    for system, subsets in result.systems.items():
        rows += [
            TableRow(system, key, " + ".join(SUBSETS[key]), subsets[key].n, subsets[key])
            for key in SUBSETS
            if key in subsets
        ]
    return rows


def figures_in(result: BenchmarkResult) -> list[str]:
    """Names of the figures in the table, in order."""
    rows = table_rows(result)
    return [name for name in heads_of(result.task) if any(name in row.figures for row in rows)]


def summary(result: BenchmarkResult) -> str:
    """A finished benchmark as Markdown: table, tests, leak and notes."""
    lines = [caption_of(result), "", text_table(result)]
    for name, tests in result.comparisons.items():
        lines += ["", f"{name}:", comparison_table(tests)]
    if result.leak is not None:
        lines += ["", leak_sentence(result, result.leak)]
    if result.explanations is not None:
        lines += ["", "explanations:", *markdown([list(HEADS), *faithfulness_table(result.explanations)])]
    lines += ["", f"test parts: {reads_sentence(result.reads)}"]
    return "\n".join([*lines, *(f"note: {note}" for note in result.notes)])


def reads_sentence(reads: Mapping[str, Mapping[str, int]]) -> str:
    """How often the test parts of the folds were read, and by what; folds with equal counts are listed together.

    Example:
        >>> reads_sentence({"fold0": {"benchmark": 1}, "fold1": {"benchmark": 1}, "fold2": {"benchmark": 2}})
        'fold0, fold1: read once, by benchmark; fold2: read 2 times: benchmark 2'
    """
    folds_by_count: dict[str, list[str]] = {}
    for fold, times in reads.items():
        folds_by_count.setdefault(describe_counts(times), []).append(fold)
    if len(folds_by_count) == 1:
        return f"each {next(iter(folds_by_count))}"
    counts = "; ".join(f"{', '.join(folds)}: {count}" for count, folds in folds_by_count.items())
    return counts or "readings were not counted"


def leak_sentence(result: BenchmarkResult, leak: Leak) -> str:
    """The figure of the full subset on shuffled clips, and its difference to the split by people."""
    full, main = result.full, MAIN_FIGURE[result.task]
    head = heads_of(result.task)[main]
    test = next(t for t in leak.tests if t.subset == full)
    return (
        f"leak (one seed): folds of shuffled clips, with every person in train and test, claim {head} "
        f"{leak.shuffled[full][main]:.3f} for {full} instead of {leak.disjoint[full][main]:.3f}: "
        f"{test.difference:+.3f}, 95% interval {test.low:+.3f} .. {test.high:+.3f}, p = {test.p:.4f}"
    )


def comparison_rows(result: ComparisonResult) -> list[TableRow]:
    """A row for every subset of every compared system."""
    return [
        TableRow(name, key, " + ".join(SUBSETS.get(key, ())), values.n, values)
        for name, subsets in result.systems.items()
        for key, values in subsets.items()
    ]


def compared_figures(result: ComparisonResult) -> list[str]:
    """Names of the figures in the table of a comparison, in order."""
    return [name for name in heads_of(result.task) if any(name in row.figures for row in comparison_rows(result))]


def comparison(result: ComparisonResult) -> str:
    """The result of ``multiemo compare`` as Markdown."""
    main, heads, figures = MAIN_FIGURE[result.task], heads_of(result.task), compared_figures(result)
    lines = [["run", "subset", "n", *(heads[f] for f in figures), f"95% interval of {heads[main]}"]]
    for row in comparison_rows(result):
        cells = (format_number(row.figures.get(f)) for f in figures)
        lines.append([row.system, row.subset, str(row.n), *cells, format_interval(row.figures, main)])
    head = f"{result.n} test clips of {result.speakers} speakers"
    reads = [f"test part of {name}: {words}" for name, words in result.reads.items()]
    tests = ["", comparison_table(result.tests), "", *reads]
    return "\n".join([head, "", *markdown(lines), *_further_tables(result), *tests, *_imported_lines(result)])


def _further_tables(result: ComparisonResult) -> list[str]:
    """Tables of a comparison with predictions of other systems: missing answers as wrong, and answers as sets."""
    main = MAIN_FIGURE[result.task]
    lines: list[str] = []
    if result.missing_as_wrong:
        rows = [["all test clips, missing as wrong", "n", heads_of(result.task)[main], "95% interval"]]
        for name, values in result.missing_as_wrong.items():
            rows.append([name, str(values.n), format_number(values.get(main)), format_interval(values, main)])
        lines += ["", *markdown(rows)]
    if result.answer_sets:
        lines += ["", *markdown(set_rows(result.answer_sets)), "", SET_CAPTION]
    return lines


def _imported_lines(result: ComparisonResult) -> list[str]:
    """What is known of imported systems, and the notes."""
    lines: list[str] = []
    for name, system in (result.imported or {}).items():
        lines += ["", f"{name}:", *(f"  {fact}" for fact in facts_of(system))]
    notes = [f"note: {note}" for note in result.notes or ()]
    return [*lines, *([""] if notes else []), *notes]


def text_table(result: BenchmarkResult) -> str:
    """The main table as Markdown."""
    main = MAIN_FIGURE[result.task]
    figures, heads = figures_in(result), heads_of(result.task)
    head = ["system", "subset", "n"]
    for name in figures:
        head += [heads[name], "95% interval", "sd over seeds"] if name == main else [heads[name]]
    lines = [head]
    for row in table_rows(result):
        line = [row.system, row.subset or "-", str(row.n)]
        for name in figures:
            line.append(format_number(row.figures.get(name)))
            if name == main:
                line += [format_interval(row.figures, name), format_number(row.figures.get(f"{name}_sd"))]
        lines.append(line)
    return "\n".join(markdown(lines))


def comparison_table(tests: Sequence[SystemComparison]) -> str:
    """Paired tests as a Markdown table."""
    lines = [["comparison", "clips", "difference", "95% interval", "p", "p (Holm)", "detectable"]]
    lines += [
        [
            f"{t.first} - {t.second}",
            str(t.n),
            f"{t.difference:+.3f}",
            f"{t.low:+.3f} .. {t.high:+.3f}",
            f"{t.p:.4f}",
            f"{t.p_holm:.4f}",
            format_number(t.mdd),
        ]
        for t in tests
    ]
    return "\n".join(markdown(lines))


def csv_table(rows: Sequence[TableRow], figures: Sequence[str]) -> str:
    """A table as CSV; intervals and deviations have columns of their own.

    Args:
        rows: its rows.
        figures: names of the figures, in order.
    """
    columns = ["system", "subset", "modalities", "n"]
    for name in figures:
        columns += [name, f"{name}_low", f"{name}_high", f"{name}_sd"]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        ends = {
            f"{name}_{end}": value
            for name in figures
            for end, value in zip(("low", "high"), row.figures.get(f"{name}_ci", ()), strict=False)
        }
        named = {"system": without_formula(row.system), "subset": row.subset, "modalities": row.modalities}
        writer.writerow({**named, **row.figures, **ends})
    return out.getvalue()


def latex_table(result: BenchmarkResult) -> str:
    """The main table in LaTeX with ``booktabs``; the best figure of each column is in bold."""
    main = MAIN_FIGURE[result.task]
    figures = figures_in(result)
    rows = table_rows(result)
    best = {}
    for name in figures:
        values = [row.figures[name] for row in rows if row.figures.get(name) is not None]
        best[name] = (min if name in _LOWER_IS_BETTER else max)(values, default=None)
    heads = " & ".join(heads_of(result.task)[name] for name in figures)
    lines = [
        "% " + " ".join(caption_of(result).split()),
        r"\begin{tabular}{ll" + "r" * (len(figures) + 1) + "}",
        r"\toprule",
        rf"System & Modalities & $n$ & {heads} \\",
        r"\midrule",
    ]
    system = None
    for row in rows:
        if system not in (None, row.system) and row.subset:
            lines.append(r"\addlinespace")
        system = row.system
        cells = [_escaped(system), row.subset or "--", str(row.n)]
        for name in figures:
            value = row.figures.get(name)
            cell = "--" if value is None else f"{value:.3f}"
            if value is not None and value == best[name]:
                cell = rf"\textbf{{{cell}}}"
            low, high = row.figures.get(f"{name}_ci") or (None, None)
            if name == main and low is not None and high is not None:
                cell += rf" {{\scriptsize [{low:.3f}, {high:.3f}]}}"
            cells.append(cell)
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def caption_of(result: BenchmarkResult) -> str:
    """One sentence that describes the main table."""
    protocol, seeds = result.protocol, len(result.seeds)
    folds = len(protocol.folds)
    return (
        f"{result.name}: {result.corpus_kind} corpus, {result.n} test clips of {result.speakers} speakers, "
        f"{protocol.name} by {protocol.group_by} ({folds} {'folds' if folds > 1 else 'split'}), "
        f"{seeds} {'seeds' if seeds > 1 else 'seed'}; 95% intervals over speakers."
    )


def _escaped(text: str) -> str:
    """Text with the special characters of LaTeX escaped."""
    return "".join(f"\\{c}" if c in "&%$#_{}" else c for c in text)
