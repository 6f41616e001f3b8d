"""Reads predictions, tables and recordings of one person as clips with a date, valence and arousal."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiemo.applications.affect import Affect, affect
from multiemo.applications.recording_dates import date_of, day_of_row
from multiemo.applications.tables import require_column
from multiemo.data.media_paths import FileFinder
from multiemo.errors import ConfigError, ManifestError
from multiemo.files import parse_json
from multiemo.progress import Progress
from multiemo.tables.delimited import BadRow
from multiemo.tables.reading import TABLES, Row, Table, open_table

if TYPE_CHECKING:
    from multiemo.predict import Item


@dataclass(frozen=True, slots=True)
class DatedClip:
    """Valence and arousal of one clip, and its day.

    Args:
        date: the day.
        valence: -1..1.
        arousal: -1..1, or ``None`` if it is unknown.
        dated: source of the date.
        source: source of the values.
    """

    date: datetime.date
    valence: float
    arousal: float | None
    dated: str
    source: str


@dataclass(slots=True)
class DatedClips:
    """All clips of one person.

    Args:
        clips: clips in the order of the input.
        left_out: {clip: why it has no values}.
        failed: the clips in ``left_out`` that could not be read.
        notes: remarks on how a table was read.
    """

    clips: list[DatedClip] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fail(self, clip: str, error: object) -> None:
        """Record a clip that cannot be read."""
        self.left_out[clip] = str(error)
        self.failed.append(clip)


@dataclass(frozen=True, slots=True)
class TableColumns:
    """Names of the columns in a table of a person's days.

    Args:
        date: column of ISO dates or times, of which the day is used.
        valence: column of values from -1 to 1.
        arousal: column of values from -1 to 1; it may be missing.
        clip: column of paths relative to the folder of the table, for a table without ``valence``.
    """

    date: str = "date"
    valence: str = "valence"
    arousal: str = "arousal"
    clip: str = "clip"


def read_dated_clips(
    source: Path,
    *,
    run: Path | None,
    columns: TableColumns | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> DatedClips:
    """Read the clips of one person.

    Args:
        source: prediction JSON, ``predictions.jsonl`` of a bulk prediction, a table, a media file or a folder of them.
        run: run or model folder to predict clips with; required unless ``source`` has predictions or values.
        columns: names of the columns of a table.
        device: device of the model; see :func:`multiemo.load`.
        progress: receives the progress.

    Raises:
        ConfigError: a model or a column is missing.
        ManifestError: the file does not exist, or a row is invalid.
        MediaError: a folder contains no media.
    """
    columns, progress = columns or TableColumns(), progress or Progress()
    if source.suffix.lower() == ".json":
        _refuse_model(source, run, "predictions")
        return _from_entries((entry, None) for entry in _prediction_json(source))
    if os.path.isdir(source) or source.suffix.lower() not in TABLES:
        model = _required_model(run, source)
        from multiemo.predict import LeftOut, expand  # imported here, since existing predictions need no torch

        others: list[LeftOut] = []
        found = _predicted([(item, None) for item in expand([source], left_out=others)], model, device, progress)
        found.left_out |= {left.path: left.reason for left in others}
        return found
    table = open_table(source)
    broken = DatedClips()
    found = _from_table(table, _numbered(table.rows, broken), run, columns, device, progress)
    found.left_out, found.failed = broken.left_out | found.left_out, broken.failed + found.failed
    found.notes += table.notes
    return found


def _numbered(rows: Iterable[Row | BadRow], broken: DatedClips) -> Iterator[tuple[int, Row]]:
    """The rows that can be read, numbered from 1; the others are added to ``broken``."""
    for number, row in enumerate(rows, start=1):
        if isinstance(row, BadRow):
            broken.fail(row.place, row.reason)
        else:
            yield number, row


def _from_table(
    table: Table,
    rows: Iterable[tuple[int, Row]],
    run: Path | None,
    columns: TableColumns,
    device: str,
    progress: Progress,
) -> DatedClips:
    """The clips of a table of predictions, of values or of paths."""
    source, names = table.path, table.columns
    if "segments" in names:
        _refuse_model(source, run, "predictions")
        return _from_entries((row, None) for _, row in rows)
    require_column(source, names, columns.date)
    if columns.valence in names:
        _refuse_model(source, run, f"values ({columns.valence!r})")
        return _from_values(source, rows, columns)
    require_column(source, names, columns.clip if run is not None else columns.valence)
    model = _required_model(run, source)
    from multiemo.predict import Item

    places, undated = FileFinder([source.parent]), DatedClips()
    items: list[tuple[Item, datetime.date | None]] = []
    for number, row in rows:
        name = str(row.get(columns.clip) or "")
        path = places.find(name) if name else f"has no {columns.clip}"
        try:
            day = day_of_row(source, number, row.get(columns.date), columns.date)
        except ManifestError as error:
            undated.fail(f"row {number}", error)
            continue
        if isinstance(path, Path):
            items.append((Item(str(path), path), day))
        else:
            undated.fail(str(source.parent / name) if name else f"row {number}", path)
    found = _predicted(items, model, device, progress)
    found.left_out, found.failed = undated.left_out | found.left_out, undated.failed + found.failed
    found.notes += places.notes()
    return found


def _refuse_model(source: Path, run: Path | None, holds: str) -> None:
    """Refuse a model that would not be used.

    Raises:
        ConfigError: a model was given.
    """
    if run is not None:
        raise ConfigError(f"{source}: contains {holds}, so the run {run} would not be used; leave it out")


def _prediction_json(path: Path) -> list[Mapping[str, Any]]:
    try:
        values = parse_json(path.read_text("utf-8"))
        return [entry for entry in values["inputs"] if entry["segments"] is not None]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{path}: is not a prediction JSON of multiemo ({error})") from None


def _from_entries(entries: Iterable[tuple[Mapping[str, Any], datetime.date | None]]) -> DatedClips:
    """The clips of entries of the prediction JSON, each with its day if that is known."""
    found = DatedClips()
    for entry, day in entries:
        name = str(entry.get("input", ""))
        try:
            date, dated = (day, "a column") if day is not None else date_of(name)
        except ManifestError as error:
            found.fail(name, error)
            continue
        try:
            values = [(s["end"] - s["start"], a) for s in entry["segments"] if (a := _affect(s)) is not None]
        except (KeyError, TypeError, ValueError) as error:
            found.fail(name, f"is not an entry of a prediction JSON of multiemo ({type(error).__name__}: {error})")
            continue
        if not values:
            found.left_out[name] = "no segment has a valence: nothing was present, or its labels have no coordinates"
            continue
        weights = [max(length, 1e-3) for length, _ in values]  # a still image has no duration
        arousals = [a.arousal for _, a in values]
        valence = sum(w * a.valence for w, (_, a) in zip(weights, values, strict=True)) / sum(weights)
        arousal = None
        if all(a is not None for a in arousals):
            arousal = sum(w * (a or 0.0) for w, a in zip(weights, arousals, strict=True)) / sum(weights)
        found.clips.append(DatedClip(date, valence, arousal, dated, values[0][1].source))
    return found


def _affect(segment: Mapping[str, Any]) -> Affect | None:
    """Valence and arousal of a segment of the prediction JSON, which may have been read from a file."""
    return affect(segment.get("probs"), segment.get("valence"), segment.get("arousal"))


def _required_model(run: Path | None, source: Path) -> Path:
    """The model that predicts recordings.

    Raises:
        ConfigError: none was given.
    """
    if run is None:
        raise ConfigError(f"{source}: contains recordings, which a model must predict first; name a run")
    return run


def _predicted(
    items: Sequence[tuple[Item, datetime.date | None]], run: Path, device: str, progress: Progress
) -> DatedClips:
    """Predict items, each with its day if that is known."""
    from multiemo.predict import Answer, load

    progress.stage("predict")
    failures: dict[str, str] = {}

    def entries() -> Iterator[tuple[Mapping[str, Any], datetime.date | None]]:
        answers = load(run, device=device).predict_many([item for item, _ in items])
        for number, ((item, day), answer) in enumerate(zip(items, answers, strict=True), start=1):
            progress.update(number, len(items))
            if isinstance(answer, Answer):
                yield answer.entry, day
            else:
                failures[item.name] = str(answer)

    found = _from_entries(entries())
    for name, reason in failures.items():
        found.fail(name, reason)
    return found


def _from_values(path: Path, rows: Iterable[tuple[int, Row]], columns: TableColumns) -> DatedClips:
    """The clips of a table of values."""
    found = DatedClips()
    for number, row in rows:
        try:
            date = day_of_row(path, number, row.get(columns.date), columns.date)
            valence, arousal = (
                _number(path, number, row.get(name), name) for name in (columns.valence, columns.arousal)
            )
        except ManifestError as error:
            found.fail(f"row {number}", error)
            continue
        if valence is None:
            found.left_out[f"row {number}"] = f"has no {columns.valence}"
        else:
            found.clips.append(DatedClip(date, valence, arousal, "a column", "the table"))
    return found


def _number(path: Path, number: int, value: Any, column: str) -> float | None:
    """The value in a cell; ``None`` if it is empty.

    Raises:
        ManifestError: the cell contains no number from -1 to 1.
    """
    if value is None:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if not -1 <= found <= 1:
        raise ManifestError(f"{path} row {number}: {column!r} is {value!r}; it must be a number from -1 to 1")
    return found
