"""Rows of a table -> what clips are made of; a row that cannot be one is left out and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from multiemo.data.corpora.source import RowTroubleError, Skip, note, unit
from multiemo.data.corpora.tables.cells import cell_text, number, parts_of, seconds
from multiemo.data.corpora.tables.table_features import Features
from multiemo.data.corpora.tables.table_labels import LabelColumns, voted
from multiemo.data.corpora.tables.table_media import Filled, MediaColumns
from multiemo.data.manifest.rows import MEDIA_KEYS, ManifestRow
from multiemo.tables.delimited import BadRow
from multiemo.tables.reading import Row, Table
from multiemo.types import DIMENSIONS

_TIMES = ("start", "end", "duration")


#: How programs write that a number is missing.
_MISSING = {"nan", "na", "n/a", "null", "none", "-", "?"}


@dataclass(slots=True)
class CandidateRow:
    """A row that may become a clip.

    Args:
        where: its place, for messages.
        row: its cells.
        values: {key of a clip: value}.
        features: of the rows of its table.
    """

    where: str
    row: Row
    values: ManifestRow
    features: Features


@dataclass(frozen=True, slots=True)
class RowReader:
    """How the rows of a table are read.

    Args:
        filled: {key of a clip: its column or pattern}.
        columns: {start, end, duration, split or rater: its column}.
        rated: {dimension: its columns}.
        labels: of the rows, or ``None``.
        features: of the rows.
        media: finds their files.
        scales: {dimension: its scale}.
        time: unit of the times.
    """

    filled: Mapping[str, Filled]
    columns: Mapping[str, str]
    rated: Mapping[str, list[str]]
    labels: LabelColumns | None
    features: Features
    media: MediaColumns
    scales: Mapping[str, tuple[float, float]]
    time: str

    def rows(self, table: Table, skip: Skip) -> Iterator[CandidateRow]:
        """The rows that can be used, in order."""
        for count, row in enumerate(table.rows, start=1):
            if isinstance(row, BadRow):
                skip(f"{table.path.name} {row.place}", row.reason)
                continue
            where = f"{table.path.name} row {count}"
            try:
                values = self._values(row, where)
            except RowTroubleError as trouble:
                skip(where, str(trouble))
                continue
            if values:
                values.setdefault("id", f"{table.path.stem}-{count:06d}")
                yield CandidateRow(where, row if self.features.columns else {}, values, self.features)
        for said in table.notes:
            note(said)

    def _values(self, row: Row, where: str) -> dict[str, Any]:
        """What the cells of a row say; empty where all are.

        Raises:
            RowTroubleError: a cell is not what it should be, or nothing is there that a clip could be of.
        """
        if not any(map(cell_text, row.values())):
            return {}
        values: dict[str, Any] = {k: cell for k, filled in self.filled.items() if (cell := filled.of(row))}
        values |= {k: cell for k, column in self.columns.items() if (cell := _given(row, column, k in _TIMES))}
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
            raise RowTroubleError(missing or "has neither text nor media nor features")
        timed = {key: path for key, path in paths.items() if key != "image"}
        end = self.media.within(timed, values.get("start"), values.get("end"), where)
        if end is not None:
            values["end"] = end
        if self.labels is not None:
            values |= self.labels.of(row)
        return values

    def _times(self, values: dict[str, Any]) -> None:
        """Seconds in the place of what the cells say; ``duration`` becomes ``end``."""
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
            raise RowTroubleError(f"{key} is {cell}, outside {low:g}..{high:g}; say how it is rated, like scale=1..5")
        return unit(value, low, high)


def clips_of(
    found: Iterable[CandidateRow], skip: Skip, *, parts: Mapping[str, str], by_raters: bool
) -> Iterator[ManifestRow]:
    """The keys of the clips that rows make.

    Args:
        found: of all tables, in order.
        skip: told of every row that is left out.
        parts: {word of a table: part}, where it was told.
        by_raters: rows of one id are what several raters said of one clip.

    Raises:
        ManifestError: features cannot be written.
    """
    kept = list(_unique(_of_one_clip(found) if by_raters else found, skip))
    for one in _in_parts(kept, parts, skip):
        try:
            features = one.features.of(one.row, one.values["id"], one.where)
        except RowTroubleError as trouble:
            skip(one.where, str(trouble))
            continue
        if features:
            one.values["features"] = features
        yield one.values
    for written in {id(one.features): one.features for one in kept}.values():
        written.write()


def _given(row: Row, column: str, is_number: bool) -> str:
    """A cell; empty where a program wrote that a number is missing."""
    cell = cell_text(row.get(column))
    return "" if is_number and cell.casefold() in _MISSING else cell


def _unique(found: Iterable[CandidateRow], skip: Skip) -> Iterator[CandidateRow]:
    """Those whose id no other row has; of several the first stays."""
    seen: dict[str, str] = {}
    for one in found:
        other = seen.setdefault(one.values["id"], one.where)
        if other == one.where:
            yield one
        else:
            skip(
                one.where,
                f"id {one.values['id']!r} is that of {other} too; if several raters judged a clip, name their "
                "column (rater=...), and if an id names a file of many clips, make it of two (id={file}-{turn})",
            )


def _in_parts(found: list[CandidateRow], told: Mapping[str, str], skip: Skip) -> Iterator[CandidateRow]:
    """With our names of the parts; a row of a part that is not known is left out."""
    words = Counter(one.values["split"] for one in found if "split" in one.values)
    meant = parts_of(list(words), told)
    renamed = [f"{word} is {meant[word]} ({count})" for word, count in words.items() if meant.get(word, word) != word]
    if renamed:
        note(f"split: {', '.join(renamed)}")
    for one in found:
        word = one.values.get("split")
        if word is None or word in meant:
            if word is not None:
                one.values["split"] = meant[word]
            yield one
        else:
            skip(one.where, f"split {word!r} is no part that is known; say what it means, like parts={word}:train")


def _of_one_clip(found: Iterable[CandidateRow]) -> Iterator[CandidateRow]:
    """One entry a clip out of one a rater: labels become votes, dimensions their means."""
    clips: dict[str, list[CandidateRow]] = {}
    for one in found:
        one.values.pop("rater", None)
        clips.setdefault(one.values["id"], []).append(one)
    for rows in clips.values():
        first = rows[0]
        counts: Counter[str] = Counter()
        for one in rows:
            label = one.values.pop("label", None)
            for name in one.values.pop("labels", None) or ([label] if label else []):
                counts[name] += 1
        first.values |= voted(counts)
        for key in DIMENSIONS:
            given = [one.values[key] for one in rows if key in one.values]
            if given:
                first.values[key] = sum(given) / len(given)
        yield first
