"""Texts in bulk: a column of a table in, the same rows with columns of emotion out.

Only the text encoder runs. Rows are read and written in windows, so that memory does not grow with the table; within a
window texts of similar length go through the model together, which leaves little padding.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from multiemo.applications.tables import Writer, format_of, require_column
from multiemo.calibration import UNCERTAIN
from multiemo.data.dialogue import Dialogue
from multiemo.errors import ConfigError, ManifestError
from multiemo.evaluation import probabilities_of
from multiemo.inputs.material import Utterance
from multiemo.inputs.text import TextInput
from multiemo.predict import Predictor, load
from multiemo.predict.prediction import ModelDescription
from multiemo.progress import Progress
from multiemo.records import Record, record
from multiemo.tables.delimited import BadRow
from multiemo.tables.reading import Columns, Row, open_table
from multiemo.types import DIMENSIONS, Absent, ContextTurn, Output, Sample

#: Rows that are read, answered and written at a time.
WINDOW = 8192
#: Most texts that go through the model together.
BATCH = 128
#: Most tokens, padding counted, that do.
_TOKENS = 16384
#: Rows without a text that the summary names.
_NAMED = 20


@record
class TextsReport(Record):
    """What was done with a table of texts; the predictions are in the table that was written.

    Args:
        rows: that were read.
        predicted: that have an emotion now.
        without_text: {reason: rows that have none}.
        examples: {row: reason} of the first of these.
        labels: {label: rows}, the most frequent first.
        failures: {place: reason} of rows that could not be read; they are left out of the table.
        conversations: how many there are; 0 where each row stands alone.
        notes: what the user may want to know.
        seconds: that prediction took.
        rows_per_minute: its speed.
        out: path of the table that was written.
        model: which model.
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


class TextModel:
    """What a model says of texts alone; as ``Predictor.predict`` says of them in a manifest, for many.

    Args:
        predictor: a loaded model.
        batch: most texts that go through the model together.

    Raises:
        ConfigError: the model does not read text.
    """

    def __init__(self, predictor: Predictor, *, batch: int = BATCH) -> None:
        reader = predictor.bundle.inputs.get("text")
        if not isinstance(reader, TextInput):
            name, reads = predictor.bundle.config.name, ", ".join(predictor.model.modalities)
            raise ConfigError(f"{name}: this model reads {reads}, not words; give one that does")
        self._words, self._predictor, self._batch = reader, predictor, batch
        self._multi = predictor.model.task == "multi"
        self._learnt = predictor.model.learnt_dimensions
        numbers = ("emotion_prob", *(f"p_{label}" for label in predictor.labels))
        labelled: Columns = {
            "emotion": pl.String(),
            "emotion_best": pl.String(),
            **dict.fromkeys(numbers, pl.Float64()),
            **({"emotion_labels": pl.List(pl.String)} if self._multi else {}),
        }
        #: What is added to a row: ``emotion`` (or ``uncertain``), the most probable label and its probability, the
        #: probability of each label, then ``emotion_labels`` (several at once) and the dimensions of models with them;
        #: of models without labels the dimensions alone.
        self.columns: Columns = {
            **({} if predictor.model.task == "dimensions" else labelled),
            **{DIMENSIONS[c]: pl.Float64() for c in self._learnt},
        }

    def answer(self, texts: Sequence[str | None], before: Sequence[Sequence[ContextTurn]]) -> list[Row | str]:
        """For each text, after the turns ``before`` it, the added columns, or why there are none."""
        turns = zip(texts, before, strict=True)
        read = [Absent("no text") if text is None else self._words.make(Utterance(text, said)) for text, said in turns]
        answers: list[Row | str] = [_reason(r) if isinstance(r, Absent) else {} for r in read]
        waiting = [(i, r.tensor) for i, r in enumerate(read) if not isinstance(r, Absent)]
        waiting.sort(key=lambda one: -len(one[1]))
        while waiting:
            count = max(1, min(self._batch, _TOKENS // len(waiting[0][1])))
            some, waiting = waiting[:count], waiting[count:]
            for (i, _), said in zip(some, self._classify([tokens for _, tokens in some]), strict=True):
                answers[i] = said
        return answers

    @torch.inference_mode()
    def _classify(self, tokens: Sequence[Tensor]) -> Iterator[Row]:
        predictor = self._predictor
        model, calibration = predictor.model, predictor.calibration
        unknown = torch.full((len(DIMENSIONS),), float("nan"))
        samples = [Sample("", "", "", {"text": t}, {}, None, unknown) for t in tokens]
        output = predictor.run(samples)
        keys = ["T"] * len(tokens)
        if model.task == "dimensions":
            yield from (dict(zip(self.columns, row, strict=True)) for row in self._dimensions(output).tolist())
            return
        exact = calibration.scaled(keys, probabilities_of(output.logits, model.task).numpy(), model.task)
        chosen = calibration.decide(keys, exact, model.task)
        probabilities = exact.round(6)
        dimensions = self._dimensions(output)
        for i, best in enumerate((exact.argmax(1) if self._multi else chosen).tolist()):
            row, label = probabilities[i].tolist(), predictor.labels[best]
            given = calibration.answers("T", float(exact[i, best]))
            said: list[Any] = [label if given else UNCERTAIN, label, row[best], *row]
            if self._multi:
                said.append([name for name, given in zip(predictor.labels, chosen[i], strict=True) if given])
            yield dict(zip(self.columns, [*said, *dimensions[i].tolist()], strict=True))

    def _dimensions(self, output: Output) -> NDArray[np.float64]:
        """``[N, K]`` values of the K dimensions that were learnt."""
        if output.dimensions is None:
            return np.zeros((len(output.logits), 0))
        values = output.dimensions[:, self._learnt].double().cpu().numpy()
        return np.asarray(values.round(4), dtype=np.float64)


class TableConversations:
    """The conversations of a table; of each the last turns that the model reads are kept.

    Args:
        width: turns that the model reads.
        column: that says which conversation a row is of; without it each row stands alone.
        speaker: the column that says who speaks.

    Raises:
        ConfigError: a column that could have no effect.
    """

    def __init__(self, width: int, column: str | None, speaker: str | None) -> None:
        if column is None and speaker is not None:
            raise ConfigError(f"--speaker: {speaker!r} says who speaks in a conversation: give --conversation too")
        if column is not None and not width:
            raise ConfigError(
                f"--conversation: this model reads no earlier turns, so {column!r} would change nothing; leave it out, "
                "or give a model that was trained with encoders.text.context"
            )
        self._width, self._column, self._speaker = width, column, speaker
        self._dialogues: dict[str, Dialogue] = {}
        self._alone = 0

    def __len__(self) -> int:
        return len(self._dialogues)

    def before(self, row: Row, text: str | None) -> Sequence[ContextTurn]:
        """The turns before a row; the rows of a conversation must come in order."""
        name = _named(row, self._column)
        if name is None:
            self._alone += 1
            return ()
        if name not in self._dialogues:
            self._dialogues[name] = Dialogue(self._width)
        return self._dialogues[name].turn(_named(row, self._speaker), text)

    def notes(self) -> list[str]:
        """What a user should know, once all rows have been seen."""
        if self._column is None and not self._width:
            return []
        if self._column is None:
            return [
                f"the model reads up to {self._width} earlier turns of a conversation, and here each row stood alone; "
                "name the column that tells the conversations apart (--conversation)"
            ]
        notes = [f"{self._alone} rows have no {self._column!r} and stood alone"] * bool(self._alone)
        if self._speaker is None:
            notes.append("the turns of a conversation were read as one speaker's; name theirs with --speaker")
        return notes


def _named(row: Row, column: str | None) -> str | None:
    """The name in a cell; blank is none."""
    value = None if column is None else row.get(column)
    return None if value is None else str(value).strip() or None


def _reason(absent: Absent) -> str:
    """Without the text itself, so that rows can be counted by it."""
    return "no token that the model knows" if absent.reason.startswith("the tokenizer") else absent.reason


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

    Rows come out in the order in which they come in, each with all of its own values. A row whose text is missing,
    empty or unknown to the tokenizer gets empty columns, and is counted by its reason. A row that cannot be read (a CSV
    of too many cells, a line that is not JSON) is left out and listed, and the others are answered.

    Args:
        run: run folder or model folder with a text encoder.
        table: CSV with any separator, JSON lines, Parquet or Excel; in any encoding (see
            :func:`multiemo.tables.reading.open_table`).
        column: that holds the texts.
        out: table to write, in the format that its suffix says; it appears when it is complete.
        id_column: names rows without a text in the summary; default: their number.
        conversation: says which conversation a row is of, for a model that reads earlier turns. The rows of one come in
            order, and those of others may lie between them; a row without a value stands alone.
        speaker: says who speaks.
        batch: most texts that go through the model together.
        device: see :func:`multiemo.load`.
        progress: told how far it is.

    Returns:
        What was done; the predictions are in ``out``.

    Raises:
        ConfigError: the model reads no text, or no earlier turns although ``conversation`` is given; a column is not
            there or already there, a format is unknown.
        ManifestError: the table is not there, is none, or has no row that can be read.
        CheckpointError: not a finished model.
    """
    progress = progress or Progress()
    source, target = Path(table), Path(out)
    progress.stage("load")
    format_of(target)
    if target.exists() and target.resolve() == source.resolve():
        raise ConfigError(f"{target}: is the table itself; write to another file")
    given = open_table(source)
    columns = dict.fromkeys(given.columns, pl.String()) if given.all_text else given.columns
    for name in (column, id_column, conversation, speaker):
        if name is not None:
            require_column(source, columns, name)
    predictor = load(run, device=device)
    model = TextModel(predictor, batch=batch)
    talk = TableConversations(predictor.context, conversation, speaker)
    _refuse_taken(source, [dict.fromkeys(columns)], model.columns)
    progress.stage("predict")
    began = time.perf_counter()
    total, reasons, labels = 0, Counter[str](), Counter[str]()
    examples: dict[str, str] = {}
    failures: dict[str, str] = {}
    rows = _readable(given.rows, failures)
    with Writer(target, columns | model.columns) as writer:
        while window := list(islice(rows, WINDOW)):
            _refuse_taken(source, window, model.columns)
            texts = [_text(source, row, column, total + i + 1) for i, row in enumerate(window)]
            before = [talk.before(row, text) for row, text in zip(window, texts, strict=True)]
            answers = model.answer(texts, before)
            for i, (row, said) in enumerate(zip(window, answers, strict=True)):
                if isinstance(said, str):
                    reasons[said] += 1
                    if len(examples) < _NAMED:
                        examples[str(row.get(id_column)) if id_column else f"row {total + i + 1}"] = said
                    said = dict.fromkeys(model.columns)
                elif "emotion" in said:
                    labels[said["emotion"]] += 1
                row.update(said)
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
        conversations=len(talk),
        notes=[*given.notes, *talk.notes()],
        seconds=round(seconds, 3),
        rows_per_minute=round(60 * total / seconds),
        out=str(target),
        model=predictor.describe(),
    )


def _readable(rows: Iterable[Row | BadRow], failures: dict[str, str]) -> Iterator[Row]:
    """The rows that can be read; the others are put into ``failures``."""
    for row in rows:
        if isinstance(row, BadRow):
            failures[row.place] = row.reason
        else:
            yield row


def _text(path: Path, row: Row, column: str, number: int) -> str | None:
    text = row.get(column)
    if text is None or isinstance(text, str):
        return text
    raise ConfigError(f"{path} row {number}: {column!r} holds {text!r}, which is no text; name the column of the texts")


def _refuse_taken(path: Path, rows: Sequence[Row], added: Iterable[str]) -> None:
    """An older prediction, or anything of the same name, is not overwritten."""
    taken = [name for name in added if any(name in row for row in rows)]
    if taken:
        names = ", ".join(map(repr, taken))
        raise ConfigError(f"{path}: already has {names}, which would be added; rename or remove what is there")


def _join_labels(rows: Sequence[Row]) -> None:
    """A cell of a CSV holds several labels as one text."""
    for row in rows:
        if isinstance(labels := row.get("emotion_labels"), list):
            row["emotion_labels"] = ";".join(labels)
