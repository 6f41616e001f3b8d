"""Turn the cells of a row into the answer of another system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.benchmark.imported.columns import AnswerColumns
from multiemo.benchmark.imported.labels import LabelReader, Meaning
from multiemo.errors import ManifestError
from multiemo.evaluation.imported import examples, label_shares, number_of, several, share
from multiemo.metrics.multilabel import GIVEN_ABOVE
from multiemo.tables.reading import Row
from multiemo.types import DIMENSIONS, Task

#: Probabilities of one clip may differ from 1 by this much in sum.
_ROUNDING = 0.01
_SUM = "have probabilities that do not sum to 1"
_FOREIGN = "have a probability for a label that the run does not have"
_RANGE = "have a dimension that is not a number within -1..1"
_ADVICE = {
    _SUM: "give the probabilities of all labels",
    _FOREIGN: "give probabilities of the run's labels only, or 'label' alone",
    _RANGE: "scale the dimensions to -1..1",
}


@dataclass(frozen=True, slots=True)
class ImportedAnswer:
    """The answer of another system for one clip.

    Args:
        values: ``[C]`` probabilities, or values of the dimensions; ``None`` if none are stated.
        decided: index of the label (C if no label covers the answer), or ``[C]`` zeros and ones of several labels;
            ``None`` for dimensions.
        groups: groups of its emotion words; ``None`` if the answer is not a set.
    """

    values: Array | None
    decided: int | NDArray[np.int64] | None
    groups: frozenset[str] | None = None


class AnswerParser:
    """Turns rows into answers, and collects what is wrong with them.

    Args:
        columns: columns of the answer.
        labels: labels of the run, in order.
        task: task of the run.
        where: the file, for messages.
    """

    def __init__(self, columns: AnswerColumns, labels: Sequence[str], task: Task, where: str) -> None:
        self.reader = LabelReader(labels)
        self._columns, self._labels, self._task, self._where = columns, tuple(labels), task, where
        self._problems: dict[str, list[str]] = {}
        self._without: Counter[str] = Counter()

    def answer(self, clip: str, row: Row) -> ImportedAnswer | None:
        """The answer of a row; ``None`` if its cells are empty.

        Args:
            clip: id of the clip.
            row: the row.
        """
        if self._task == "dimensions":
            return self._dimensions(clip, row)
        probs = self._probabilities(clip, row)
        cell = row.get(self._columns.answer) if self._columns.form != "probs" else None
        if isinstance(cell, dict) or (isinstance(cell, list) and self._columns.form != "labels"):
            raise ManifestError(
                f"{self._where}: {self._columns.answer!r} of clip {clip!r} is {cell!r}; give "
                f"{'a list of labels' if self._columns.form == 'labels' else 'one text'}"
            )
        given = "" if cell is None else str(cell).strip()
        if not given:
            return None if probs is None else ImportedAnswer(probs, self._decided(probs))
        if self._columns.form == "label":
            label = self.reader.label(given)
            return ImportedAnswer(probs, self._indices([] if label is None else [label]))
        meanings = [self.reader.word(w) for w in several(cell)] if self._columns.form == "labels" else []
        meanings = meanings or [self.reader.words(given)]
        groups = frozenset[str]().union(*(meaning.groups for meaning in meanings))
        return ImportedAnswer(probs, self._indices(self._named(meanings, groups)), groups)

    def check(self) -> None:
        """Refuse the file if rows have invalid answers.

        Raises:
            ManifestError: some have; the message has the first examples.
        """
        for problem, found in self._problems.items():
            labels = f" (labels: {', '.join(self._labels)})" if problem == _FOREIGN else ""
            shown = f"{problem} ({examples(found)}){labels}; {_ADVICE[problem]}"
            raise ManifestError(f"{self._where}: {len(found)} rows {shown}")

    def all_stated(self, answers: Iterable[ImportedAnswer]) -> bool:
        """Whether all answers state probabilities, and decide for a label of the set."""
        outside = len(self._labels)
        return all(a.values is not None and (self._task == "multi" or a.decided != outside) for a in answers)

    def notes(self) -> list[str]:
        """Remarks on the answers for the reader of the results."""
        if not self._without:
            return []
        return [f"states no probability for {', '.join(self._without)}, which counts as 0"]

    def _dimensions(self, clip: str, row: Row) -> ImportedAnswer | None:
        cells = {name: row.get(column) for name, column in self._columns.dimensions.items()}
        given = {name: cell for name, cell in cells.items() if cell is not None and str(cell).strip()}
        numbers = {name: number_of(cell) for name, cell in given.items()}
        wrong = next((name for name, number in numbers.items() if number is None or abs(number) > 1), None)
        if wrong is not None:
            self._problems.setdefault(_RANGE, []).append(f"{clip!r} {wrong} {given[wrong]!r}")
        if not numbers:
            return None
        return ImportedAnswer(np.array([numbers.get(name, np.nan) for name in DIMENSIONS], dtype=float), None)

    def _probabilities(self, clip: str, row: Row) -> Array | None:
        """``[C]`` probabilities of a row, or ``None``."""
        shares: dict[str, float] = {}
        what = f"{self._where}: probabilities of clip {clip!r}:"
        if self._columns.probs is not None and row.get(self._columns.probs) is not None:
            shares = label_shares(row[self._columns.probs], f"{what} {self._columns.probs!r}")
        for column in self._columns.shares:
            if row.get(column) is not None:
                shares[column] = share(row[column], f"{what} {column!r}")
        if not shares:
            return None
        found = np.zeros(len(self._labels))
        covered = set()
        for name, value in shares.items():
            label = self._columns.shares.get(name) or self.reader.find(name)
            if label is not None:
                found[self._labels.index(label)] += value
                covered.add(label)
            elif value > 0:
                self._problems.setdefault(_FOREIGN, []).append(f"{clip!r} {name!r} {value:g}")
                return None
        self._without.update(label for label in self._labels if label not in covered)
        if self._task == "multi":
            return found
        if abs(found.sum() - 1) > _ROUNDING:
            self._problems.setdefault(_SUM, []).append(f"{clip!r} {found.sum():.3g}")
            return None
        return np.asarray(found / found.sum())

    def _decided(self, probs: Array) -> int | NDArray[np.int64]:
        if self._task == "multi":
            return np.asarray(probs > GIVEN_ABOVE).astype(np.int64)
        return int(probs.argmax())

    def _indices(self, labels: Sequence[str]) -> int | NDArray[np.int64]:
        """The decided index of a label, or zeros and ones of several."""
        if self._task == "multi":
            return np.array([int(label in labels) for label in self._labels])
        return self._labels.index(labels[0]) if labels else len(self._labels)

    def _named(self, meanings: Sequence[Meaning], groups: frozenset[str]) -> list[str]:
        """Labels that several words, or a free text, decide for: the first is the one label of a single-label task."""
        first = [meaning.label for meaning in meanings if meaning.label is not None]
        return [*first, *(label for label in self._labels if label in groups)]
