"""Faithfulness of explanations on the validation parts of trained runs: a table, then one JSON line.

    python benchmarks/explanations.py ravdess=RUN=MANIFEST meld=RUN=MANIFEST ...

Each run is measured as ``multiemo.explanation.faithfulness`` describes; no test part is read, and nothing is written to
the runs. Definitions: docs/statistics.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from multiemo.benchmark.explanations import HEADS, faithfulness_table
from multiemo.errors import MultiemoError
from multiemo.explanation.faithfulness.measure import measure_faithfulness
from multiemo.report import markdown
from multiemo.runs import load_bundle
from multiemo.runs.folder.source import stored_source


def measure(name: str, run: Path, manifest: Path, *, clips: int, seed: int) -> dict[str, Any]:
    """Measure one run on its validation part.

    Args:
        name: name of the corpus, for the table.
        run: run folder.
        manifest: present path of its manifest.
        clips: number of clips.
        seed: seed of everything random.
    """
    bundle = load_bundle(run)
    source, _ = stored_source(run, bundle, manifest)
    began = time.perf_counter()
    found = measure_faithfulness([(bundle, source)], clips=clips, seed=seed)
    return {"name": name, "seconds": round(time.perf_counter() - began, 1), "faithfulness": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN=MANIFEST", help="corpus, run folder and its manifest")
    parser.add_argument("--clips", type=int, default=200, help="clips per run (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="seed (default: 0)")
    options = parser.parse_args()
    results = []
    for argument in options.runs:
        name, run, manifest = argument.split("=")
        try:
            results.append(measure(name, Path(run), Path(manifest), clips=options.clips, seed=options.seed))
        except MultiemoError as error:
            sys.exit(f"{name}: {error}")
    rows = [["corpus", *HEADS, "speakers"]]
    for result in results:
        found = result["faithfulness"]
        for row, view in zip(faithfulness_table(found), found.views, strict=True):
            rows.append([result["name"], *row, str(view.speakers)])
    print("\n".join(markdown(rows)))
    for result in results:
        found = result["faithfulness"]
        print(f"{result['name']}: {found.clips} clips in {result['seconds']:.0f} s")
        for view in found.views:
            for reason in view.reasons:
                print(f"{result['name']}, {view.modality}, {view.unit}: {view.trust}: {reason}")
        for note in found.notes:
            print(f"{result['name']}: {note}")
    print(json.dumps(results, ensure_ascii=False))


if __name__ == "__main__":
    main()
