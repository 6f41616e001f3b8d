"""Rules, a trained branch, and both together on the same clips: a table, then one JSON line.

    python benchmarks/rules_beside_trained.py --rules RUN --trained RUN [--subset S] [--split val]

RUN is a run folder or one of its branches, for example ``runs/ravdess_av/branches/speech``. "Both" multiplies the two
calibrated posteriors and divides by the prior, so that it counts once. No weight is fitted. Its label is the one whose
posterior exceeds its prior the most, which suits the unweighted average recall. The default part is val; every reading
of a test part is logged in both runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

import numpy as np

from multiemo.arrays import Array
from multiemo.benchmark.document import SystemFigures
from multiemo.benchmark.predictions import Predictions, pool
from multiemo.benchmark.results import paired, summarise
from multiemo.errors import MultiemoError
from multiemo.runs import evaluate_run
from multiemo.runs.model_folder import load_bundle


def read(name: str, run: str, subset: str, split: str) -> Predictions:
    """Predict a part of a run's own split.

    Args:
        name: name of the system, for the table.
        run: run folder, or one of its branches.
        subset: key of the subset that is compared.
        split: part of the split.

    Raises:
        MultiemoError: the run cannot be evaluated, or its model does not read the subset.
    """
    found = pool(name, [evaluate_run(run, split=split, by="benchmarks/rules_beside_trained.py").predictions])
    if subset not in found.probabilities:
        raise MultiemoError(f"{run}: has no subset {subset}; it has {', '.join(found.probabilities)}")
    return Predictions(
        name,
        found.ids,
        found.speakers,
        found.target,
        {subset: found.probabilities[subset]},
        decided={subset: found.decided[subset]},
    )


def together(first: Predictions, second: Predictions, subset: str, prior: Array) -> Predictions:
    """Join two systems on the same clips by the product of their posteriors over the prior.

    Args:
        first, second: the systems.
        subset: key of their subset.
        prior: ``[C]`` frequency of each label in training.

    Raises:
        MultiemoError: the two were tested on different clips.
    """
    if first.ids != second.ids:
        raise MultiemoError(f"{first.name} and {second.name}: the runs were tested on different clips; use one split")
    evidence = sum(np.log(system.probabilities[subset].clip(1e-9)) - np.log(prior) for system in (first, second))
    weighted = np.exp(evidence + np.log(prior))
    probabilities = {subset: weighted / weighted.sum(-1, keepdims=True)}
    decided = {subset: np.asarray(np.argmax(evidence, axis=-1), dtype=np.int64)}
    return Predictions("both", first.ids, first.speakers, first.target, probabilities, decided=decided)


def row(name: str, figures: SystemFigures, labels: Sequence[str]) -> str:
    """One line of the table."""
    low, high = figures["uar_ci"]
    recalls = "  ".join(f"{label} {recall:.2f}" for label, recall in zip(labels, figures["recall"], strict=True))
    return (
        f"{name:8s} UAR {figures['uar']:.3f} ({low:.3f} .. {high:.3f})  accuracy {figures['accuracy']:.3f}  {recalls}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", required=True, help="run of a rule branch")
    parser.add_argument("--trained", required=True, help="run of a trained branch")
    parser.add_argument("--subset", default="S", help="T, S or F")
    parser.add_argument("--split", default="val", help="part of the split")
    given = parser.parse_args(arguments)
    try:
        bundle = load_bundle(given.rules)
        rules = read("rules", given.rules, given.subset, given.split)
        trained = read("trained", given.trained, given.subset, given.split)
        both = together(rules, trained, given.subset, bundle.model.prior.double().numpy())
    except MultiemoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    labels = bundle.config.columns
    figures = {system.name: summarise(system)[given.subset] for system in (rules, trained, both)}
    print(f"{len(rules.ids)} clips of {len(set(rules.speakers))} speakers, {given.split}, chance {1 / len(labels):.3f}")
    for name, values in figures.items():
        print(row(name, values, labels))
    tests = {
        f"{a.name} - {b.name}": paired(a, given.subset, b, given.subset)["uar"]
        for a, b in ((trained, rules), (both, trained))
    }
    for name, test in tests.items():
        print(f"{name}: {json.dumps(test)}")
    print(json.dumps({"subset": given.subset, "split": given.split, "systems": figures, "paired": tests}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
