"""What knowing a person gives: a benchmark's test clips again, compared with other clips of their speakers.

    multiemo benchmark CONFIG encoders.face.speaker_normalization=true --out runs/bench
    python benchmarks/enrolment.py runs/bench [--clips 0 1 2 4 8 16 32] [--json FILE]

Every training of the benchmark is tested as ``multiemo evaluate --enrol-clips N`` does, once for each N. The clips of
all folds are pooled; intervals are over speakers. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from multiemo.benchmark.environment import describe_environment
from multiemo.benchmark.predictions import pool
from multiemo.benchmark.results import summarise
from multiemo.runs import evaluate_run

CLIPS = (0, 1, 2, 4, 8, 16, 32)


def measure(folder: Path, clips: list[int]) -> dict[str, Any]:
    """Test the trainings of a benchmark folder.

    Args:
        folder: of a finished ``multiemo benchmark``.
        clips: numbers of other clips of the speaker.

    Returns:
        {number of clips: {subset: figures}}.
    """
    cells: dict[str, list[Path]] = {}
    for cell in sorted((folder / "cells").iterdir()):
        cells.setdefault(cell.name.rpartition("-")[2], []).append(cell)
    if not cells:
        raise SystemExit(f"{folder}: there is no training in it; run `multiemo benchmark` first")
    found = {}
    for count in clips:
        seeds = []
        for folds in cells.values():
            reports = [evaluate_run(fold, enrol_clips=count, by="enrolment") for fold in folds]
            seeds.append([prediction for report in reports for prediction in report.predictions])
        found[str(count)] = summarise(pool(str(folder), seeds))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of a benchmark")
    parser.add_argument("--clips", type=int, nargs="+", default=CLIPS, help="numbers of other clips of each speaker")
    parser.add_argument("--json", type=Path, help="also write the JSON to this file")
    arguments = parser.parse_args()
    found = measure(arguments.folder, list(arguments.clips))
    print("other clips   " + "   ".join(f"{key:>22}" for key in next(iter(found.values()))))
    for count, subsets in found.items():
        cells = (f"{s['uar']:.3f} ({s['uar_ci'][0]:.3f}..{s['uar_ci'][1]:.3f})" for s in subsets.values())
        print(f"{count:>11}   " + "   ".join(f"{cell:>22}" for cell in cells))
    result = {"environment": describe_environment(), "benchmark": str(arguments.folder), "clips": found}
    if arguments.json:
        arguments.json.write_text(json.dumps(result) + "\n", "utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
