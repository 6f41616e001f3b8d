"""The classic baselines of `multiemo benchmark` on published parts of a corpus: a table, then one JSON line.

    python benchmarks/baselines.py meld --root DIR            TF-IDF (words + characters) + logistic regression
    python benchmarks/baselines.py emotiontalk --root DIR     the same, on the labels given from the text alone
    python benchmarks/baselines.py fer2013 --root DIR         HOG + SVM
    python benchmarks/baselines.py ravdess --root DIR         acoustic functionals + SVM, action units + regression

``--run RUN`` adds an evaluated multiemo run on the same test rows, with paired tests, and logs that its test part was
read once more.

The classifiers and their settings are those of ``multiemo/benchmark/baselines/classic.py``. The official parts are used
(MELD: train -> dev; EmotionTalk: train -> val; FER2013: train -> test). RAVDESS trains on actors 01-12 and tests on
16-18.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multiemo.benchmark.baselines.classic import fit_predict, read_inputs
from multiemo.benchmark.predictions import Predictions, pool, read_records
from multiemo.benchmark.results import paired, summarise
from multiemo.config import parse_config
from multiemo.data.features.reading import read_features
from multiemo.data.manifest.reading import media_path, read_manifest
from multiemo.data.prepare import prepare
from multiemo.errors import MultiemoError
from multiemo.inputs import Input, build_input
from multiemo.metrics import PairedTest
from multiemo.runs.folder.evaluation_log import Reading, add_read
from multiemo.types import Clip, FaceSpec, FeatureSpec, Modality, SpeechSpec, TextSpec

FIGURES = ("uar", "macro_f1", "wf1", "accuracy")
TESTED = ("uar", "macro_f1", "wf1", "accuracy")


@dataclass(frozen=True)
class Task:
    """The train and test rows of a corpus, and the inputs of its baselines.

    Args:
        label_set: label set of the corpus.
        train, test: whether a clip belongs to the part.
        reads: (clips, folder of the manifest) -> {modality: input}.
        label_from: ``clip``, or the modality whose own label is used.
    """

    label_set: str
    train: Callable[[Clip], bool]
    test: Callable[[Clip], bool]
    reads: Callable[[Sequence[Clip], Path], dict[Modality, Input]]
    label_from: str = "clip"


def words(clips: Sequence[Clip], folder: Path) -> dict[Modality, Input]:
    return {"text": build_input("text", TextSpec(), texts=lambda: [c.text for c in clips if c.text])}


def pictures(clips: Sequence[Clip], folder: Path) -> dict[Modality, Input]:
    return {"face": build_input("face", FaceSpec(frames=1))}


def voice_and_units(clips: Sequence[Clip], folder: Path) -> dict[Modality, Input]:
    units = next(c.features["face"] for c in clips if "face" in c.features)
    dim = read_features(media_path(units.path, folder), units.key)[0].shape[1]
    return {"speech": build_input("speech", SpeechSpec()), "face": build_input("face", FeatureSpec(dim=dim))}


def _actor(first: int, last: int) -> Callable[[Clip], bool]:
    return lambda clip: first <= int(clip.speaker or 0) <= last


def _part(name: str) -> Callable[[Clip], bool]:
    return lambda clip: clip.split == name


TASKS = {
    "meld": Task("meld7", _part("train"), _part("val"), words),
    "emotiontalk": Task("emotiontalk7", _part("train"), _part("val"), words, label_from="text"),
    "fer2013": Task("fer7", _part("train"), _part("test"), pictures),
    "ravdess": Task("ravdess8", _actor(1, 12), _actor(16, 18), voice_and_units),
}


def read_run(run: Path, baselines: Predictions, labels: Sequence[str]) -> Predictions:
    """Read the predictions of an evaluated run on the same test rows.

    Args:
        run: run folder.
        baselines: predictions of the baselines.
        labels: labels of the baselines, in order.

    Raises:
        MultiemoError: the run has not been evaluated, or was evaluated on other rows or labels.
    """
    predictions = pool("multiemo", [read_records(run / "predictions.jsonl")])
    known = json.loads((run / "evaluation.json").read_text("utf-8"))["label_set"]
    if known != list(labels):
        raise MultiemoError(f"{run}: its labels are {', '.join(known)}, those of the baselines {', '.join(labels)}")
    if predictions.ids != baselines.ids:
        raise MultiemoError(
            f"{run}: was evaluated on {len(predictions.ids)} other rows than the {len(baselines.ids)} of the baselines"
        )
    return predictions


def compare(first: Predictions, one: str, second: Predictions, two: str) -> dict[str, PairedTest]:
    """Test a subset of one system against a subset of another.

    Args:
        first, second: predictions of the systems.
        one, two: keys of their subsets.

    Returns:
        {figure: difference with its interval and p-value}.
    """
    tests = paired(first, one, second, two)
    return {name: tests[name] for name in TESTED}


def measure(corpus: str, clips: Sequence[Clip], folder: Path, run: Path | None = None) -> dict[str, Any]:
    """Fit every baseline of the corpus on its train rows and measure it on its test rows.

    Args:
        corpus: a key of ``TASKS``.
        clips: rows of its manifest.
        folder: folder to which the paths of the manifest are relative.
        run: an evaluated run on the same test rows, to be compared with the baselines.

    Returns:
        ``{"corpus", "train", "test", "baselines": {name: figures}, "comparison"}``; ``train`` and ``test`` are numbers
        of rows.
    """
    task = TASKS[corpus]
    reads = task.reads(clips, folder)
    values = {
        "name": corpus,
        "label_set": task.label_set,
        "data": {"manifest": corpus},
        "encoders": {m: {"name": p.spec.kind} for m, p in reads.items()},
        "stages": list(reads)[:1],
    }
    inputs = read_inputs(parse_config(values), folder, clips, reads, label_from=task.label_from)
    rows = {part: [c.id for c in clips if wanted(c)] for part, wanted in (("train", task.train), ("test", task.test))}
    count = {part: int(inputs.labelled[[inputs.rows[i] for i in ids]].sum()) for part, ids in rows.items()}
    if not all(count.values()):
        raise MultiemoError(
            f"{corpus}: {count['train']} rows to train on and {count['test']} to test on; is --root complete?"
        )
    fitted = fit_predict(inputs, rows["train"], rows["test"])
    predictions = {name: pool(name, [records]) for name, records in fitted.items()}
    classic, figures = predictions["classic"], summarise(predictions["classic"])
    names = {key: f"mean of {' and '.join(key)}" for key in figures}
    names |= {m[0].upper(): recipe.name for m, recipe in inputs.recipes.items()}
    results = {"majority class": summarise(predictions["majority"])[classic.full]}
    results |= {names[key]: values for key, values in figures.items()}
    comparison = {}
    if run is not None:
        ours = read_run(run, classic, inputs.labels)
        add_read(run, Reading(by="classic baselines", split="test", n=len(ours.ids), test=len(ours.ids)))
        best = max(figures, key=lambda key: figures[key]["uar"])
        for key, values in summarise(ours).items():
            results[f"multiemo {key}"] = values
            comparison[f"multiemo {key} - {names[best]}"] = compare(ours, key, classic, best)
    shown = {name: {figure: values[figure] for figure in FIGURES} for name, values in results.items()}
    return {"corpus": corpus, **count, "baselines": shown, "comparison": comparison}


def table(result: dict[str, Any]) -> str:
    """The result as text."""
    names = list(result["baselines"])
    width = max(map(len, names))
    lines = [f"{result['corpus']}: trained on {result['train']} rows, tested on {result['test']}"]
    lines.append(" " * width + "".join(f"{key:>10}" for key in FIGURES))
    for name in names:
        lines.append(f"{name:<{width}}" + "".join(f"{result['baselines'][name][key]:>10.3f}" for key in FIGURES))
    for pair, tests in result["comparison"].items():
        differences = (
            f"{key} {v['difference']:+.3f} ({v['low']:+.3f} .. {v['high']:+.3f}, p {v['p']:.4f})"
            for key, v in tests.items()
        )
        lines.append(f"{pair}: {'; '.join(differences)}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The classic baselines on published parts of a corpus.")
    parser.add_argument("corpus", choices=tuple(TASKS))
    parser.add_argument("--root", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--run", type=Path, help="an evaluated multiemo run on the same test rows")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / f"{given.corpus}.jsonl"
        try:
            prepare(given.corpus, given.root, manifest)
            result = measure(given.corpus, read_manifest(manifest), manifest.parent, given.run)
        except MultiemoError as error:
            print(f"baselines: {error}", file=sys.stderr)
            return 1
    print(table(result))
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
