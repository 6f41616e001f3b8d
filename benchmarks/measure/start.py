"""Time of commands in a new process, against ``import torch``: a table, then one JSON line.

    python -m benchmarks.measure.start --run runs/demo

Every command runs in a process of its own. All take turns with ``python -c "import torch"``, so that they run under the
same load. A first turn is not counted: it compiles modules and fills the page cache.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

TURNS = 5
#: The command to which the others are compared.
BASE = "import torch"


def commands(run: Path, scratch: Path) -> dict[str, tuple[list[str], int]]:
    """The commands: {name: (arguments of Python, expected exit code)}.

    Only ``predict --text`` needs a model.

    Args:
        run: run folder of ``multiemo demo``, whose model reads text, speech and faces.
        scratch: folder for the output of the commands.
    """
    manifest, config = run / "corpus" / "manifest.jsonl", run / "demo.yaml"
    other = scratch / "other.jsonl"
    other.write_text('{"id": "a", "corpus": "other", "text": "a day"}\n', "utf-8")
    table = scratch / "table.csv"
    table.write_text("words,label\na lovely day,positive\n", "utf-8")
    label = ["text=words", "label=label", "label_set=polarity3"]
    given: dict[str, tuple[Sequence[object], int]] = {
        "predict --text": (["predict", run, "--text", "I am so happy today"], 0),
        "--help": (["--help"], 0),
        "prepare": (["prepare", "table", table, *label, "--out", scratch / "made.jsonl"], 0),
        "merge": (["merge", manifest, other, "--out", scratch / "merged.jsonl"], 0),
        "validate": (["validate", manifest], 0),
        "cache info": (["cache", "info", "--folder", scratch / "cache"], 0),
        "evaluate, no such run": (["evaluate", scratch / "none"], 1),
        "predict, no such run": (["predict", scratch / "none", "--text", "happy"], 1),
        "train, unknown key": (["train", config, "epochs=3"], 2),
    }
    multiemo = {name: (["-m", "multiemo", *map(str, words)], code) for name, (words, code) in given.items()}
    return {BASE: (["-c", BASE], 0), **multiemo}


def cold_start(run: Path, turns: int = TURNS) -> dict[str, Any]:
    """Time the commands in turns.

    Args:
        run: run folder of ``multiemo demo``.
        turns: number of timed turns.

    Returns:
        ``turns``; ``seconds``, {name: median, s}; ``spread``, {name: [minimum, maximum]}; ``ratio`` of the medians of
        ``predict --text`` and ``import torch``; and ``ratio_spread``, [minimum, maximum] of the turns.
    """
    with tempfile.TemporaryDirectory(prefix="multiemo-") as folder:
        timed = commands(run, Path(folder))
        times: dict[str, list[float]] = {name: [] for name in timed}
        for turn in range(turns + 1):
            for name, (arguments, code) in timed.items():
                seconds = _seconds([sys.executable, *arguments], code)
                if turn:
                    times[name].append(seconds)
    ratios = [a / b for a, b in zip(times["predict --text"], times[BASE], strict=True)]
    middle = {name: round(median(taken), 3) for name, taken in times.items()}
    return {
        "turns": turns,
        "seconds": middle,
        "spread": {name: [round(min(taken), 3), round(max(taken), 3)] for name, taken in times.items()},
        "ratio": round(middle["predict --text"] / middle[BASE], 3),
        "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
    }


def _seconds(command: Sequence[str], code: int) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    taken = time.perf_counter() - began
    if done.returncode != code:
        raise SystemExit(f"{' '.join(command)}: exited with {done.returncode} instead of {code}: {done.stderr}")
    return taken


def table(found: Mapping[str, Any]) -> str:
    """Format the record as a table."""
    low, high = found["ratio_spread"]
    lines = [f"seconds in a new process (median of {found['turns']} turns, range):"]
    for name, seconds in found["seconds"].items():
        least, most = found["spread"][name]
        lines.append(f"  {name:<22} {seconds:6.2f} ({least:.2f}..{most:.2f})")
    lines.append(f"  predict --text / {BASE}: {found['ratio']:.2f} ({low:.2f}..{high:.2f})")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="run folder of `multiemo demo`")
    parser.add_argument("--turns", type=int, default=TURNS)
    given = parser.parse_args()
    found = cold_start(given.run, given.turns)
    print(table(found))
    print(json.dumps({"start": found}))


if __name__ == "__main__":
    main()
