"""What private training costs: differential privacy and the speaker adversary, on folds by speaker.

    python benchmarks/private_training.py MANIFEST --encoder face=features --speakers 01 02 ... 15
    python benchmarks/private_training.py MANIFEST --encoder face=features --speakers 01 02 ... 15 --epsilons 8 3
    python benchmarks/private_training.py MANIFEST --encoder speech=speech_prosody --speakers 01 02 ... --weights 1 10

One model is trained on every fold of the speakers and with every seed: without privacy, with each epsilon, and with
each weight of ``training.speaker_adversary``. Two speakers of each training part are its validation.

- UAR: on the speakers of the fold.
- identified: share of clips of these speakers that an attacker names. The attacker learns from the branch's embeddings
  of one half of their clips, and names the other half, in turns: by logistic regression, and by a support vector
  machine with a radial kernel.

It prints a table, then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from multiemo.config import parse_config
from multiemo.data.manifest.reading import read_manifest
from multiemo.encoders.base import encode_rows
from multiemo.runs import train
from multiemo.runs.batches import prepare_part
from multiemo.runs.model_folder import load_bundle
from multiemo.types import Clip

#: Settings of private training, which needs larger batches and fewer steps.
PRIVATE = {"epochs": 20, "batch_size": 240, "lr": 1e-2, "select": "last"}


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--encoder", required=True, help="MODALITY=NAME")
    parser.add_argument("--options", type=json.loads, default={}, help="options of the encoder, as JSON")
    parser.add_argument("--training", type=json.loads, default={}, help="settings without privacy, as JSON")
    parser.add_argument("--private", type=json.loads, default=PRIVATE, help="settings with an epsilon, as JSON")
    parser.add_argument("--speakers", nargs="+", required=True)
    parser.add_argument("--label-set", default="ravdess8")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epsilons", type=float, nargs="*", default=[])
    parser.add_argument("--weights", type=float, nargs="*", default=[])
    given = parser.parse_args(arguments)
    rows = []
    for name, settings in variants(given):
        for fold in range(given.folds):
            rows += [{"variant": name, **measured(given, settings, fold, seed)} for seed in range(given.seeds)]
    print(table(rows))
    print(json.dumps({"training": given.training, "private": given.private, "rows": rows}))


def variants(given: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, keys of the config) of every variant, the one without privacy first."""
    yield "none", {"training": given.training}
    for weight in given.weights:
        yield f"adversary {weight:g}", {"training": {**given.training, "speaker_adversary": weight}}
    for epsilon in given.epsilons:
        yield f"epsilon {epsilon:g}", {"training": given.private, "privacy": {"epsilon": epsilon}}


def measured(given: argparse.Namespace, settings: Mapping[str, Any], fold: int, seed: int) -> dict[str, Any]:
    """The figures of one training.

    Args:
        given: the command line.
        settings: keys of the config that make the variant.
        fold: number of the fold, from 0.
        seed: seed of the training.
    """
    tested = given.speakers[fold :: given.folds]
    others = [speaker for speaker in given.speakers if speaker not in tested]
    split = {"kind": "speakers", "train_speakers": others[:-2], "val_speakers": others[-2:], "test_speakers": tested}
    m, _, name = given.encoder.partition("=")
    config = parse_config(
        {
            "name": "private",
            "label_set": given.label_set,
            "seed": seed,
            "device": "cpu",
            "trackers": [],
            "data": {"manifest": str(given.manifest), "split": split},
            "encoders": {m: {"name": name, **given.options}},
            "stages": [m],
            **settings,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        train(config, Path(folder) / "run")
        seconds = time.perf_counter() - began
        bundle = load_bundle(Path(folder) / "run")
    clips = [c for c in read_manifest(given.manifest) if c.speaker in tested and bundle.space().target(c) is not None]
    part = prepare_part(bundle.config, given.manifest.parent, clips, bundle.inputs)
    embeddings, said = [], []
    for batch in part.loader((m,), range(len(clips)), 64):  # type: ignore[arg-type]
        with torch.no_grad():
            embeddings.append(encode_rows(bundle.model.encoders[m], m, batch).numpy())  # type: ignore[arg-type]
            said += bundle.model(batch).logits.argmax(1).tolist()
    order = {clip: i for i, clip in enumerate(i for b in part.loader((m,), range(len(clips)), 64) for i in b.ids)}  # type: ignore[arg-type]
    rows = [order[clip.id] for clip in clips]
    truth = [int(bundle.space().target(clip).argmax()) for clip in clips]  # type: ignore[union-attr]
    facts = bundle.facts.get("privacy", {})
    return {
        "fold": fold,
        "seed": seed,
        "uar": float(recall_score(truth, [said[i] for i in rows], average="macro")),
        **identified(np.concatenate(embeddings)[rows], clips),
        "epsilon": facts.get("epsilon"),
        "stages": facts.get("stages"),
        "seconds": round(seconds, 1),
    }


def identified(embeddings: NDArray[Any], clips: Sequence[Clip]) -> dict[str, float]:
    """{attacker: share of the clips whose speaker it names}.

    Args:
        embeddings: ``[N, D]``.
        clips: the N clips.
    """
    speakers = np.array([clip.speaker for clip in clips])
    half = np.zeros(len(clips), dtype=bool)
    for speaker in set(speakers):
        half[np.flatnonzero(speakers == speaker)[::2]] = True
    found = {}
    for name, attacker in (("linear", LogisticRegression(max_iter=2000)), ("kernel", SVC(C=10))):
        model = make_pipeline(StandardScaler(), attacker)
        hits = [(model.fit(embeddings[h], speakers[h]).predict(embeddings[~h]) == speakers[~h]) for h in (half, ~half)]
        found[name] = float(np.concatenate(hits).mean())
    return found


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Means over folds and seeds, one line for each variant, as Markdown."""
    lines = [
        "| variant | trainings | UAR | lowest | highest | identified: linear | kernel | seconds |",
        "|---" * 8 + "|",
    ]
    for name in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == name]
        means = [float(np.mean([row[key] for row in own])) for key in ("uar", "linear", "kernel", "seconds")]
        low, high = min(row["uar"] for row in own), max(row["uar"] for row in own)
        lines.append(
            f"| {name} | {len(own)} | {means[0]:.3f} | {low:.3f} | {high:.3f} | {means[1]:.3f} | {means[2]:.3f} | "
            f"{means[3]:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
