"""Classic baselines on the rows that multiemo reads: a table, then one JSON line.

    python benchmarks/baselines.py meld --root DIR            TF-IDF (words + characters) + logistic regression
    python benchmarks/baselines.py emotiontalk --root DIR     the same, on the labels given from the text alone
    python benchmarks/baselines.py fer2013 --root DIR         HOG + SVM
    python benchmarks/baselines.py ravdess --root DIR         MFCC statistics + SVM, action-unit means + regression

``--run RUN`` puts an evaluated multiemo run on the same test rows beside them, with paired tests.

Every classifier has fixed settings that were chosen before looking at test rows. The parts are the official ones (MELD:
train -> dev; EmotionTalk: train -> val; FER2013: train -> test); RAVDESS trains on actors 01-12 and tests on 16-18.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from multiemo.data.features import read_features
from multiemo.data.manifest import read_manifest
from multiemo.data.media import read_media
from multiemo.data.prepare import prepare
from multiemo.errors import MultiemoError
from multiemo.metrics import FIGURES, paired_test
from multiemo.types import Clip

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """Which rows are learnt from and measured on, and what is compared there.

    Args:
        train, test: whether a clip belongs to the part.
        label: the target of a clip.
        baselines: {name: (clips -> inputs, classifier)}.
    """

    train: Callable[[Clip], bool]
    test: Callable[[Clip], bool]
    label: Callable[[Clip], str | None]
    baselines: dict[str, tuple[Callable[[Sequence[Clip], Path], Any], Any]]


def texts(clips: Sequence[Clip], folder: Path) -> list[str]:
    return [clip.text or "" for clip in clips]


def tfidf_regression() -> Any:
    """Words (1-2) and characters (1-4) side by side; balanced logistic regression."""
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b|[!?]+")
    characters = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), min_df=2, sublinear_tf=True)
    return make_pipeline(make_union(words, characters), LogisticRegression(max_iter=2000, class_weight="balanced"))


def hog(clips: Sequence[Clip], folder: Path) -> Array:
    """Histograms of oriented gradients (Dalal & Triggs 2005): 8x8 cells, 2x2 blocks, 9 bins, on 48x48 grey pictures."""
    import cv2

    descriptor = cv2.HOGDescriptor((48, 48), (16, 16), (8, 8), (8, 8), 9)
    rows = []
    for clip in clips:
        frames = read_media(folder / str(clip.image), fps=1.0, where=clip.id).frames
        if frames is None:
            raise MultiemoError(f"{clip.id}: no picture in {clip.image}")
        grey = cv2.cvtColor(np.asarray(frames)[0], cv2.COLOR_RGB2GRAY)
        rows.append(descriptor.compute(cv2.resize(grey, (48, 48), interpolation=cv2.INTER_AREA)).ravel())
    return np.stack(rows)


def mfcc_statistics(clips: Sequence[Clip], folder: Path) -> Array:
    """Mean and deviation over time of 20 MFCCs and their first two differences, 16 kHz."""
    import librosa

    rows = []
    for clip in clips:
        audio = read_media(folder / str(clip.audio), start=clip.start, end=clip.end, rate=16000, where=clip.id).audio
        if audio is None:
            raise MultiemoError(f"{clip.id}: no sound in {clip.audio}")
        base = librosa.feature.mfcc(y=np.asarray(audio), sr=16000, n_mfcc=20)
        track = np.concatenate([base, librosa.feature.delta(base), librosa.feature.delta(base, order=2)])
        rows.append(np.concatenate([track.mean(axis=1), track.std(axis=1)]))
    return np.stack(rows)


def action_units(clips: Sequence[Clip], folder: Path) -> Array:
    """Means over the clip of its action-unit features."""
    refs = [clip.features["face"] for clip in clips]
    return np.stack([read_features(folder / ref.path, ref.key)[0].mean(axis=0) for ref in refs])


def svm() -> Any:
    """RBF support vector machine on standardised columns, balanced."""
    return make_pipeline(StandardScaler(), SVC(C=3.0, class_weight="balanced"))


def _actor(first: int, last: int) -> Callable[[Clip], bool]:
    return lambda clip: first <= int(clip.speaker or 0) <= last


def _part(name: str) -> Callable[[Clip], bool]:
    return lambda clip: clip.split == name


def task_of(corpus: str) -> Task:
    """Rows and baselines of a corpus."""
    tfidf = {"TF-IDF + logistic regression": (texts, tfidf_regression())}
    if corpus == "meld":
        return Task(_part("train"), _part("val"), lambda c: c.label, tfidf)
    if corpus == "emotiontalk":
        return Task(_part("train"), _part("val"), lambda c: c.modality_labels.get("text"), tfidf)
    if corpus == "fer2013":
        return Task(_part("train"), _part("test"), lambda c: c.label, {"HOG + SVM": (hog, svm())})
    units = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.1, class_weight="balanced"))
    voice_and_face: dict[str, Any] = {
        "MFCC statistics + SVM": (mfcc_statistics, svm()),
        "action-unit means + logistic regression": (action_units, units),
    }
    return Task(_actor(1, 12), _actor(16, 18), lambda c: c.label, voice_and_face)


def figures(truth: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    """Unweighted average recall, macro F1, weighted F1 and accuracy, in 0..1."""
    return {
        "uar": float(recall_score(truth, predicted, average="macro", zero_division=0)),
        "macro_f1": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "wf1": float(f1_score(truth, predicted, average="weighted", zero_division=0)),
        "accuracy": float(np.mean(np.asarray(truth) == np.asarray(predicted))),
    }


def read_run(run: Path, test: Sequence[Clip]) -> dict[str, list[str]]:
    """What an evaluated run said of the test rows: {``multiemo`` and subset key: labels}.

    Raises:
        MultiemoError: the run has not been evaluated, or on other rows.
    """
    path = run / "predictions.jsonl"
    if not path.is_file():
        raise MultiemoError(f"{path}: no such file; run `multiemo evaluate {run}` first")
    labels = json.loads((run / "evaluation.json").read_text("utf-8"))["label_set"]
    said = {r["id"]: r["probs"] for r in map(json.loads, path.read_text("utf-8").splitlines())}
    if set(said) != {c.id for c in test}:
        raise MultiemoError(f"{run}: was evaluated on {len(said)} other rows than the {len(test)} of the baselines")
    keys = sorted({key for probs in said.values() for key in probs}, key=len)
    whole = [key for key in keys if all(key in said[c.id] for c in test)]
    return {f"multiemo {key}": [labels[int(np.argmax(said[c.id][key]))] for c in test] for key in whole}


def compare(
    truth: Sequence[str], first: Sequence[str], second: Sequence[str], clips: Sequence[Clip]
) -> dict[str, dict[str, float]]:
    """{figure: difference with its interval and p-value} of two predictions of the same rows."""
    order = {label: i for i, label in enumerate(sorted({*truth, *first, *second}))}
    t, a, b = (np.array([order[x] for x in column]) for column in (truth, first, second))
    speakers = [c.speaker or c.id for c in clips]
    return {
        name: asdict(paired_test(t, a, b, speakers, len(order), FIGURES[name])) for name in ("uar", "macro_f1", "wf1")
    }


def measure(corpus: str, clips: Sequence[Clip], folder: Path, run: Path | None = None) -> dict[str, Any]:
    """Fit every baseline of the corpus on its train rows and measure it on its test rows.

    Args:
        corpus: a name that :func:`task_of` knows.
        clips: rows of its manifest.
        folder: where the manifest's paths start.
        run: an evaluated run on the same test rows, to stand beside them.

    Returns:
        ``{"corpus", "train", "test", "baselines": {name: figures}, "comparison"}`` with numbers of rows.
    """
    task = task_of(corpus)
    train = [c for c in clips if task.train(c) and task.label(c) is not None]
    test = [c for c in clips if task.test(c) and task.label(c) is not None]
    if not train or not test:
        raise MultiemoError(f"{corpus}: {len(train)} rows to train on and {len(test)} to test on; is --root complete?")
    known, truth = [str(task.label(c)) for c in train], [str(task.label(c)) for c in test]
    majority = DummyClassifier().fit(np.zeros((len(train), 1)), known).predict(np.zeros((len(test), 1)))
    said = {"majority class": list(majority)}
    for name, (inputs, classifier) in task.baselines.items():
        fitted = classifier.fit(inputs(train, folder), known)
        said[name] = list(fitted.predict(inputs(test, folder)))
    results = {name: figures(truth, predicted) for name, predicted in said.items()}
    best = max(results, key=lambda name: results[name]["uar"])
    comparison = {}
    if run is not None:
        for name, predicted in read_run(run, test).items():
            results[name] = figures(truth, predicted)
            comparison[f"{name} - {best}"] = compare(truth, predicted, said[best], test)
    return {
        "corpus": corpus, "train": len(train), "test": len(test), "baselines": results, "comparison": comparison
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """The result as text."""
    names = list(result["baselines"])
    width = max(map(len, names))
    keys = ("uar", "macro_f1", "wf1", "accuracy")
    lines = [f"{result['corpus']}: trained on {result['train']} rows, tested on {result['test']}"]
    lines.append(" " * width + "".join(f"{key:>10}" for key in keys))
    for name in names:
        lines.append(f"{name:<{width}}" + "".join(f"{result['baselines'][name][key]:>10.3f}" for key in keys))
    for pair, tests in result["comparison"].items():
        said = (
            f"{key} {v['difference']:+.3f} ({v['low']:+.3f} .. {v['high']:+.3f}, p {v['p']:.4f})"
            for key, v in tests.items()
        )
        lines.append(f"{pair}: {'; '.join(said)}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Classic baselines on the rows that multiemo reads.")
    parser.add_argument("corpus", choices=("meld", "emotiontalk", "fer2013", "ravdess"))
    parser.add_argument("--root", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--run", type=Path, help="an evaluated multiemo run on the same test rows")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / f"{given.corpus}.jsonl"
        try:
            prepare(given.corpus, given.root, manifest)
            result = measure(given.corpus, list(read_manifest(manifest)), manifest.parent, given.run)
        except MultiemoError as error:
            print(f"baselines: {error}", file=sys.stderr)
            return 1
    print(table(result))
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
