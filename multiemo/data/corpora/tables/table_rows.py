"""Convert the rows of a table to clips; invalid rows are left out and reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from multiemo.data.corpora.source import RowTroubleError, Skip, note, unit
from multiemo.data.corpora.tables.cells import cell_text, number, parts_of, seconds
from multiemo.data.corpora.tables.table_features import Features
from multiemo.data.corpora.tables.table_labels import LabelColumns, voted
from multiemo.data.corpora.tables.table_media import CellPattern, MediaColumns
from multiemo.data.manifest.rows import MEDIA_KEYS, ManifestRow
from multiemo.tables.delimited import BadRow
from multiemo.tables.reading import Row, Table
from multiemo.types import DIMENSIONS

_TIMES = ("start", "end", "duration")
#: Common notations for a missing number.
_MISSING = {"nan", "na", "n/a", "null", "none", "-", "?"}


@dataclass(slots=True)
class CandidateRow:
    """A row that may become a clip.

    Args:
        where: location of the row, for messages.
        row: its cells.
        values: {key of a clip: value}.
        features: the feature columns of its table.
    """

    where: str
    row: Row
    values: ManifestRow
    features: Features


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads the rows of a table.

    Args:
        filled: {key of a clip: its column or pattern}.
        columns: {start, end, duration, split or rater: its column}.
        attributes: columns of facts about the speaker or the recording.
        rated: {dimension: its columns}.
        labels: the label columns, or ``None``.
        features: the feature columns.
        media: finds the media files.
        scales: {dimension: its rating scale (low, high)}.
        time: unit of the times, ``s`` or ``ms``.
    """

    filled: Mapping[str, CellPattern]
    columns: Mapping[str, str]
    attributes: list[str]
    rated: Mapping[str, list[str]]
    labels: LabelColumns | None
    features: Features
    media: MediaColumns
    scales: Mapping[str, tuple[float, float]]
    time: str

    def rows(self, table: Table, skip: Skip) -> Iterator[CandidateRow]:
        """Yield the usable rows in order; the others are passed to ``skip``."""
        for count, row in enumerate(table.rows, start=1):
            if isinstance(row, BadRow):
                skip(f"{table.path.name} {row.place}", row.reason)
                continue
            where = f"{table.path.name} row {count}"
            try:
                values = self._values(row, where)
            except RowTroubleError as error:
                skip(where, str(error))
                continue
            if values:
                values.setdefault("id", f"{table.path.stem}-{count:06d}")
                yield CandidateRow(where, row if self.features.columns else {}, values, self.features)
        for message in table.notes:
            note(message)

    def _values(self, row: Row, where: str) -> dict[str, Any]:
        """Return {key of a clip: value} for a row; empty if all cells are.

        Raises:
            RowTroubleError: a cell is invalid, or the row has no content.
        """
        if not any(map(cell_text, row.values())):
            return {}
        values: dict[str, Any] = {k: cell for k, filled in self.filled.items() if (cell := filled.of(row))}
        values |= {k: cell for k, column in self.columns.items() if (cell := _given(row, column, k in _TIMES))}
        if facts := {name: cell for name in self.attributes if (cell := _given(row, name, True))}:
            values["attributes"] = facts
        self._times(values)
        for key, names in self.rated.items():
            given = [cell for name in names if (cell := _given(row, name, True))]
            if given:
                values[key] = sum(self._rating(key, cell) for cell in given) / len(given)
        missing, paths = "", {}
        for key in ("file", *MEDIA_KEYS):
            if key in values:
                path = self.media.find(self.filled[key], values.pop(key), where)
                if path is None:
                    missing = self.media.last_missing(key)
                else:
                    paths[self.media.kind_of(path) if key == "file" else key] = path
        values |= paths
        if not values.keys() & {"text", *MEDIA_KEYS} and not self.features.given(row):
            raise RowTroubleError(missing or "has neither text, media nor features")
        timed = {key: path for key, path in paths.items() if key != "image"}
        end = self.media.within(timed, values.get("start"), values.get("end"), where)
        if end is not None:
            values["end"] = end
        if self.labels is not None:
            values |= self.labels.of(row)
        return values

    def _times(self, values: dict[str, Any]) -> None:
        """Convert the times to seconds, and ``duration`` to ``end``, in place."""
        for key in _TIMES:
            if key in values:
                try:
                    values[key] = seconds(values[key], self.time)
                except ValueError as error:
                    raise RowTroubleError(f"{key} {error}") from None
        if "duration" in values:
            values["end"] = values.get("start", 0.0) + values.pop("duration")

    def _rating(self, key: str, cell: str) -> float:
        low, high = self.scales[key]
        try:
            value = number(cell)
        except ValueError as error:
            raise RowTroubleError(f"{key} {error}") from None
        if not min(low, high) <= value <= max(low, high):
            raise RowTroubleError(
                f"{key} is {cell}, outside {low:g}..{high:g}; define the rating scale, like scale=1..5"
            )
        return unit(value, low, high)


def clips_of(
    found: Iterable[CandidateRow], skip: Skip, *, parts: Mapping[str, str], by_raters: bool
) -> Iterator[ManifestRow]:
    """Yield the manifest keys of the clips.

    Args:
        found: the rows of all tables, in order.
        skip: called for every row that is left out.
        parts: {name of a part in the table: part} given by the user.
        by_raters: whether rows with the same id are the ratings of one clip by several raters.

    Raises:
        ManifestError: features cannot be written.
    """
    kept = list(_unique(_of_one_clip(found) if by_raters else found, skip))
    for candidate in _in_parts(kept, parts, skip):
        try:
            features = candidate.features.of(candidate.row, candidate.values["id"], candidate.where)
        except RowTroubleError as error:
            skip(candidate.where, str(error))
            continue
        if features:
            candidate.values["features"] = features
        yield candidate.values
    for written in {id(candidate.features): candidate.features for candidate in kept}.values():
        written.write()


def _given(row: Row, column: str, is_number: bool) -> str:
    """Return a cell; empty if it is a notation for a missing number."""
    cell = cell_text(row.get(column))
    return "" if is_number and cell.casefold() in _MISSING else cell


def _unique(found: Iterable[CandidateRow], skip: Skip) -> Iterator[CandidateRow]:
    """Yield the first row of each id; the others are passed to ``skip``."""
    seen: dict[str, str] = {}
    for candidate in found:
        other = seen.setdefault(candidate.values["id"], candidate.where)
        if other == candidate.where:
            yield candidate
        else:
            skip(
                candidate.where,
                f"id {candidate.values['id']!r} is also the id of {other}; if several raters judged a clip, name their "
                "column (rater=...); if the id is that of a file with many clips, combine columns (id={file}-{turn})",
            )


def _in_parts(found: list[CandidateRow], given_parts: Mapping[str, str], skip: Skip) -> Iterator[CandidateRow]:
    """Replace the names of the parts by ours; rows of an unknown part are passed to ``skip``."""
    words = Counter(candidate.values["split"] for candidate in found if "split" in candidate.values)
    part_of_word = parts_of(list(words), given_parts)
    renamed = [
        f"{word} is {part_of_word[word]} ({count})"
        for word, count in words.items()
        if part_of_word.get(word, word) != word
    ]
    if renamed:
        note(f"split: {', '.join(renamed)}")
    for candidate in found:
        word = candidate.values.get("split")
        if word is None or word in part_of_word:
            if word is not None:
                candidate.values["split"] = part_of_word[word]
            yield candidate
        else:
            skip(candidate.where, f"split {word!r} is not a known part; define its meaning, like parts={word}:train")


def _of_one_clip(found: Iterable[CandidateRow]) -> Iterator[CandidateRow]:
    """Merge the rows of several raters per clip: labels become votes, and dimensions their means."""
    clips: dict[str, list[CandidateRow]] = {}
    for candidate in found:
        candidate.values.pop("rater", None)
        clips.setdefault(candidate.values["id"], []).append(candidate)
    for rows in clips.values():
        first = rows[0]
        counts: Counter[str] = Counter()
        for candidate in rows:
            label = candidate.values.pop("label", None)
            for name in candidate.values.pop("labels", None) or ([label] if label else []):
                counts[name] += 1
        first.values |= voted(counts)
        for key in DIMENSIONS:
            given = [candidate.values[key] for candidate in rows if key in candidate.values]
            if given:
                first.values[key] = sum(given) / len(given)
        yield first
