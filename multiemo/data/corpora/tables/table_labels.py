"""Read the labels of a table in any form: one label, several labels, several raters, votes or one-hot columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from multiemo.data.corpora.source import Became, RowTroubleError
from multiemo.data.corpora.tables.cells import cell_text, columns, number, pairs
from multiemo.errors import ManifestError
from multiemo.files import parse_json
from multiemo.labels import find_label
from multiemo.labels import label_set as labels_of

#: The labels of a clip under the keys of a manifest row: ``label``, ``labels`` or ``votes``.
LabelKeys: TypeAlias = dict[str, object]
#: The form of the labels in a table; the options of ``table`` have these names.
Form: TypeAlias = Literal["label", "labels", "votes", "onehot"]
FORMS: tuple[Form, ...] = ("label", "labels", "votes", "onehot")

_SEPARATOR = re.compile(r"\s*[;,|/]\s*")
_YES, _NO = {"1", "true", "yes", "y", "x"}, {"", "0", "false", "no", "n"}


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """Converts cells to ``label``, ``labels`` and ``votes`` of a clip.

    Args:
        form: form of the labels in the table.
        columns: (column, its meaning).
        allowed: the labels of the label set.
        meanings: {word of the table: label, or ``""`` to leave it out}; takes priority over the names of the set.
        became: called with every word and its mapped label.
    """

    form: Form
    columns: list[tuple[str, str]]
    allowed: tuple[str, ...]
    meanings: Mapping[str, str]
    became: Became

    def of(self, row: Mapping[str, Any]) -> LabelKeys:
        """Return the label keys of a clip for a row; empty if the row has no label.

        Raises:
            RowTroubleError: a word is not a label of the set, or a cell does not have the expected form.
        """
        cells = {column: cell_text(row.get(column)) for column, _ in self.columns}
        if self.form == "label":
            words = [cell for cell in cells.values() if cell]
            if len(self.columns) == 1:
                found = [self._label_of(word) for word in words]
                if found and found[0] is None:
                    raise RowTroubleError(f"label {words[0]!r} is left out by label_map")
                return {"label": found[0]} if found else {}
            return voted(Counter(label for word in words if (label := self._label_of(word)) is not None))
        if self.form == "labels":
            return _several(
                [label for cell in cells.values() for word in self._words(cell) if (label := self._label_of(word))]
            )
        if self.form == "onehot":
            marked = [meaning for column, meaning in self.columns if self._is_marked(column, cells[column])]
            return _several([label for meaning in marked if (label := self._label_of(meaning))])
        return voted(self._counts(cells))

    def _label_of(self, word: str) -> str | None:
        """Return the label for a word, or ``None`` if it is to be left out."""
        if word in self.meanings:
            label: str | None = self.meanings[word] or None
        else:
            label = find_label(word, self.allowed)
            if label is None:
                self.became(word, None)
                raise RowTroubleError(
                    f"label {word!r} is not one of {', '.join(self.allowed)}; define its meaning, like "
                    f"label_map={word}:LABEL, or leave it out: label_map={word}:"
                )
        self.became(word, label)
        return label

    def _words(self, cell: str) -> list[str]:
        """Return the labels in one cell: a JSON list, or words with a separator."""
        if cell in self.meanings or find_label(cell, self.allowed) is not None:
            return [cell]
        if cell.startswith("["):
            try:
                return [cell_text(word) for word in parse_json(cell.replace("'", '"'))]
            except ValueError:
                raise RowTroubleError(f"labels is {cell!r}, not a list") from None
        return [word for word in _SEPARATOR.split(cell) if word]

    @staticmethod
    def _is_marked(column: str, cell: str) -> bool:
        low = cell.lower().removesuffix(".0")
        if low in _YES or low in _NO:
            return low in _YES
        raise RowTroubleError(f"{column} is {cell!r}, but one-hot columns have 0 or 1; for counts use votes=...")

    def _counts(self, cells: Mapping[str, str]) -> Counter[str]:
        given = {meaning: cells[column] for column, meaning in self.columns}
        if len(self.columns) == 1:  # {"happy": 3, "sad": 1} or happy:3;sad:1
            (cell,) = cells.values()
            given = _pairs_in(cell)
        counts: Counter[str] = Counter()
        for word, cell in given.items():
            try:
                count = number(cell) if cell else 0.0
            except ValueError as error:
                raise RowTroubleError(f"votes for {word!r}: {error}") from None
            if count < 0:
                raise RowTroubleError(f"votes for {word!r} is {cell!r}; a count must be 0 or more")
            if count and (label := self._label_of(word)) is not None:
                counts[label] += count  # type: ignore[assignment]  # shares are counts too
        return counts


def labels_in(
    options: Mapping[Form, str | None],
    present: Collection[str],
    where: object,
    *,
    label_set: str | None,
    label_map: str | None,
    became: Became,
) -> LabelColumns | None:
    """Return the reader of labels described by the options of ``table``, or ``None`` if there are no labels.

    Args:
        options: {form: columns, or ``None``}.
        present: the columns of the table.
        where: the table, for messages.
        label_set: label set to which labels are mapped.
        label_map: meaning of the words of the table, see :func:`~multiemo.data.corpora.tables.cells.pairs`.
        became: called with every word and its mapped label.

    Raises:
        ManifestError: several forms are given, a column does not exist, or only one of labels and label set is given.
        ConfigError: the label set is unknown, or ``label_map`` is invalid.
    """
    given = [form for form in FORMS if options.get(form) is not None]
    if len(given) > 1:
        raise ManifestError(f"table: {' and '.join(given)}: labels can have only one form; give one of these options")
    if bool(given) != (label_set is not None):
        form = given[0] if given else "label"
        raise ManifestError(f"table: give {form} and label_set together, like {form}=emotion label_set=ekman7")
    if label_set is None:
        if label_map is not None:
            raise ManifestError("table: label_map needs labels; name their column, like label=emotion")
        return None
    allowed = labels_of(label_set, where="table: label_set")
    meanings = pairs(label_map, "label_map")
    for word, meaning in meanings.items():
        label = find_label(meaning, allowed) if meaning else ""
        if label is None:
            raise ManifestError(
                f"table: label_map: {meaning!r} (of {word!r}) is not in {label_set}: {', '.join(allowed)}"
            )
        meanings[word] = label
    form = given[0]
    return LabelColumns(form, columns(str(options[form]), present, form, where), allowed, meanings, became)


def voted(counts: Mapping[str, float]) -> LabelKeys:
    """Return ``votes``, and as ``label`` the one with most votes unless there is a tie."""
    if not counts:
        return {}
    most = max(counts.values())
    winners = [label for label, count in counts.items() if count == most]
    return {"votes": dict(counts), **({"label": winners[0]} if len(winners) == 1 else {})}


def _several(labels: list[str]) -> LabelKeys:
    """Return one label as ``label``, several as ``labels``."""
    found = tuple(dict.fromkeys(labels))
    return {} if not found else {"label": found[0]} if len(found) == 1 else {"labels": found}


def _pairs_in(cell: str) -> dict[str, str]:
    if not cell:
        return {}
    try:
        values = parse_json(cell.replace("'", '"')) if cell.startswith("{") else None
    except ValueError:
        raise RowTroubleError(f'votes is {cell!r}, not an object like {{"happy": 3}}') from None
    if isinstance(values, dict):
        return {str(word): cell_text(count) for word, count in values.items()}
    found = dict(part.rpartition(":")[::2] for part in _SEPARATOR.split(cell) if part)
    if "" in found:
        raise RowTroubleError(f"votes is {cell!r}; write it like happy:3;sad:1, or name a column for each label")
    return {word.strip(): count.strip() for word, count in found.items()}
