"""Read a file of another system's predictions on the test clips of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multiemo.benchmark.imported.answers import AnswerParser, ImportedAnswer
from multiemo.benchmark.imported.clip_names import ClipNames
from multiemo.benchmark.imported.columns import answer_columns
from multiemo.benchmark.imported.records import ImportedSystem
from multiemo.benchmark.predictions import Predictions
from multiemo.errors import ManifestError
from multiemo.evaluation.imported import examples, prediction_rows
from multiemo.runs.folder.required_files import file_digest
from multiemo.tables.reading import Row, open_table
from multiemo.types import Task

#: Key of an imported system's figures, in place of a subset: its modalities are unknown.
IMPORTED = "imported"
#: Number of missing clips, mapped and outside answers that a result lists.
_LISTED = 20


@dataclass(frozen=True, slots=True)
class ImportedPredictions:
    """The predictions of another system on the test clips of a run.

    Args:
        predictions: on all test clips; clips without an answer have NaN.
        answered: ``[N]``, whether each clip has an answer.
        groups: {clip: groups of the answer}; ``None`` if answers are single labels.
        facts: what the file contains.
    """

    predictions: Predictions
    answered: NDArray[np.bool_]
    groups: dict[str, frozenset[str]] | None
    facts: ImportedSystem


def read_imported(
    path: Path, tested: Predictions, names: ClipNames, labels: Sequence[str], task: Task
) -> ImportedPredictions:
    """Read the predictions of another system.

    Args:
        path: JSON Lines, CSV, TSV, Parquet or Excel; see docs/benchmark.md for its columns.
        tested: predictions of the run: ids, speakers and targets of the test clips.
        names: finds the clip of a row.
        labels: labels of the run in order; empty for dimensions.
        task: task of the run.

    Raises:
        ManifestError: the file cannot be read, or a row names an unknown, ambiguous or repeated clip, or has an invalid
            answer; the message has the first examples.
    """
    table = open_table(path)
    columns = answer_columns(list(table.columns), labels, task, str(path))
    rows, elsewhere = _rows_by_clip(prediction_rows(table), columns.clip, names, path)
    parser = AnswerParser(columns, labels, task, str(path))
    answers = {clip: answer for clip, row in rows.items() if (answer := parser.answer(clip, row)) is not None}
    parser.check()
    if not answers:
        raise ManifestError(f"{path}: answers none of the {len(tested.ids)} test clips; check its clips and answers")
    missing = [clip for clip in tested.ids if clip not in answers]
    stated = task == "dimensions" or parser.all_stated(answers.values())
    facts = ImportedSystem(
        file=path.name,
        sha256=file_digest(path),
        form=columns.form,
        stated=stated,
        answered=len(answers),
        missing=len(missing),
        missing_clips=missing[:_LISTED],
        elsewhere=elsewhere,
        mapped=dict(list(parser.reader.mapped.items())[:_LISTED]),
        outside=dict(parser.reader.outside.most_common(_LISTED)),
        notes=[*table.notes, *parser.notes()],
    )
    groups = {clip: answer.groups for clip, answer in answers.items() if answer.groups is not None}
    return ImportedPredictions(
        _predictions(str(path), tested, answers, task, stated=stated),
        np.array([clip in answers for clip in tested.ids]),
        groups or None,
        facts,
    )


def _rows_by_clip(
    rows: Iterable[tuple[str, Row]], column: str, names: ClipNames, path: Path
) -> tuple[dict[str, Row], int]:
    """{test clip: its row}, and the number of rows of clips outside the test part.

    Args:
        rows: (place for messages, row).
        column: the column that names the clip.
        names: finds the clip.
        path: the file, for messages.

    Raises:
        ManifestError: rows name no clip of the run, several, or one that has a row already.
    """
    found: dict[str, Row] = {}
    unknown, ambiguous, repeated = list[str](), list[str](), list[str]()
    elsewhere = 0
    for _, row in rows:
        name = row.get(column)
        clips = [] if name is None else names.find(str(name))
        if len(clips) > 1:
            ambiguous.append(f"{name!r} may be {clips[0]!r} or {clips[1]!r}")
        elif not clips:
            unknown.append(repr(name))
        elif not names.is_tested(clips[0]):
            elsewhere += 1
        elif clips[0] in found:
            repeated.append(repr(name))
        else:
            found[clips[0]] = row
    for problem, names_of, advice in (
        (
            "name no clip of the run",
            unknown,
            names.problem or "use the ids of `multiemo compare RUN --clips OUT.jsonl`",
        ),
        ("name several clips", ambiguous, "use the ids of the clips"),
        ("name a clip for the second time", repeated, "give each clip one row"),
    ):
        if names_of:
            raise ManifestError(f"{path}: {len(names_of)} rows {problem} ({examples(names_of)}); {advice}")
    return found, elsewhere


def _predictions(
    name: str, tested: Predictions, answers: Mapping[str, ImportedAnswer], task: Task, *, stated: bool
) -> Predictions:
    """The answers as predictions on all test clips.

    Args:
        name: name of the system.
        tested: predictions of the run.
        answers: {clip: answer}.
        task: task of the run.
        stated: whether every answer has probabilities; if not, the decided label has all of it.
    """
    classes = tested.target.shape[1]
    values = np.full((1, *tested.target.shape), np.nan)
    shape = values.shape if task == "multi" else values.shape[:2]
    decided = np.full(shape, -1, dtype=np.int64)
    for row, clip in enumerate(tested.ids):
        answer = answers.get(clip)
        if answer is None:
            continue
        if answer.decided is not None:
            decided[0, row] = answer.decided
        values[0, row] = answer.values if stated else certain(answer.decided, classes)
    labels = {} if task == "dimensions" else {IMPORTED: decided}
    return Predictions(
        name, tested.ids, tested.speakers, tested.target, {IMPORTED: values}, decided=labels, stated=stated
    )


def require_answers(imported: Sequence[ImportedPredictions]) -> None:
    """Refuse files that lack answers for test clips.

    Raises:
        ManifestError: one lacks some; the message has the first clips.
    """
    for found in imported:
        facts = found.facts
        if facts.missing:
            clips = examples([repr(clip) for clip in facts.missing_clips])
            raise ManifestError(
                f"{found.predictions.name}: {facts.missing} of {len(found.answered)} test clips have no answer (first: "
                f"{clips}); add them, or compare on the clips with answers by --allow-missing, which also reports the "
                "figures with the missing ones as wrong"
            )


def missing_as_wrong(found: ImportedPredictions, task: Task) -> Predictions:
    """The predictions on all test clips, where those without an answer are wrong: none of the labels.

    Args:
        found: predictions of labels.
        task: task of the run.
    """
    predictions, classes = found.predictions, found.predictions.target.shape[1]
    values, decided = predictions.probabilities[IMPORTED].copy(), predictions.decided[IMPORTED].copy()
    nothing: int | NDArray[np.int64] = np.zeros(classes, dtype=np.int64) if task == "multi" else classes
    decided[:, ~found.answered] = nothing
    values[:, ~found.answered] = certain(nothing, classes)
    return replace(predictions, probabilities={IMPORTED: values}, decided={IMPORTED: decided}, stated=False)


def certain(decided: int | NDArray[np.int64] | None, classes: int) -> NDArray[np.float64]:
    """``[C]``: all probability on the decided label or labels; evenly spread if no label covers the answer.

    Args:
        decided: index of the label, C if none covers the answer, or ``[C]`` zeros and ones.
        classes: number of labels C.
    """
    if not isinstance(decided, int):
        return np.asarray(decided, dtype=np.float64)
    return np.full(classes, 1 / classes) if decided == classes else np.eye(classes)[decided]
