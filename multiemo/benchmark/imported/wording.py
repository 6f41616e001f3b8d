"""Sentences about imported systems, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multiemo.benchmark.imported.records import AnswerSetFigures, ImportedSystem
from multiemo.labels.wheel import WHEEL_SOURCE
from multiemo.report import format_interval, format_number

_FORMS = {
    "label": "one label for each clip",
    "probs": "probabilities",
    "labels": "several labels for each clip",
    "words": "free words",
    "dimensions": "valence, arousal or dominance",
}
#: Answers that a sentence quotes, and their length in characters.
_QUOTED, _LENGTH = 6, 60
#: {figure: column heading} of answers as sets.
SET_COLUMNS = {"hit": "hit rate", "precision": "precision", "recall": "recall", "f1": "F"}
SET_CAPTION = (
    f"Emotion words are grouped by {WHEEL_SOURCE} and the labels of the run. A label is a set of one group. Hit: a "
    "true group is in the answer. Precision, recall: mean over clips; F: of these two means. More groups per answer "
    "raise hit rate and recall, and lower precision."
)


def facts_of(system: ImportedSystem) -> list[str]:
    """What a file of predictions contains, and what became of it, one sentence each."""
    lines = [f"gives {_FORMS[system.form]}; {system.answered} test clips answered (sha256 {system.sha256[:12]})"]
    if system.missing:
        lines.append(f"{system.missing} test clips without an answer: {_listed(system.missing_clips, system.missing)}")
    if system.elsewhere:
        lines.append(f"{system.elsewhere} rows of clips outside the test part were ignored")
    if system.mapped:
        pairs = [f"{_short(answer)} → {label}" for answer, label in system.mapped.items()]
        lines.append(f"answers counted as labels: {_listed(pairs, len(pairs))}")
    if system.outside:
        counts = [f"{_short(answer)} ({count})" for answer, count in system.outside.items()]
        lines.append(f"answers that no label covers, which count as wrong: {_listed(counts, len(counts))}")
    if not system.stated and system.form != "dimensions":
        lines.append("not every answer states probabilities of the labels, so its calibration is unknown")
    return [*lines, *system.notes]


def set_rows(figures: Mapping[str, AnswerSetFigures]) -> list[list[str]]:
    """The header, and a row for each system, of figures of answers as sets."""
    rows = [["system", "n", *SET_COLUMNS.values(), "groups per answer", "without a word"]]
    for name, values in figures.items():
        cells = [f"{format_number(values[key])} ({format_interval(values, key)})" for key in SET_COLUMNS]
        rows.append([name, str(values.n), *cells, f"{values.size:.2f}", str(values.empty)])
    return rows


def _listed(found: Sequence[str], total: int) -> str:
    shown = found[:_QUOTED]
    return ", ".join(shown) + (f" and {total - len(shown)} more" if total > len(shown) else "")


def _short(answer: str) -> str:
    return repr(answer if len(answer) <= _LENGTH else f"{answer[:_LENGTH]}...")
