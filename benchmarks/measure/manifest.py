"""Time and memory of a manifest of up to a million rows: a table, then one JSON line.

    python -m benchmarks.measure.manifest [--rows 10000 100000 1000000]

Every step runs in a process of its own: ``validate`` (`multiemo validate`), ``read``, ``split`` (held-out speakers),
``kfold`` (one of five folds), ``open`` (the training part of a source, with its check for leaks), ``contexts`` (three
earlier turns of every utterance), ``write`` (JSONL and Parquet) and ``parquet`` (reading Parquet). The rows are
synthetic and have the keys of a dialogue corpus, with 1000 rows per speaker and at least ten speakers.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

#: The steps, in order; those that need clips read the manifest first, which is not timed.
STEPS = ("validate", "read", "split", "kfold", "open", "contexts", "write", "parquet")
_LABELS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
_WORDS = ("i", "you", "know", "what", "it", "is", "not", "that", "we", "really", "think", "so", "why", "going", "fine")
_ROWS_A_SPEAKER = 1000


def million(sizes: Sequence[int] = (10_000, 100_000, 1_000_000)) -> list[dict[str, Any]]:
    """Measure every step on manifests of several sizes.

    Args:
        sizes: numbers of rows.

    Returns:
        One record per size and step: ``rows``; ``step``; ``seconds`` (wall-clock time) and ``cpu`` (processor time,
        seconds) of the step alone; ``peak_mb``, peak resident memory of its process (10**6 bytes); ``libraries_mb``,
        the same before it opened the manifest; and ``bytes_a_row``, their difference divided by the rows.
    """
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="multiemo-") as folder:
        for rows in sizes:
            path = Path(folder) / f"{rows}.jsonl"
            write_rows(path, rows)
            for step in STEPS:
                command = [sys.executable, __file__, "--step", step, str(path)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                measured = json.loads(done.stdout)
                extra = (measured["peak_mb"] - measured["libraries_mb"]) * 1e6 / rows
                found.append({"rows": rows, "step": step, **measured, "bytes_a_row": round(extra)})
            for file in Path(folder).iterdir():
                file.unlink()
    return found


def write_rows(path: Path, rows: int) -> None:
    """Write a synthetic manifest of 370 bytes per row."""
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for i in range(rows):
            speaker, turn = divmod(i, min(_ROWS_A_SPEAKER, rows // 10))
            start = round(draw.uniform(0, 3000), 3)
            row = {
                "id": f"corpus-spk{speaker:04d}-{i:07d}",
                "corpus": f"corpus{speaker % 3}",
                "speaker": f"spk{speaker:04d}",
                "group": f"spk{speaker:04d}-dia{turn // 20:03d}",
                "language": "en",
                "text": " ".join(draw.choices(_WORDS, k=draw.randint(3, 20))),
                "video": f"media/spk{speaker:04d}/session{turn // 100:02d}.mp4",
                "start": start,
                "end": round(start + draw.uniform(1, 6), 3),
                "label_set": "ekman7",
                "label": draw.choice(_LABELS),
                "modality_labels": {"text": draw.choice(_LABELS)},
                "valence": round(draw.uniform(-1, 1), 2),
                "arousal": round(draw.uniform(-1, 1), 2),
            }
            file.write(json.dumps(row) + "\n")


def run_step(step: str, path: Path) -> dict[str, float]:
    """Run one step in this process; see :func:`million`."""
    if step in ("open", "contexts"):
        from multiemo.data.dialogue import contexts
        from multiemo.runs.sources import Source
    from multiemo.data.manifest.checks import check_rows
    from multiemo.data.manifest.reading import read_manifest, write_manifest
    from multiemo.data.splits import strategies
    from multiemo.data.splits.split import check_disjoint

    parquet = path.with_suffix(".parquet")
    before = _peak_mb()
    clips = [] if step in ("validate", "read", "parquet") else read_manifest(path)
    split = strategies.holdout(clips) if step == "open" else None

    def open_part() -> object:
        assert split is not None
        check_disjoint(split, clips)
        return Source(path, clips, split).part("train")

    def write_both() -> None:
        write_manifest(clips, path.with_name("again.jsonl"))
        write_manifest(clips, parquet)

    steps: dict[str, Callable[[], object]] = {
        "validate": lambda: check_rows(path),
        "read": lambda: read_manifest(path),
        "split": lambda: strategies.holdout(clips),
        "kfold": lambda: strategies.kfold(clips, 5, 0),
        "open": open_part,
        "contexts": lambda: contexts(clips, 3),
        "write": write_both,
        "parquet": lambda: read_manifest(parquet),
    }
    wall, cpu = time.perf_counter(), time.process_time()
    result = steps[step]()  # kept until the memory is measured
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = _peak_mb()
    del result
    return {
        "seconds": round(wall, 3),
        "cpu": round(cpu, 3),
        "peak_mb": round(peak, 1),
        "libraries_mb": round(before, 1),
    }


def _peak_mb() -> float:
    """Peak resident memory of this process, 10**6 bytes; not getrusage, which includes memory of the parent process."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


def table(found: Sequence[dict[str, Any]]) -> str:
    """Format the records as a table."""
    lines = [f"{'step':<10} {'rows':>9} {'seconds':>9} {'cpu s':>8} {'us/row':>9} {'peak MB':>9} {'bytes/row':>12}"]
    for step in STEPS:
        for r in (r for r in found if r["step"] == step):
            lines.append(
                f"{step:<10} {r['rows']:>9} {r['seconds']:>9.2f} {r['cpu']:>8.2f} {r['cpu'] / r['rows'] * 1e6:>9.2f} "
                f"{r['peak_mb']:>9.0f} {r['bytes_a_row']:>12}"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("manifest", type=Path, nargs="?", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step is not None:
        print(json.dumps(run_step(given.step, given.manifest)))
        return
    found = million(given.rows)
    print(table(found))
    print(json.dumps({"manifest": found}))


if __name__ == "__main__":
    main()
