"""The explanation of a model as a whole, as one self-contained HTML page and as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from multiemo.explanation.overall.records import LabelCues, ModelExplanation
from multiemo.files import write_atomically
from multiemo.pages import page_template
from multiemo.report.tables import COLUMNS, caveat, format_number

#: Cues of a label, confusions and groups that the terminal shows.
_SHORT = 3


def write_model_page(explanation: ModelExplanation, path: Path) -> None:
    """Write the page.

    Args:
        explanation: from :func:`multiemo.explanation.overall.measure.explain_run`.
        path: file to write.
    """
    cues: dict[str, list[LabelCues]] = {}
    for found in explanation.cues:
        cues.setdefault(found.label, []).append(found)
    effects = explanation.effects
    known = {} if effects is None else effects.by_label
    rows = [(label, known[label]) for label in explanation.labels if label in known]
    rows += [] if effects is None else [("all", effects.overall)]
    page = page_template(Path(__file__).with_name("overall.html")).render(
        x=explanation,
        cues=cues,
        effects=rows,
        caveat=caveat(explanation.corpus_kind),
        figure=COLUMNS[explanation.task][explanation.groups.figure],
        number=format_number,
    )
    write_atomically(path, page)


def model_lines(explanation: ModelExplanation) -> Iterator[str]:
    """The explanation in short, line by line for a terminal."""
    x = explanation
    yield f"{x.name}: {x.part} part of {x.corpus} ({x.corpus_kind}), {x.clips} clips of {x.speakers} speakers"
    if x.effects is not None:
        for m, effect in x.effects.overall.contribution.items():
            low, high = effect.signed.interval
            yield f"{m} contributes {effect.signed.mean:+.3f} [{low:+.3f}, {high:+.3f}] to the decided label"
    for found in x.cues:
        names = ", ".join(f"{cue.name} {cue.score.mean:+.2f}" for cue in found.cues_for[:_SHORT])
        if names:
            yield f"{found.label}, {found.modality} by {found.unit}: {names}"
    for confusion in x.confusions[:_SHORT]:
        yield f"{confusion.truth} taken for {confusion.said}: {confusion.clips} clips ({confusion.share:.0%})"
    for group in x.groups.groups[:_SHORT]:
        low, high = group.interval
        figure = COLUMNS[x.task][x.groups.figure]
        yield f"{group.attribute} {group.value}: {figure} {group.figure:.3f} [{low:.3f}, {high:.3f}], {group.n} clips"
    for view in () if x.faithfulness is None else x.faithfulness.views:
        low, high = view.deletion.interval
        gain = f"deletion {view.deletion.mean:+.3f} [{low:+.3f}, {high:+.3f}] over random"
        yield f"evidence of {view.modality} by {view.unit}: {gain}, {view.trust}"
    for note in x.notes:
        yield f"note: {note}"
