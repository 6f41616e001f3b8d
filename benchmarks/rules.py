"""Rules against a trained branch, against both fused: the test parts of runs of one split.

    python benchmarks/rules.py RULES_RUN TRAINED_RUN [RULES_RUN TRAINED_RUN ...] [--split test] [--pool]

Each pair names a run of rules (``encoders.text.name: text_rules`` and the like) and one of a trained encoder, both with
single labels, the same manifest and the same split. "both" is a late fusion at the level of decisions: the evidence of
the two branches (calibrated log-probability minus log-prior) times one weight per branch, plus one bias per label, all
fitted on validation. Its labels are decided with the costs of the trained branch. Figures have intervals over speakers
(over clips where no speaker is known); differences are tested in pairs. Prints one table per pair, then one JSON line.
With --pool, the pairs are the folds of one corpus: the weights are fitted in each fold, and the table is of all test
clips. A fused run is read through the folder of one of its branches (``RUN/branches/speech``).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multiemo.arrays import Array
from multiemo.benchmark.predictions import Predictions, pool
from multiemo.calibration import decide
from multiemo.metrics import estimates, label_measure, paired_tests
from multiemo.runs import Bundle, evaluate_run, load_bundle
from multiemo.types import SMALLEST_PRIOR

#: Figures in the table, and their titles.
FIGURES = {"uar": "UAR", "macro_f1": "macro F1", "wf1": "WF1"}
#: Weight decay of the fitted fusion, on the distance of the weights from 1 and of the biases from 0.
DECAY = 1e-3


@dataclass(frozen=True, slots=True)
class Part:
    """The predictions of the two branches on one part, on the clips that both have.

    Args:
        ids: N clips.
        speakers: speaker of each clip.
        truth: ``[N]`` label indices.
        evidence: ``[2, N, C]`` of the rules and the trained branch; zeros where a branch has no input.
        labels: ``[2, N]`` labels that each decides; the most frequent label of train where it has no input.
    """

    ids: list[str]
    speakers: list[str]
    truth: Array
    evidence: Array
    labels: Array


def read_part(runs: tuple[Path, Path], bundles: tuple[Bundle, Bundle], split: str) -> Part:
    """Evaluate both runs on one part; a read of test is logged.

    Args:
        runs: run folders of the rules and the trained branch.
        bundles: their models.
        split: ``val`` or ``test``.
    """
    found: list[Predictions] = []
    for run in runs:
        report = evaluate_run(run, split=split, by="benchmarks/rules")
        if report.task != "single":
            raise SystemExit(f"{run}: predicts with task {report.task}; this script compares single labels")
        found.append(pool(run.name, [report.predictions]))
    common = sorted(set(found[0].ids) & set(found[1].ids))
    evidence, labels = [], []
    for predictions, bundle in zip(found, bundles, strict=True):
        rows = [predictions.ids.index(name) for name in common]
        probabilities = predictions.probabilities[predictions.full][0][rows]
        prior = np.clip(bundle.prior.double().numpy(), SMALLEST_PRIOR, None)
        evidence.append(np.nan_to_num(np.log(np.clip(probabilities, SMALLEST_PRIOR, None)) - np.log(prior)))
        decided = predictions.labels(predictions.full, "single")[0][rows]
        labels.append(np.where(decided < 0, prior.argmax(), decided))
    rows = [found[0].ids.index(name) for name in common]
    speakers = [found[0].speakers[i] for i in rows]
    return Part(common, speakers, found[0].target[rows].argmax(1), np.stack(evidence), np.stack(labels))


def fit(part: Part, prior: Array) -> tuple[Tensor, Tensor]:
    """Weights ``[2]`` of the branches and biases ``[C]`` that minimise the loss on validation."""
    evidence, truth = torch.from_numpy(part.evidence), torch.from_numpy(part.truth)
    weights = torch.ones(2, dtype=torch.float64, requires_grad=True)
    biases = torch.zeros(len(prior), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, biases], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = (weights[:, None, None] * evidence).sum(0) + biases + torch.from_numpy(np.log(prior))
        decay = DECAY * ((weights - 1).square().sum() + biases.square().sum())
        total = torch.nn.functional.cross_entropy(logits, truth) + decay
        total.backward()
        return total

    optimizer.step(loss)
    return weights.detach(), biases.detach()


def fused_labels(part: Part, weights: Tensor, biases: Tensor, prior: Array, costs: Array | None) -> Array:
    """``[N]`` labels of the fusion.

    Args:
        part: the part.
        weights, biases: see :func:`fit`.
        prior: ``[C]`` label frequencies of train.
        costs: ``[C]`` costs of the decision, if any.
    """
    logits = (weights[:, None, None] * torch.from_numpy(part.evidence)).sum(0) + biases
    probabilities = (logits + torch.from_numpy(np.log(prior))).softmax(1).numpy()
    return decide(probabilities, costs=costs)


@dataclass(frozen=True, slots=True)
class Fold:
    """One pair of runs: the labels of each system on a part.

    Args:
        part: the part.
        labels: {system: ``[N]`` labels}.
        weights: weights of the rules and of the trained branch in the fusion.
        count: number of labels.
    """

    part: Part
    labels: dict[str, Array]
    weights: tuple[float, float]
    count: int


def decide_fold(runs: tuple[Path, Path], split: str) -> Fold:
    """Fit the fusion of one pair of runs on validation, and decide the labels of a part.

    Args:
        runs: run folders of the rules and the trained branch.
        split: part to compare on.
    """
    bundles = load_bundle(runs[0]), load_bundle(runs[1])
    if bundles[0].labels != bundles[1].labels:
        raise SystemExit(f"{runs[0]} and {runs[1]} predict different labels")
    prior = np.clip(bundles[1].prior.double().numpy(), SMALLEST_PRIOR, None)
    weights, biases = fit(read_part(runs, bundles, "val"), prior)
    part = read_part(runs, bundles, split)
    trained = bundles[1].calibration.costs
    costs = np.array(trained[max(trained, key=len)]) if trained else None
    labels = {
        "majority": np.full(len(part.ids), prior.argmax()),
        "rules": part.labels[0],
        "trained": part.labels[1],
        "both": fused_labels(part, weights, biases, prior, costs),
    }
    return Fold(part, labels, (float(weights[0]), float(weights[1])), len(prior))


def compare(runs: Sequence[tuple[Path, Path]], split: str) -> dict[str, Any]:
    """Figures and tests of one pair of runs, or of the folds of one corpus together.

    Args:
        runs: run folders of the rules and the trained branch, of each fold.
        split: part to compare on.
    """
    folds = [decide_fold(pair, split) for pair in runs]
    ids = [name for fold in folds for name in fold.part.ids]
    if len(set(ids)) < len(ids):
        raise SystemExit(f"{runs[0][0]} and others: their {split} parts share clips; pool the folds of one benchmark")
    speakers = [name for fold in folds for name in fold.part.speakers]
    truth = np.concatenate([fold.part.truth for fold in folds])
    labels = {name: np.concatenate([fold.labels[name] for fold in folds]) for name in folds[0].labels}
    measure = label_measure(folds[0].count)
    figures: dict[str, dict[str, Any]] = {}
    for name, predicted in labels.items():
        found = estimates(measure, truth, predicted, speakers)
        figures[name] = {k: [round(v, 4) for v in (found[k].value, found[k].low, found[k].high)] for k in FIGURES}
    tests: dict[str, dict[str, Any]] = {}
    for first, second in (("trained", "rules"), ("both", "trained"), ("rules", "majority")):
        paired = paired_tests(measure, truth, labels[first], labels[second], speakers)
        tests[f"{first} - {second}"] = {
            k: [round(v, 4) for v in (paired[k].difference, paired[k].low, paired[k].high, paired[k].p)]
            for k in FIGURES
        }
    weights = np.mean([fold.weights for fold in folds], axis=0)
    return {
        "rules": runs[0][0].name,
        "trained": runs[0][1].name,
        "split": split,
        "folds": len(folds),
        "n": len(ids),
        "speakers": len(set(speakers)),
        "weights": {"rules": round(float(weights[0]), 3), "trained": round(float(weights[1]), 3)},
        "figures": figures,
        "tests": tests,
    }


def show(found: dict[str, Any]) -> None:
    """Print one pair as a table."""
    clips = f"{found['n']} clips of {found['speakers']} speakers, {found['split']}"
    print(f"{found['rules']} and {found['trained']}: {clips}")
    print(f"weights in the fusion: rules {found['weights']['rules']}, trained {found['weights']['trained']}\n")
    print("| system | " + " | ".join(f"{title} (95% interval)" for title in FIGURES.values()) + " |")
    print("|---|" + "---|" * len(FIGURES))
    for name, values in found["figures"].items():
        print(f"| {name} | " + " | ".join("{:.3f} ({:.3f} .. {:.3f})".format(*values[k]) for k in FIGURES) + " |")
    print()
    for name, values in found["tests"].items():
        cells = ("{} {:+.3f} ({:+.3f} .. {:+.3f}, p = {:.3g})".format(FIGURES[k], *values[k]) for k in FIGURES)
        print(f"{name}: {'; '.join(cells)}")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders, in pairs: rules, then trained")
    parser.add_argument("--split", default="test", help="part to compare on (default: test)")
    parser.add_argument("--pool", action="store_true", help="the pairs are the folds of one corpus")
    arguments = parser.parse_args()
    if len(arguments.runs) % 2:
        parser.error("name the runs in pairs: a run of rules, then a trained one")
    pairs = list(zip(arguments.runs[::2], arguments.runs[1::2], strict=True))
    results = [compare(folds, arguments.split) for folds in ([pairs] if arguments.pool else [[pair] for pair in pairs])]
    for found in results:
        show(found)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
