"""The evaluation log of a run, ``evaluations.jsonl``: one line each time predictions are compared with labels.

A figure that is read repeatedly while the config changes is no longer a test result. So every reading of the test part
is counted, whichever command reads it, and so is every evaluation on another manifest.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from multiemo.errors import CheckpointError, MultiemoError
from multiemo.files import append_line, parse_json
from multiemo.metrics.results import FigureValues
from multiemo.records import Record, record
from multiemo.runs.folder.required_files import file_digest
from multiemo.types import Clip

if TYPE_CHECKING:
    from multiemo.evaluation import Report
    from multiemo.runs.device import Compute
    from multiemo.runs.model_folder import Bundle

LOG = "evaluations.jsonl"


@record
class _Reader(Record):
    """The reader of a reading, and the clips that were read.

    Args:
        time: time of the reading, ISO 8601, UTC.
        by: reader, such as ``evaluate`` or ``robustness``.
        fold: fold of a benchmark.
        split: part of the run's split; ``all`` for another manifest.
        n: number of labelled clips that were read.
        test: number of these clips that belong to the run's own test part.
        compute: device and precision of the model.
        manifest: path of the clips' manifest, if it is not the run's own.
        sha256: SHA-256 digest of that manifest.
        subset: subset that the figures are of.
        corpora: corpora of the clips of another manifest.
        seen: number of their clips, speakers and groups that the model was trained or selected on.
    """

    time: str | None = None
    by: str
    fold: str | None = None
    split: str | None = None
    n: int | None = None
    test: int
    compute: str | None = None
    manifest: str | None = None
    sha256: str | None = None
    subset: str | None = None
    corpora: list[str] | None = None
    seen: int | None = None


@record
class Reading(FigureValues, _Reader):
    """One reading of labels, with the figures of the full subset: a line of ``evaluations.jsonl``."""

    @property
    def foreign(self) -> bool:
        """Whether it is known to be of clips of people that the model was not trained or selected on."""
        return self.manifest is not None and bool(self.corpora) and self.seen == 0


def count_read(
    bundle: Bundle,
    clips: Sequence[Clip],
    *,
    by: str,
    split: str,
    compute: Compute | None = None,
    manifest: Path | None = None,
    report: Report | None = None,
) -> list[str]:
    """Add a reading to the log of a model's run; a model that exists only in memory has no log.

    Args:
        bundle: evaluated model.
        clips: labelled clips that were read.
        by: reader, such as ``evaluate`` or ``robustness``.
        split: name of the part.
        compute: device and precision of the model.
        manifest: path of the clips' manifest, if it is not the run's own.
        report: evaluation report, whose figures are logged.

    Returns:
        Notes for the report: how often this test part, or this manifest, has been read.
    """
    from multiemo.data.splits.grouping import GROUP_BY

    if bundle.folder is None:
        return []
    folder = run_folder_of(bundle.folder)
    own = manifest is None and split == "test"
    reading = Reading.of(
        {"n": len(clips)},
        {} if report is None else report.subsets[report.full],
        time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        by=by,
        split=split if manifest is None else "all",
        test=len(clips) if own else _count_test_clips(folder, bundle, clips),
        compute=None if compute is None else str(compute),
        manifest=None if manifest is None else str(manifest),
        sha256=None if manifest is None else file_digest(manifest),
        subset=None if report is None else report.full,
        corpora=None if manifest is None else sorted({clip.corpus for clip in clips}),
        seen=None if manifest is None else sum(len(bundle.seen.among(clips, kind)) for kind in GROUP_BY),
    )
    try:
        add_read(folder, reading)
    except CheckpointError as error:
        return [f"this reading could not be logged: {error}"]
    known, notes = reads_of(folder), []
    if manifest is not None:
        times = Counter(r.by for r in known if r.sha256 == reading.sha256)
        notes.append(f"with this run, {manifest} has been {describe_counts(times)}")
    if reading.test:
        notes.append(f"the test part of this run has been {describe_counts(reads_of_test(folder))}")
    return notes


def add_read(folder: Path, reading: Reading) -> None:
    """Append a reading to the log of a run folder, in one write so that lines of several processes do not interleave.

    Args:
        folder: run folder.
        reading: reading to append.
    """
    append_line(folder / LOG, json.dumps(reading, ensure_ascii=False))


def reads_of(folder: Path) -> list[Reading]:
    """All readings of a run, in order.

    Earlier versions logged only evaluations of the test part, without a reader; these are read as ``evaluate``.
    """
    path = folder / LOG
    found = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
        try:
            found.append(Reading.from_json({"by": "evaluate", "test": 1, **parse_json(line)}))
        except (ValueError, TypeError):
            found.append(Reading(by="a damaged line", test=1))
    return found


def reads_of_test(folder: Path) -> Counter[str]:
    """{reader: number of readings} of the run's test part or some of its clips."""
    return Counter(read.by for read in reads_of(folder) if read.test)


def describe_counts(times: Mapping[str, int]) -> str:
    """Describe how often something was read.

    Args:
        times: {reader: number of readings}.

    Example:
        >>> describe_counts({"evaluate": 1}), describe_counts({"evaluate": 2, "robustness": 1})
        ('read once, by evaluate', 'read 3 times: evaluate 2, robustness 1')
    """
    total = sum(times.values())
    if not total:
        return "readings were not counted"
    if total == 1:
        return f"read once, by {next(by for by, count in times.items() if count)}"
    return f"read {total} times: " + ", ".join(f"{by} {count}" for by, count in times.items())


def reading_summary(folder: Path) -> list[str]:
    """One line for the test part, and one for every other manifest that was read with a run."""
    times, others = reads_of_test(folder), [read for read in reads_of(folder) if read.sha256 is not None]
    lines = [f"test part: {describe_counts(times)}"] if times else []
    for digest in dict.fromkeys(read.sha256 for read in others):
        same = [read for read in others if read.sha256 == digest]
        last, counts = same[-1], Counter(read.by for read in same)
        lines.append(f"{last.manifest} ({last.n} clips, sha256 {str(digest)[:12]}): {describe_counts(counts)}")
    return lines


def run_folder_of(path: Path) -> Path:
    """The run folder that contains a model or branch folder; any other folder is returned unchanged."""
    path = path if path.name else path.resolve()
    outer = path.parent if path.name == "model" else path.parent.parent if path.parent.name == "branches" else path
    return outer if (outer / "splits.json").is_file() else path


def _count_test_clips(folder: Path, bundle: Bundle, clips: Sequence[Clip]) -> int:
    """Number of clips that belong to the run's own test part: those whose id and group both occur there."""
    from multiemo.data.splits.grouping import group_of
    from multiemo.data.splits.split import Split

    path = folder / "splits.json"
    if not path.is_file():
        return 0
    split = Split.from_json(json.dumps(parse_json(path.read_text("utf-8"))[bundle.facts["stage"]]))
    ids, groups = set(split.parts["test"]), set(split.groups["test"])
    found = 0
    for clip in clips:
        if clip.id in ids:
            try:
                found += group_of(clip, split.group_by) in groups
            except MultiemoError:
                continue  # a row of another corpus with the same id
    return found
