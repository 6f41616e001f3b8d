"""Compare runs and benchmarks that were tested on the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from multiemo.benchmark.document import BenchmarkResult, ComparisonResult
from multiemo.benchmark.predictions import Predictions, pool, read_records
from multiemo.benchmark.results import family, summarise
from multiemo.benchmark.tables import reads_sentence
from multiemo.errors import CheckpointError, ConfigError
from multiemo.evaluation.report import Report
from multiemo.runs.folder.evaluation_log import describe_counts, reads_of_test
from multiemo.types import Task


@dataclass(frozen=True, slots=True)
class MeasuredSystem:
    """A run or a benchmark that has been tested.

    Args:
        predictions: name of the system and its predictions.
        label_set: labels in the order of the columns; empty for dimensions.
        task: ``single``, ``multi``, ``soft`` or ``dimensions``.
    """

    predictions: Predictions
    label_set: tuple[str, ...]
    task: Task


def read_measured(path: Path) -> MeasuredSystem:
    """Read the predictions of a run folder (one seed) or of a benchmark folder (all its seeds).

    Raises:
        CheckpointError: the folder is neither, or has not been tested yet.
    """
    benchmark = path / "benchmark.json"
    report = benchmark if benchmark.is_file() else path / "evaluation.json"
    if not report.is_file():
        raise CheckpointError(
            f"{path}: contains neither benchmark.json nor evaluation.json; run `multiemo evaluate {path}`, or finish "
            "the benchmark"
        )
    found: Report | BenchmarkResult
    if report is benchmark:
        found = BenchmarkResult.read(report)
        seeds = [[path / "cells" / f"{fold.name}-seed{s}" for fold in found.protocol.folds] for s in found.seeds]
    else:
        found = Report.read(report)
        seeds = [[path]]
    records = [[r for folder in folders for r in read_records(folder / "predictions.jsonl")] for folders in seeds]
    return MeasuredSystem(pool(str(path), records), tuple(found.label_set), found.task)


def compare(paths: Sequence[Path]) -> ComparisonResult:
    """Measure several runs or benchmarks and test every pair of them.

    Args:
        paths: two or more run or benchmark folders.

    Returns:
        Figures of each system, and paired tests between the largest subsets of every two systems.

    Raises:
        ConfigError: there are fewer than two folders, or one is named twice.
        CheckpointError: one is not tested, or they differ in their clips, labels or numbers of seeds.
    """
    if len(paths) < 2 or len({p.resolve() for p in paths}) < len(paths):
        raise ConfigError("compare: name two or more different run or benchmark folders")
    measured = [read_measured(path) for path in paths]
    first, *others = measured
    for other in others:
        check_same_test(first, other)
    systems = [m.predictions for m in measured]
    pairs = [(a, a.full, b, b.full) for a, b in combinations(systems, 2)]
    return ComparisonResult(
        label_set=list(first.label_set),
        task=first.task,
        n=len(first.predictions.ids),
        speakers=len(set(first.predictions.speakers)),
        systems={p.name: summarise(p, first.task) for p in systems},
        reads={str(path): _reads(path) for path in paths},
        tests=family(pairs, first.task),
    )


def _reads(path: Path) -> str:
    """How often a test part was read, in words."""
    benchmark = path / "benchmark.json"
    if not benchmark.is_file():
        return describe_counts(reads_of_test(path))
    return reads_sentence(BenchmarkResult.read(benchmark).reads)


def check_same_test(first: MeasuredSystem, other: MeasuredSystem) -> None:
    """Refuse two systems that were not tested on the same clips with the same labels.

    Raises:
        CheckpointError: they differ in labels, task, clips or number of seeds; the message says in what.
    """
    a, b = first.predictions, other.predictions
    if (first.label_set, first.task) != (other.label_set, other.task):
        raise CheckpointError(
            f"{a.name} predicts {', '.join(first.label_set) or 'no labels'} ({first.task}), but {b.name} predicts "
            f"{', '.join(other.label_set) or 'no labels'} ({other.task}); only systems with equal labels and task can "
            "be compared"
        )
    if a.ids != b.ids:
        only = sorted(set(a.ids) ^ set(b.ids))
        where = a.name if only[0] in a.ids else b.name
        raise CheckpointError(
            f"{a.name} was tested on {len(a.ids)} clips and {b.name} on {len(b.ids)}; {len(only)} are not in both "
            f"(first: {only[0]!r}, only in {where}); test both on the same split"
        )
    pairs = zip(a.ids, a.target, b.target, strict=True)
    differing = [i for i, x, y in pairs if not np.array_equal(x, y, equal_nan=True)]
    if differing:
        raise CheckpointError(
            f"{a.name} and {b.name} have different labels for {len(differing)} clips (first: {differing[0]!r}); the "
            "manifest has changed between the two tests, so test both again"
        )
    runs = [next(iter(p.probabilities.values())).shape[0] for p in (a, b)]
    if runs[0] != runs[1] and 1 not in runs:
        raise CheckpointError(
            f"{a.name} has {runs[0]} seeds and {b.name} has {runs[1]}; seeds are tested in pairs, so train both with "
            "the same number of seeds"
        )
