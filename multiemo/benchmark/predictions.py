"""Predictions of a system on its test clips, for every seed, read from run folders and benchmark folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.calibration import decide
from multiemo.errors import CheckpointError, first_line
from multiemo.evaluation.report import ClipPrediction
from multiemo.files import parse_json
from multiemo.metrics import scored
from multiemo.types import DIMENSIONS, SUBSETS, CorpusKind, Task

#: Members of a prediction that hold its values; each prediction has one of them.
_ANSWERS = {"probs", "values"}


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of one system on one test part.

    Args:
        name: name of the system, for tables.
        ids, speakers: ids and speakers of the N labelled clips, sorted by id.
        target: ``[N, C]``; for dimensions, NaN where unknown.
        probabilities: {subset key: ``[R, N, C]``} for R seeds: probabilities, or values of dimensions; NaN where a
            clip has no modality of the subset.
        decided: {subset key: predicted labels, ``[R, N]`` or ``[R, N, C]``}, see
            :func:`multiemo.calibration.decide`; for a missing key, the most probable labels are used. C stands for an
            answer outside the label set.
        dimensions: {name: (truth ``[N]``, prediction ``[R, N]``)}, NaN where unknown; empty for a model without a head
            for dimensions.
    """

    name: str
    ids: tuple[str, ...]
    speakers: tuple[str, ...]
    target: Array
    probabilities: dict[str, Array]
    dimensions: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    decided: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    stated: bool = True

    @property
    def full(self) -> str:
        """The key of the largest subset."""
        return max(self.probabilities, key=len)

    def on(self, rows: NDArray[np.bool_]) -> Predictions:
        """The predictions of some clips; a subset that predicts none of them in some run is left out.

        Args:
            rows: ``[N]``, the clips.
        """
        kept = {key: values[:, rows] for key, values in self.probabilities.items()}
        kept = {key: values for key, values in kept.items() if not np.isnan(values).all(axis=(1, 2)).any()}
        return replace(
            self,
            ids=tuple(name for name, row in zip(self.ids, rows, strict=True) if row),
            speakers=tuple(name for name, row in zip(self.speakers, rows, strict=True) if row),
            target=self.target[rows],
            probabilities=kept,
            dimensions={name: (truth[rows], values[:, rows]) for name, (truth, values) in self.dimensions.items()},
            decided={key: labels[:, rows] for key, labels in self.decided.items() if key in kept},
        )

    def only(self, key: str) -> Predictions:
        """The predictions of one subset."""
        decided = {name: labels for name, labels in self.decided.items() if name == key}
        return replace(self, probabilities={key: self.probabilities[key]}, decided=decided)

    def scored(self, key: str, task: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Truth and predictions of one subset, in the form that the measure of the task takes."""
        labels = None if task == "dimensions" else self.labels(key, task)
        return scored(task, self.target, self.probabilities[key], labels)

    def labels(self, key: str, task: str) -> NDArray[np.int64]:
        """The predicted labels of one subset, ``[R, N]`` or ``[R, N, C]``."""
        return self.decided[key] if key in self.decided else decide(self.probabilities[key], task)


@dataclass(frozen=True, slots=True)
class MeasuredSystem:
    """A run or a benchmark that has been tested.

    Args:
        predictions: name of the system and its predictions.
        label_set: labels in the order of the columns; empty for dimensions.
        task: ``single``, ``multi``, ``soft`` or ``dimensions``.
        corpus_kind: origin of the test clips.
    """

    predictions: Predictions
    label_set: tuple[str, ...]
    task: Task
    corpus_kind: CorpusKind


def pool(name: str, seeds: Sequence[Iterable[ClipPrediction]]) -> Predictions:
    """Join the predictions of all folds, seed by seed.

    Args:
        name: name of the system.
        seeds: for each seed, the records of all its folds; every clip occurs once per seed.

    Returns:
        The predictions of all labelled clips.

    Raises:
        CheckpointError: there is no labelled clip, a clip was tested twice with one seed, or the records do not fit
            together.
    """
    try:
        return _pool(name, seeds)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, StopIteration) as error:
        raise CheckpointError(
            f"{name}: its predictions are damaged or do not fit together ({first_line(error)}); run "
            "`multiemo evaluate` again"
        ) from error


def _pool(name: str, seeds: Sequence[Iterable[ClipPrediction]]) -> Predictions:
    runs: list[dict[str, ClipPrediction]] = []
    for records in seeds:
        run: dict[str, ClipPrediction] = {}
        for record in records:
            if record["target"] is None:
                continue
            if run.setdefault(record["id"], record) is not record:
                raise CheckpointError(f"{name}: clip {record['id']!r} was tested twice with one seed")
        runs.append(run)
    known = {i: record for run in runs for i, record in run.items()}
    if not known:
        raise CheckpointError(f"{name}: no labelled clip was tested")
    ids = sorted(known)
    target = np.array([known[i]["target"] for i in ids], dtype=float)
    keys = [k for k in SUBSETS if any(k in _answers(r) for r in known.values())]
    nothing: list[float | None] = [None] * target.shape[1]  # NaN in the array
    probabilities = {
        key: np.array(
            [[_answers(run[i]).get(key, nothing) if i in run else nothing for i in ids] for run in runs], dtype=float
        )
        for key in keys
    }
    speakers = tuple(known[i]["speaker"] for i in ids)
    dimensions = {d: _dimension(d, runs, ids) for d in DIMENSIONS if any(d in _rated(r) for r in known.values())}
    decided = {key: _labels(key, runs, ids) for key in keys if all("said" in record for record in known.values())}
    return Predictions(name, tuple(ids), speakers, target, probabilities, dimensions, decided)


def _answers(record: ClipPrediction) -> Mapping[str, list[float | None]]:
    """{subset: ``[C]`` probabilities, or values of dimensions} of a clip."""
    return record["values"] if "values" in record else record["probs"]


def _labels(key: str, runs: Sequence[Mapping[str, ClipPrediction]], ids: Sequence[str]) -> NDArray[np.int64]:
    """Predicted labels, ``[R, N]`` or ``[R, N, C]``; -1 for clips without a prediction."""
    example = next(r["said"][key] for run in runs for r in run.values() if key in r["said"])
    nothing = np.full_like(example, -1).tolist()
    return np.array([[run[i]["said"].get(key, nothing) if i in run else nothing for i in ids] for run in runs])


def _rated(record: ClipPrediction) -> Mapping[str, list[float]]:
    """{dimension: [truth, prediction]} of a clip."""
    return record.get("dimensions", {})


def _dimension(name: str, runs: Sequence[Mapping[str, ClipPrediction]], ids: Sequence[str]) -> tuple[Array, Array]:
    """Truth ``[N]`` and predictions ``[R, N]`` of one dimension."""
    unknown = [float("nan"), float("nan")]
    pairs = np.array([[_rated(run[i]).get(name, unknown) if i in run else unknown for i in ids] for run in runs])
    return pairs[0, :, 0], pairs[:, :, 1]


def read_records(path: Path) -> list[ClipPrediction]:
    """Read the lines of a ``predictions.jsonl``.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    lines = read_lines(path)
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, dict) or not {"id", "speaker", "target"} <= line.keys() or _ANSWERS.isdisjoint(line):
            raise CheckpointError(
                f"{path}: line {number} is not a prediction; remove the file and run `multiemo evaluate` again"
            )
    return lines


def read_lines(path: Path) -> list[Any]:
    """Read the values of a JSON Lines file.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        return [parse_json(line) for line in path.read_text("utf-8").splitlines()]
    except OSError:
        raise CheckpointError(f"{path}: no such file; run `multiemo evaluate {path.parent}` first") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: damaged ({error}); remove it and run `multiemo evaluate` again") from None
