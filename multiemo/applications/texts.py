"""Adds columns of emotion to a table with a column of texts.

Only the text encoder is used. Rows are read and written in windows, so that memory does not grow with the table. Within
a window, texts of similar length share a batch, which keeps padding small.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import polars as pl

from multiemo.applications.tables import Writer, format_of, require_column
from multiemo.applications.text_model import BATCH, TextModel
from multiemo.data.dialogue import Dialogue
from multiemo.errors import ConfigError, ManifestError
from multiemo.predict import load
from multiemo.predict.prediction import ModelDescription
from multiemo.progress import Progress
from multiemo.records import Record, record
from multiemo.tables.delimited import BadRow
from multiemo.tables.reading import Row, open_table
from multiemo.types import ContextTurn

#: Number of rows that are read, predicted and written at a time.
WINDOW = 8192
#: Largest number of rows without a text that the report lists.
_EXAMPLES = 20


@record
class TextsReport(Record):
    """The summary of a prediction of texts; the predictions themselves are in the table that was written.

    Args:
        rows: number of rows that were read.
        predicted: number of rows that were predicted.
        without_text: {reason: number of rows without a prediction}.
        examples: {row: reason} for the first rows without a prediction.
        labels: {label: number of rows}, the most frequent first.
        failures: {position: reason} for rows that could not be read; they are not in the table.
        conversations: number of conversations; 0 if the rows are independent.
        notes: remarks on the table.
        seconds: duration of the prediction, seconds.
        rows_per_minute: number of rows a minute.
        out: path of the table that was written.
        model: the model that made the predictions.
    """

    rows: int
    predicted: int
    without_text: dict[str, int]
    examples: dict[str, str]
    labels: dict[str, int]
    failures: dict[str, str]
    conversations: int
    notes: list[str]
    seconds: float
    rows_per_minute: int
    out: str
    model: ModelDescription


class TableConversations:
    """Keeps the last turns of every conversation in a table, as many as the model reads.

    Args:
        width: number of earlier turns that the model reads.
        column: column that identifies the conversation of a row; ``None``: the rows are independent.
        speaker: column that identifies the speaker of a row; ``None``: all turns count as one speaker's.

    Raises:
        ConfigError: a column would have no effect.
    """

    def __init__(self, width: int, column: str | None, speaker: str | None) -> None:
        if column is None and speaker is not None:
            raise ConfigError(f"--speaker: {speaker!r} applies to conversations only; add --conversation")
        if column is not None and not width:
            raise ConfigError(
                f"--conversation: this model reads no earlier turns, so {column!r} would have no effect; leave it out, "
                "or give a model that was trained with encoders.text.context"
            )
        self._width, self._column, self._speaker = width, column, speaker
        self._dialogues: dict[str, Dialogue] = {}
        self._independent = 0

    def __len__(self) -> int:
        return len(self._dialogues)

    def before(self, row: Row, text: str | None) -> Sequence[ContextTurn]:
        """The turns before a row; call it for the rows of a conversation in order."""
        name = _cell_text(row, self._column)
        if name is None:
            self._independent += 1
            return ()
        if name not in self._dialogues:
            self._dialogues[name] = Dialogue(self._width)
        return self._dialogues[name].turn(_cell_text(row, self._speaker), text)

    def notes(self) -> list[str]:
        """Remarks for the user, once all rows have been read."""
        if self._column is None and not self._width:
            return []
        if self._column is None:
            return [
                f"the model reads up to {self._width} earlier turns of a conversation, but no conversation was given; "
                "name the column that identifies it with --conversation"
            ]
        notes: list[str] = []
        if self._independent:
            notes.append(f"{self._independent} rows have no {self._column!r} and were read without earlier turns")
        if self._speaker is None:
            notes.append("all turns of a conversation were read as one speaker's; name the speakers with --speaker")
        return notes


def _cell_text(row: Row, column: str | None) -> str | None:
    """The text in a cell; ``None`` if it is blank or there is no column."""
    value = None if column is None else row.get(column)
    return None if value is None else str(value).strip() or None


def predict_texts(
    run: str | Path,
    table: str | Path,
    *,
    column: str,
    out: str | Path,
    id_column: str | None = None,
    conversation: str | None = None,
    speaker: str | None = None,
    batch: int = BATCH,
    device: str = "auto",
    progress: Progress | None = None,
) -> TextsReport:
    """Add the emotion of a text column to every row of a table.

    The rows are written in the order of the table, with all of their own values. A row whose text is missing, empty or
    unknown to the tokenizer gets empty columns and is counted by the reason. A row that cannot be read (too many cells
    in a CSV, a line that is not JSON) is left out and reported.

    Args:
        run: run folder or model folder with a text encoder.
        table: CSV with any separator, JSON lines, Parquet or Excel; in any encoding (see
            :func:`multiemo.tables.reading.open_table`).
        column: column of the texts.
        out: table to write, in the format of its suffix; it appears when it is complete.
        id_column: column that identifies rows without a text in the report; by default the row number.
        conversation: column that identifies the conversation of a row, for a model that reads earlier turns. The rows
            of a conversation must be in order; rows of others may be between them. A row without a value has no turns.
        speaker: column that identifies the speaker of a row.
        batch: largest number of texts in a batch.
        device: see :func:`multiemo.load`.
        progress: receives the progress.

    Returns:
        The summary; the predictions are in ``out``.

    Raises:
        ConfigError: the model does not read text, or no earlier turns although ``conversation`` is given; a column is
            missing or would be overwritten; or the format is unknown.
        ManifestError: the table does not exist, is no table, or has no row that can be read.
        CheckpointError: the folder holds no finished model.
    """
    progress = progress or Progress()
    source, target = Path(table), Path(out)
    progress.stage("load")
    format_of(target)
    if target.exists() and target.resolve() == source.resolve():
        raise ConfigError(f"{target}: is the table to read; write to another file")
    given = open_table(source)
    columns = dict.fromkeys(given.columns, pl.String()) if given.all_text else given.columns
    for name in (column, id_column, conversation, speaker):
        if name is not None:
            require_column(source, columns, name)
    predictor = load(run, device=device)
    model = TextModel(predictor, batch=batch)
    conversations = TableConversations(predictor.context, conversation, speaker)
    _refuse_overwriting(source, [dict.fromkeys(columns)], model.columns)
    progress.stage("predict")
    began = time.perf_counter()
    total, reasons, labels = 0, Counter[str](), Counter[str]()
    examples: dict[str, str] = {}
    failures: dict[str, str] = {}
    rows = _readable(given.rows, failures)
    with Writer(target, columns | model.columns) as writer:
        while window := list(islice(rows, WINDOW)):
            _refuse_overwriting(source, window, model.columns)
            texts = [_text(source, row, column, total + i + 1) for i, row in enumerate(window)]
            before = [conversations.before(row, text) for row, text in zip(window, texts, strict=True)]
            for i, (row, added) in enumerate(zip(window, model.predict(texts, before), strict=True)):
                if isinstance(added, str):
                    reasons[added] += 1
                    if len(examples) < _EXAMPLES:
                        examples[str(row.get(id_column)) if id_column else f"row {total + i + 1}"] = added
                    added = dict.fromkeys(model.columns)
                elif "emotion" in added:
                    labels[added["emotion"]] += 1
                row.update(added)
            if format_of(target) in (".csv", ".tsv"):
                _join_labels(window)
            writer.write(window)
            total += len(window)
            progress.update(total, total)
        if failures and not total:
            place, reason = next(iter(failures.items()))
            raise ManifestError(f"{source} {place}: {reason} (none of its {len(failures)} rows can be read)")
    seconds = time.perf_counter() - began
    return TextsReport(
        rows=total,
        predicted=total - sum(reasons.values()),
        without_text=dict(reasons.most_common()),
        examples=examples,
        labels=dict(labels.most_common()),
        failures=failures,
        conversations=len(conversations),
        notes=[*given.notes, *conversations.notes()],
        seconds=round(seconds, 3),
        rows_per_minute=round(60 * total / seconds),
        out=str(target),
        model=predictor.describe(),
    )


def _readable(rows: Iterable[Row | BadRow], failures: dict[str, str]) -> Iterator[Row]:
    """The rows that can be read; the others are added to ``failures``."""
    for row in rows:
        if isinstance(row, BadRow):
            failures[row.place] = row.reason
        else:
            yield row


def _text(path: Path, row: Row, column: str, number: int) -> str | None:
    """The text of a row.

    Raises:
        ConfigError: the cell contains something else.
    """
    text = row.get(column)
    if text is None or isinstance(text, str):
        return text
    raise ConfigError(f"{path} row {number}: {column!r} is {text!r}, which is not text; name the column of the texts")


def _refuse_overwriting(path: Path, rows: Sequence[Row], added: Iterable[str]) -> None:
    """Refuse to overwrite columns, such as those of an earlier prediction.

    Raises:
        ConfigError: the table already has one of the columns.
    """
    taken = [name for name in added if any(name in row for row in rows)]
    if taken:
        names = ", ".join(map(repr, taken))
        raise ConfigError(f"{path}: already has {names}, which would be overwritten; rename or remove these columns")


def _join_labels(rows: Sequence[Row]) -> None:
    """Join several labels into one text, for the cell of a CSV."""
    for row in rows:
        if isinstance(labels := row.get("emotion_labels"), list):
            row["emotion_labels"] = ";".join(labels)
