"""Compare runs, benchmarks and predictions of other systems on the same test clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from multiemo.benchmark.document import BenchmarkResult, ComparisonResult
from multiemo.benchmark.predictions import MeasuredSystem, pool, read_records
from multiemo.benchmark.results import family, summarise
from multiemo.benchmark.tables import reads_sentence
from multiemo.benchmark.tested_clips import manifest_of, write_clip_list
from multiemo.data.manifest.reading import read_manifest
from multiemo.errors import CheckpointError, ConfigError
from multiemo.evaluation.report import Report
from multiemo.runs.folder.evaluation_log import (
    Reading,
    add_read,
    describe_counts,
    reads_of,
    reads_of_test,
    run_folder_of,
)

#: Reader of test parts in the evaluation log: a comparison with predictions of another system.
_READER = "compare"


def read_measured(path: Path) -> MeasuredSystem:
    """Read the predictions of a run folder (one seed) or of a benchmark folder (all its seeds).

    Raises:
        CheckpointError: the folder is neither, or has not been tested yet.
    """
    benchmark = path / "benchmark.json"
    report = benchmark if benchmark.is_file() else path / "evaluation.json"
    if not path.exists():
        raise CheckpointError(f"{path}: no such folder or file")
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
    return MeasuredSystem(pool(str(path), records), tuple(found.label_set), found.task, found.corpus_kind)


def compare(paths: Sequence[Path], *, allow_missing: bool = False, manifest: Path | None = None) -> ComparisonResult:
    """Measure several runs, benchmarks and predictions of other systems, and test every pair of them.

    Each comparison with predictions of another system is logged as a reading of the runs' test parts.

    Args:
        paths: two or more: run or benchmark folders, and files of predictions (JSON Lines, CSV, TSV, Parquet or Excel).
        allow_missing: compare on the clips that every file answers, if some lack an answer.
        manifest: new path of the runs' manifest, by which media files are recognised.

    Returns:
        Figures of each system, and paired tests between the largest subsets of every two systems.

    Raises:
        ConfigError: there are fewer than two, one is named twice, or there is no run or benchmark.
        CheckpointError: one is not tested, or they differ in their clips, labels or numbers of seeds.
        ManifestError: a file of predictions is invalid, or clips lack an answer.
    """
    if len(paths) < 2 or len({p.resolve() for p in paths}) < len(paths):
        raise ConfigError(
            "compare: name two or more different run or benchmark folders, or one and files of other predictions"
        )
    folders, files = [p for p in paths if not p.is_file()], [p for p in paths if p.is_file()]
    if not folders:
        raise ConfigError("compare: name an evaluated run or a benchmark whose test clips the files answer")
    measured = [read_measured(path) for path in folders]
    first, *others = measured
    for other in others:
        check_same_test(first, other)
    systems, further = [m.predictions for m in measured], dict[str, Any]()
    if files:
        from multiemo.benchmark.imported.side_by_side import read_others  # slow to import: decoders, through the rules

        found = read_others(
            files, measured, lambda: read_manifest(manifest_of(_runs_in(folders[0]), manifest)), allow_missing
        )
        systems, further = found.systems, found.members
        further["notes"] += _log(folders, len(systems[0].ids))
    return ComparisonResult(
        label_set=list(first.label_set),
        task=first.task,
        n=len(systems[0].ids),
        speakers=len(set(systems[0].speakers)),
        corpus_kind=first.corpus_kind,
        systems={p.name: summarise(p, first.task) for p in systems},
        reads={str(path): _reads(path) for path in folders},
        tests=family([(a, a.full, b, b.full) for a, b in combinations(systems, 2)], first.task),
        **further,
    )


def write_clips(path: Path, run: Path, manifest: Path | None = None) -> int:
    """Write the test clips of a run or benchmark for another system to answer: JSON Lines without labels.

    Args:
        path: file to write.
        run: evaluated run, or benchmark.
        manifest: new path of its manifest, if it has moved.

    Returns:
        Number of clips.
    """
    tested = read_measured(run).predictions
    return write_clip_list(path, manifest_of(_runs_in(run), manifest), tested.ids)


def _runs_in(path: Path) -> list[Path]:
    """The run folders of a benchmark, or the run folder itself."""
    cells = sorted(path.glob("cells/*")) if (path / "benchmark.json").is_file() else []
    return cells or [path]


def _log(folders: Sequence[Path], n: int) -> list[str]:
    """Log a reading of the test parts of runs and benchmarks, and return a note for each that could not be logged.

    Args:
        folders: run and benchmark folders.
        n: number of clips.
    """
    time, notes = datetime.now(timezone.utc).isoformat(timespec="seconds"), []
    for folder in folders:
        benchmark = folder / "benchmark.json"
        counts: dict[str | None, int] = {None: n}
        if benchmark.is_file():
            counts = {fold.name: fold.clips["test"] for fold in BenchmarkResult.read(benchmark).protocol.folds}
        try:
            for fold, count in counts.items():
                reading = Reading(time=time, by=_READER, fold=fold, split="test", n=count, test=count)
                add_read(run_folder_of(folder), reading)
        except CheckpointError as error:
            notes.append(f"this reading could not be logged: {error}")
    return notes


def _reads(path: Path) -> str:
    """How often a test part was read, in words."""
    benchmark = path / "benchmark.json"
    if not benchmark.is_file():
        return describe_counts(reads_of_test(path))
    counts = {fold: dict(times) for fold, times in BenchmarkResult.read(benchmark).reads.items()}
    for fold, count in Counter(read.fold for read in reads_of(path) if read.by == _READER).items():
        counts.setdefault(str(fold), {})[_READER] = count
    return reads_sentence(counts)


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
