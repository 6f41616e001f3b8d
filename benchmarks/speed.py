"""Speed, as ratios that are measured in one run: ``python benchmarks/speed.py [PART ...]``.

Parts: trainer, cache, frozen, manifest, prosody, start, predict.

Needs ``pip install ".[speed]"``. Runs all parts if none is named. Prints tables, then one JSON line, which
``--json FILE`` also writes to a file.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measure import cache, frozen, manifest, predict, prosody, start, trainer

from multiemo.benchmark.environment import describe_environment


def measure_trainer() -> list[dict[str, Any]]:
    """The trainer against a bare loop, Hugging Face's trainer and Lightning."""
    rows = trainer.training_rates()
    print("training: clips per second of a bare loop, and the others relative to it (median and range of the turns)")
    for row in rows:
        ratios = "   ".join(
            f"{n} {row[n]:.3f} ({row['spread'][n][0]:.2f}..{row['spread'][n][1]:.2f})" for n in trainer.WAYS
        )
        print(f"  {row['model']:<26} bare {row['bare_clips_per_s']:8.1f}/s   {ratios}")
    return rows


def measure_cache() -> dict[str, Any]:
    """The second epoch, from the cache, against the first."""
    found = cache.second_epoch(None)
    print("second epoch from the cache, speed relative to decoding:")
    for kind in ("all", "speech", "waveform", "face"):
        if kind in found:
            print(f"  {kind:<10} {found[kind]['ratio']:7.1f}   equal tensors: {found[kind]['equal']}")
    return found


def measure_frozen() -> dict[str, Any]:
    """The fused stage over frozen encoders."""
    found = frozen.fused_from_cache()
    loop, cached, ratio = found["in_the_loop_s"], found["from_cache_s"], found["ratio"]
    print(f"fused epoch on frozen encoders: in the loop {loop:.2f} s, from the cache {cached:.3f} s: {ratio:.0f} x")
    print(f"  validation UAR {found['val_uar']}, loss {found['val_loss']}")
    return found


def measure_manifest() -> list[dict[str, Any]]:
    """Manifests of ten thousand to a million rows."""
    rows = manifest.million()
    print(manifest.table(rows))
    return rows


def measure_prosody() -> dict[str, Any]:
    """The prosody track against openSMILE, pYIN and Praat."""
    found = prosody.measure()
    print(prosody.table(found))
    return found


def measure_start() -> dict[str, Any]:
    """Commands from a cold process against ``import torch``; needs ``runs/demo`` of ``multiemo demo``."""
    run = Path("runs/demo")
    if not run.is_dir():
        print(f"start: skipped; {run} does not exist: create it with `multiemo demo`")
        return {}
    found = start.cold_start(run)
    print(start.table(found))
    return found


def measure_predict() -> dict[str, Any]:
    """Prediction of a minute, an hour and a stream against decoding; needs ``runs/demo`` of ``multiemo demo``."""
    run = Path("runs/demo")
    if not run.is_dir():
        print(f"predict: skipped; {run} does not exist: create it with `multiemo demo`")
        return {}
    found = predict.everything(run, None, None)
    print(predict.table(found))
    return found


PARTS: dict[str, Callable[[], Any]] = {
    "trainer": measure_trainer,
    "cache": measure_cache,
    "frozen": measure_frozen,
    "manifest": measure_manifest,
    "prosody": measure_prosody,
    "start": measure_start,
    "predict": measure_predict,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="default: all")
    parser.add_argument("--json", type=Path, help="also write the JSON to this file")
    arguments = parser.parse_args()
    for name in arguments.parts:
        if name not in PARTS:
            parser.error(f"{name!r} is not a part; choose from {', '.join(PARTS)}")
    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    found: dict[str, Any] = {"environment": describe_environment(), "threads": torch.get_num_threads()}
    for name in arguments.parts or PARTS:
        found[name] = PARTS[name]()
        if arguments.json:  # after each part, so that an error in a later one loses nothing
            arguments.json.write_text(json.dumps(found) + "\n", "utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
