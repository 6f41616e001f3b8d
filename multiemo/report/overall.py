"""The explanation of a model as a whole, as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path

import jinja2

from multiemo.explanation.overall.records import LabelCues, ModelExplanation
from multiemo.files import write_atomically
from multiemo.report.tables import COLUMNS, caveat, format_number


def write_model_page(explanation: ModelExplanation, path: Path) -> None:
    """Write the page.

    Args:
        explanation: from :func:`multiemo.explanation.overall.measure.explain_run`.
        path: file to write.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    cues: dict[str, list[LabelCues]] = {}
    for found in explanation.cues:
        cues.setdefault(found.label, []).append(found)
    page = environment.get_template("overall.html").render(
        x=explanation,
        cues=cues,
        caveat=caveat(explanation.corpus_kind),
        figure=COLUMNS[explanation.task][explanation.groups.figure],
        number=format_number,
    )
    write_atomically(path, page)
