"""Who has compared answers with the labels of which clips: ``evaluations.jsonl`` of a run, a line a reading.

A figure that was looked at again and again while a config changed is no longer a test, so every reading of the test
part is counted, whatever read it, and so is every other manifest that a run was evaluated on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from multiemo.errors import CheckpointError, MultiemoError
from multiemo.files import append_line
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
    """Who read which clips.

    Args:
        time: ISO 8601, UTC.
        by: what read them, such as ``evaluate`` or ``robustness``.
        fold: of a benchmark.
        split: part of the run's split; ``all`` of another manifest.
        n: labelled clips that were read.
        test: how many of them are of the run's own test part.
        compute: device and precision of the model.
        manifest: path of the clips' manifest, where it is not the run's own.
        sha256: digest of that manifest.
        subset: whose figures follow.
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


@record
class Reading(FigureValues, _Reader):
    """One reading of labels, and the figures of the full subset that came out: a line of ``evaluations.jsonl``."""


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
    """Add a reading to the log of the run that a model is from; one that is in memory alone has none.

    Args:
        bundle: the model.
        clips: labelled clips that were read.
        by: what read them, such as ``evaluate`` or ``robustness``.
        split: name of the part.
        compute: where the model computed.
        manifest: of the clips, where it is not the run's own.
        report: what came out.

    Returns:
        What a reader of the figures must know: how often this test part, or this manifest, has been read.
    """
    if bundle.folder is None:
        return []
    folder = home_of(bundle.folder)
    own = manifest is None and split == "test"
    reading = Reading.of(
        {"n": len(clips)},
        {} if report is None else report.subsets[report.full],
        time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        by=by,
        split=split if manifest is None else "all",
        test=len(clips) if own else _of_test(folder, bundle, clips),
        compute=None if compute is None else str(compute),
        manifest=None if manifest is None else str(manifest),
        sha256=None if manifest is None else file_digest(manifest),
        subset=None if report is None else report.full,
    )
    try:
        add_read(folder, reading)
    except CheckpointError as error:
        return [f"this reading could not be counted: {error}"]
    known, notes = reads_of(folder), []
    if manifest is not None:
        times = Counter(r.by for r in known if r.sha256 == reading.sha256)
        notes.append(f"{manifest} has been {said(times)}, with this run")
    if reading.test:
        notes.append(f"the test part of this run has been {said(reads_of_test(folder))}")
    return notes


def add_read(folder: Path, reading: Reading) -> None:
    """Add a line; one write, so that those of several processes do not mix."""
    append_line(folder / LOG, json.dumps(reading, ensure_ascii=False))


def reads_of(folder: Path) -> list[Reading]:
    """All readings in order. Earlier versions wrote no reader, and only readings of the test part by ``evaluate``."""
    path = folder / LOG
    found = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
        try:
            found.append(Reading.from_json({"by": "evaluate", "test": 1, **json.loads(line)}))
        except (ValueError, TypeError):
            found.append(Reading(by="a damaged line", test=1))
    return found


def reads_of_test(folder: Path) -> Counter[str]:
    """{what read it: how often} of the run's test part or some of its clips."""
    return Counter(read.by for read in reads_of(folder) if read.test)


def said(times: Mapping[str, int]) -> str:
    """Counts in words.

    Example:
        >>> said({"evaluate": 1}), said({"evaluate": 2, "robustness": 1})
        ('read once, by evaluate', 'read 3 times: evaluate 2, robustness 1')
    """
    total = sum(times.values())
    if not total:
        return "readings were not counted"
    if total == 1:
        return f"read once, by {next(by for by, count in times.items() if count)}"
    return f"read {total} times: " + ", ".join(f"{by} {count}" for by, count in times.items())


def told(folder: Path) -> list[str]:
    """A line for the test part, and one for every other manifest that was read."""
    times, others = reads_of_test(folder), [read for read in reads_of(folder) if read.sha256 is not None]
    lines = [f"test part: {said(times)}"] if times else []
    for digest in dict.fromkeys(read.sha256 for read in others):
        same = [read for read in others if read.sha256 == digest]
        last, counts = same[-1], Counter(read.by for read in same)
        lines.append(f"{last.manifest} ({last.n} clips, sha256 {str(digest)[:12]}): {said(counts)}")
    return lines


def home_of(path: Path) -> Path:
    """The run folder that a model or branch folder stands in, else the folder itself."""
    path = path if path.name else path.resolve()
    outer = path.parent if path.name == "model" else path.parent.parent if path.parent.name == "branches" else path
    return outer if (outer / "splits.json").is_file() else path


def _of_test(folder: Path, bundle: Bundle, clips: Sequence[Clip]) -> int:
    """How many of the clips are of the run's own test part: those with the id and the group of one of its clips."""
    from multiemo.data.splits.grouping import group_of
    from multiemo.data.splits.split import Split

    path = folder / "splits.json"
    if not path.is_file():
        return 0
    split = Split.from_json(json.dumps(json.loads(path.read_text("utf-8"))[bundle.facts["stage"]]))
    ids, groups = set(split.parts["test"]), set(split.groups["test"])
    found = 0
    for clip in clips:
        if clip.id in ids:
            try:
                found += group_of(clip, split.group_by) in groups
            except MultiemoError:
                continue  # a row of another corpus that happens to have this id
    return found
