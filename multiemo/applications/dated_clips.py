"""Predictions, tables and recordings of one person as clips with a date, valence and arousal."""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiemo.applications.affect import Affect, affect
from multiemo.applications.tables import require_column
from multiemo.data.media_paths import FileFinder
from multiemo.errors import ConfigError, ManifestError
from multiemo.progress import Progress
from multiemo.tables.delimited import BadRow
from multiemo.tables.reading import TABLES, Row, Table, open_table

if TYPE_CHECKING:
    from multiemo.predict import Item

NAME, MODIFIED = "the file's name", "the file's time of modification"
#: A date within a name, not part of a longer number unless a time follows it.
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)(?=\d{6}(?!\d)|(?!\d))")


@dataclass(frozen=True, slots=True)
class DatedClip:
    """Valence and arousal of one clip, and its day.

    Args:
        date: the day.
        valence, arousal: -1..1, the latter ``None`` where nothing says it.
        dated: where the date is from.
        source: where the values are from.
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
        clips: in the order of the input.
        left_out: {clip: why nothing is known of it}.
        failed: those of ``left_out`` that should have been read and could not be.
        notes: on how a table was read.
    """

    clips: list[DatedClip] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fail(self, clip: str, error: object) -> None:
        """A clip that cannot be read; the others count all the same."""
        self.left_out[clip] = str(error)
        self.failed.append(clip)


@dataclass(frozen=True, slots=True)
class TableColumns:
    """Names of the columns of a table of a person's days.

    Args:
        date: ISO dates, or times of which the day counts.
        valence, arousal: -1..1; the second may be missing.
        clip: paths, relative to the table's folder, for a table without ``valence``.
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
    """What is known of a person's days.

    Args:
        source: prediction JSON, ``predictions.jsonl`` of a bulk prediction, a table, a media file or a folder of them.
        run: run or model folder that predicts clips; needed where ``source`` holds no predictions and no values.
        columns: of a table.
        device: of the run; see :func:`multiemo.load`.
        progress: told how far it is.

    Raises:
        ConfigError: a model or a column is missing.
        ManifestError: the file is not there, or a row of it is broken.
        MediaError: a folder holds no media.
    """
    columns, progress = columns or TableColumns(), progress or Progress()
    if source.suffix.lower() == ".json":
        _check_unread(source, run, "predictions")
        return _of_entries((entry, None) for entry in _prediction_json(source))
    if os.path.isdir(source) or source.suffix.lower() not in TABLES:
        model = _named(run, source)
        from multiemo.predict import LeftOut, expand  # what a model has read already needs no torch

        passed: list[LeftOut] = []
        found = _predicted([(item, None) for item in expand([source], left_out=passed)], model, device, progress)
        found.left_out |= {left.path: left.reason for left in passed}
        return found
    table = open_table(source)
    broken = DatedClips()
    found = _of_table(table, _numbered(table.rows, broken), run, columns, device, progress)
    found.left_out, found.failed = broken.left_out | found.left_out, broken.failed + found.failed
    found.notes += table.notes
    return found


def _numbered(rows: Iterable[Row | BadRow], broken: DatedClips) -> Iterator[tuple[int, Row]]:
    """The rows that can be read, counted from 1; the others are put into ``broken``."""
    for number, row in enumerate(rows, start=1):
        if isinstance(row, BadRow):
            broken.fail(row.place, row.reason)
        else:
            yield number, row


def _of_table(
    table: Table,
    rows: Iterable[tuple[int, Row]],
    run: Path | None,
    columns: TableColumns,
    device: str,
    progress: Progress,
) -> DatedClips:
    source, names = table.path, table.columns
    if "segments" in names:
        _check_unread(source, run, "predictions")
        return _of_entries((row, None) for _, row in rows)
    require_column(source, names, columns.date)
    if columns.valence in names:
        _check_unread(source, run, f"values ({columns.valence!r})")
        return _of_values(source, rows, columns)
    require_column(source, names, columns.clip if run is not None else columns.valence)
    model = _named(run, source)
    from multiemo.predict import Item

    places, undated = FileFinder([source.parent]), DatedClips()
    items: list[tuple[Item, datetime.date | None]] = []
    for number, row in rows:
        name = str(row.get(columns.clip) or "")
        path = places.find(name) if name else f"has no {columns.clip}"
        try:
            day = _day(source, number, row.get(columns.date), columns.date)
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


def _check_unread(source: Path, run: Path | None, holds: str) -> None:
    """Refuse a model that would not be asked."""
    if run is not None:
        raise ConfigError(f"{source}: holds {holds}, so the run {run} would read nothing; leave it out")


def date_of(name: str) -> tuple[datetime.date, str]:
    """The day of a recording, and where it is from: an ISO date in the name, else the time of modification.

    Raises:
        ManifestError: the name holds none, and there is no such file.

    Example:
        >>> date_of("walks/VID_20240229-143000.mp4")
        (datetime.date(2024, 2, 29), "the file's name")
    """
    for found in _DATE.finditer(Path(name).name):
        try:
            return datetime.date(int(found[1]), int(found[3]), int(found[4])), NAME
        except ValueError:
            continue  # a number that is no date
    try:
        modified = Path(name).stat().st_mtime
    except OSError:
        raise ManifestError(
            f"{name}: its name holds no date (2024-05-31) and the file is not here to ask; rename it, or give a table "
            "with a date column"
        ) from None
    return datetime.date.fromtimestamp(modified), MODIFIED


def _prediction_json(path: Path) -> list[Mapping[str, Any]]:
    try:
        values = json.loads(path.read_text("utf-8"))
        return [entry for entry in values["inputs"] if entry["segments"] is not None]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{path}: is not a prediction JSON of multiemo ({error})") from None


def _of_entries(entries: Iterable[tuple[Mapping[str, Any], datetime.date | None]]) -> DatedClips:
    found = DatedClips()
    for entry, day in entries:
        name = str(entry.get("input", ""))
        try:
            date, dated = (day, "a column") if day is not None else date_of(name)
        except ManifestError as error:
            found.fail(name, error)
            continue
        try:
            said = [(s["end"] - s["start"], a) for s in entry["segments"] if (a := _affect(s)) is not None]
        except (KeyError, TypeError, ValueError) as error:
            found.fail(name, f"is not an entry of a prediction JSON of multiemo ({type(error).__name__}: {error})")
            continue
        if not said:
            found.left_out[name] = "no segment says valence: nothing was present, or its labels have no place"
            continue
        weights = [max(length, 1e-3) for length, _ in said]  # a still picture lasts no time
        arousals = [a.arousal for _, a in said]
        valence = sum(w * a.valence for w, (_, a) in zip(weights, said, strict=True)) / sum(weights)
        arousal = None
        if all(a is not None for a in arousals):
            arousal = sum(w * (a or 0.0) for w, a in zip(weights, arousals, strict=True)) / sum(weights)
        found.clips.append(DatedClip(date, valence, arousal, dated, said[0][1].source))
    return found


def _affect(segment: Mapping[str, Any]) -> Affect | None:
    """Of a segment of the prediction JSON, which may have been read from a file."""
    return affect(segment.get("probs"), segment.get("valence"), segment.get("arousal"))


def _named(run: Path | None, source: Path) -> Path:
    if run is None:
        raise ConfigError(f"{source}: holds recordings, which a model must read first; name a run")
    return run


def _predicted(
    items: Sequence[tuple[Item, datetime.date | None]], run: Path, device: str, progress: Progress
) -> DatedClips:
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

    found = _of_entries(entries())
    for name, reason in failures.items():
        found.fail(name, reason)
    return found


def _of_values(path: Path, rows: Iterable[tuple[int, Row]], columns: TableColumns) -> DatedClips:
    found = DatedClips()
    for number, row in rows:
        try:
            date = _day(path, number, row.get(columns.date), columns.date)
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


def _day(path: Path, number: int, value: Any, column: str) -> datetime.date:
    if isinstance(value, datetime.date):
        return value.date() if isinstance(value, datetime.datetime) else value
    try:
        return datetime.date.fromisoformat(str(value).strip()[:10])
    except ValueError:
        raise ManifestError(
            f"{path} row {number}: {column!r} is {value!r}; write dates as 2024-05-31, with or without a time after it"
        ) from None


def _number(path: Path, number: int, value: Any, column: str) -> float | None:
    if value is None:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if not -1 <= found <= 1:
        raise ManifestError(f"{path} row {number}: {column!r} is {value!r}; it must be a number from -1 to 1")
    return found
