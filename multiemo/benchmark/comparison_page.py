"""A comparison as one self-contained HTML page, as CSV and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from multiemo.benchmark import tables
from multiemo.benchmark.document import ComparisonResult
from multiemo.benchmark.imported.wording import SET_CAPTION, facts_of, set_rows
from multiemo.files import write_atomically
from multiemo.metrics import MAIN_FIGURE
from multiemo.pages import page_template
from multiemo.plots import draw_bars
from multiemo.report import caveat, format_interval, format_number


def write_comparison(folder: Path, result: ComparisonResult) -> Path:
    """Write ``comparison.html``, ``comparison.csv`` and ``comparison.json``.

    Args:
        folder: folder to write; it is created if missing.
        result: the comparison.

    Returns:
        The path of the page.
    """
    main = MAIN_FIGURE[result.task]
    head = tables.heads_of(result.task)[main]
    rows = tables.comparison_rows(result)
    largest = {name: max(subsets, key=len) for name, subsets in result.systems.items()}
    figures = {f"{Path(name).name} {key}": result.systems[name][key] for name, key in largest.items()}
    known = {name: values for name, values in figures.items() if values.get(main) is not None}
    plot = draw_bars(
        {name: values[main] for name, values in known.items()},
        {name: ends for name, values in known.items() if None not in (ends := values[f"{main}_ci"])},
        label=f"{head} with 95% interval over speakers",
        highlight=next(iter(known), None),
    )
    page = page_template(Path(__file__).with_name("comparison.html")).render(
        r=result,
        caveat=caveat(result.corpus_kind),
        rows=rows,
        figures=tables.compared_figures(result),
        heads=tables.heads_of(result.task),
        main=main,
        largest=largest,
        plot=plot,
        set_rows=set_rows(result.answer_sets) if result.answer_sets else [],
        set_caption=SET_CAPTION,
        facts_of=facts_of,
        number=format_number,
        interval=format_interval,
    )
    write_atomically(folder / "comparison.html", page)
    write_atomically(folder / "comparison.csv", tables.csv_table(rows, tables.compared_figures(result)))
    write_atomically(folder / "comparison.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return folder / "comparison.html"
