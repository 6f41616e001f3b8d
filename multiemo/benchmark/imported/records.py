"""Records of systems whose predictions were imported."""

from __future__ import annotations

from typing import Literal

from multiemo.metrics.results import Counted, Figure, Interval
from multiemo.records import Record, record


@record
class ImportedSystem(Record):
    """What a file of another system's predictions contains, and what became of it.

    Args:
        file: name of the file.
        sha256: SHA-256 digest of the file.
        form: what its rows hold: ``label``, ``probs`` (probabilities), ``labels`` (several labels), ``words`` (free
            text) or ``dimensions``.
        stated: whether it states probabilities; without them, calibration and figures of probabilities are unknown.
        answered: number of test clips with an answer.
        missing: number of test clips without one.
        missing_clips: ids of the first twenty of these.
        elsewhere: number of rows that belong to clips outside the test part; they are ignored.
        mapped: {answer: label that it counts as}, for spellings that are not labels of the set.
        outside: {answer: number of clips}, for answers that no label of the set covers; they count as wrong.
        notes: remarks for the reader of the results.
    """

    file: str
    sha256: str
    form: Literal["label", "probs", "labels", "words", "dimensions"]
    stated: bool
    answered: int
    missing: int
    missing_clips: list[str]
    elsewhere: int
    mapped: dict[str, str]
    outside: dict[str, int]
    notes: list[str]


@record
class AnswerSetFigures(Counted):
    """Figures of answers as sets of groups of emotion words; a label is a set of one group.

    Args:
        hit: share of the clips of which a true group is in the answer.
        precision: mean share of the groups in an answer that are true; 0 for an answer without groups.
        recall: mean share of the true groups that are in the answer.
        f1: harmonic mean of precision and recall.
        hit_ci, precision_ci, recall_ci, f1_ci: 95% intervals over speakers.
        size: mean number of groups in an answer.
        empty: number of answers without an emotion word.
    """

    hit: Figure
    hit_ci: Interval
    precision: Figure
    precision_ci: Interval
    recall: Figure
    recall_ci: Interval
    f1: Figure
    f1_ci: Interval
    size: float
    empty: int
