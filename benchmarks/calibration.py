"""What calibration on few people does to other people: tables, then one JSON line.

    python benchmarks/calibration.py NAME=RUN[,RUN...]=MANIFEST ... [--people 1 2 3 5 10] [--draws 30] [--part test]

The clips of one part of each run are divided by person, again and again: K people are drawn, the calibration is fitted
on their clips, and it is measured on the clips of the others. The people of the part must be unknown to the model. The
runs of a benchmark with two folds have many such people:

    multiemo benchmark configs/ravdess_av.yaml --folds 2 --out runs/two_folds
    python benchmarks/calibration.py ravdess=runs/two_folds/cells/fold0-seed0,...=manifests/ravdess.jsonl

Three rules are compared: ``prior`` converts probabilities to the label frequencies of train and fits nothing;
``selected`` takes the strength of the prior (1 to 1000 clips) with the lowest loss of people left out; ``shrunk`` is
what multiemo does (``multiemo.calibration.scaling``). Nothing is written to the runs but a line for each reading.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multiemo import metrics
from multiemo.arrays import Array
from multiemo.calibration import (
    abstention_threshold,
    change_of_prior,
    fit_scaling,
    logits_of,
    scaling,
    temper,
    top_label,
)
from multiemo.errors import MultiemoError
from multiemo.evaluation import collect
from multiemo.report import markdown
from multiemo.runs import batches, load_bundle
from multiemo.runs.device import compute_of
from multiemo.runs.evaluation import _model_and_batches
from multiemo.runs.folder.evaluation_log import count_read
from multiemo.runs.folder.recorded_paths import cache_of
from multiemo.runs.folder.source import part_of, stored_source
from multiemo.types import SUBSETS

#: Strengths of the rule that selects one by cross-validation, in clips.
STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
#: Fewest clips to fit on and to measure on.
FEWEST_FIT, FEWEST_MEASURED = 5, 30
#: A draw counts as harmed if the loss of other people rises by more than this, in nats per clip.
HARM = 0.01
#: Allowed error rate of the abstention that is measured.
MAX_ERROR = 0.3


@dataclass(frozen=True, slots=True)
class System:
    """Uncalibrated outputs of a run for one subset of modalities.

    Args:
        subset: key of the subset.
        probabilities, target: ``[N, C]``.
        people: ``[N]`` speaker of each clip.
        learnt, prior: ``[C]`` label frequencies of the posteriors, and of train.
    """

    subset: str
    probabilities: Array
    target: Array
    people: Any
    learnt: Array
    prior: Array


def systems_of(run: Path, manifest: Path, part: str) -> Iterator[System]:
    """The single modalities and the full subset of a run on one of its parts."""
    bundle = load_bundle(run)
    if bundle.config.task != "single":
        raise SystemExit(f"{run}: task {bundle.config.task}; this measures runs with one label per clip")
    source, _ = stored_source(run, bundle, manifest)
    data = bundle.config.data.model_copy(update={"cache": cache_of(run, bundle.config.data.cache)})
    config = bundle.config.model_copy(update={"data": data})
    clips = part_of(source, part)
    prepared = batches.prepare_part(
        config, source.folder, clips, bundle.inputs, label_from=source.label_from, dialogue=source.clips
    )
    found = collect(*_model_and_batches(bundle, prepared, compute_of(bundle.config, "cpu"), (0, 1)))
    count_read(bundle, clips, by="benchmarks/calibration.py", split=part)
    full = max(found.probabilities, key=len)
    for key, values in found.probabilities.items():
        if len(key) > 1 and key != full:
            continue
        rows = np.logical_and.reduce([found.presence[m] for m in SUBSETS[key]])
        yield System(
            key, values[rows], found.target[rows], np.asarray(found.speakers)[rows],
            bundle.model.effective_prior.double().numpy(), bundle.prior.double().numpy(),
        )  # fmt: skip


def prior_only(fit: System) -> tuple[float, Array]:
    """Nothing is fitted."""
    return 1.0, change_of_prior(fit.learnt, fit.prior, 1.0)


def selected(fit: System) -> tuple[float, Array]:
    """The strength with the lowest loss of people left out, as multiemo 0.1 chose it."""
    people = np.unique(fit.people, return_inverse=True)[1]
    folds = scaling._folds(people)
    evidence = logits_of(fit.probabilities) - scaling._prior_logits(fit.learnt, "single")
    start = scaling._prior_logits(fit.prior, "single")

    def loss(strength: float) -> float:
        total = 0.0
        for fold in range(int(folds.max()) + 1):
            held = folds == fold
            b, v = scaling._fit(evidence[~held], fit.target[~held], "single", fit.prior, strength)
            total += float(scaling._losses(b * evidence[held] + start + v, fit.target[held], "single")[0].sum())
        return total

    strength = min(STRENGTHS, key=loss) if folds.max() > 0 else STRENGTHS[0]
    b, v = scaling._fit(evidence, fit.target, "single", fit.prior, strength)
    return 1 / b, change_of_prior(fit.learnt, fit.prior, 1 / b) + v


def shrunk(fit: System) -> tuple[float, Array]:
    """The rule of multiemo."""
    return fit_scaling(fit.probabilities, fit.target, learnt=fit.learnt, prior=fit.prior, groups=fit.people)


RULES: dict[str, Callable[[System], tuple[float, Array]]] = {
    "prior": prior_only, "selected": selected, "shrunk": shrunk,
}  # fmt: skip


def rows_of(system: System, rows: Any) -> System:
    """The same system on some of its clips."""
    return System(
        system.subset, system.probabilities[rows], system.target[rows], system.people[rows], system.learnt, system.prior
    )


def measured(p: Array, target: Array) -> list[float]:
    """Loss in nats per clip, expected calibration error and Brier score."""
    loss = -np.log(np.clip((p * target).sum(axis=1), 1e-12, None)).mean()
    return [
        float(loss),
        metrics.expected_calibration_error(p, target.argmax(1)),
        float(((p - target) ** 2).sum(1).mean()),
    ]


def draw(system: System, people: int, rng: np.random.Generator) -> dict[str, Any] | None:
    """Fit every rule on clips of some people and measure it on those of the others; ``None`` with too few clips."""
    chosen = rng.choice(np.unique(system.people), people, replace=False)
    inside = np.isin(system.people, chosen)
    fit, rest = rows_of(system, inside), rows_of(system, ~inside)
    if len(fit.target) < FEWEST_FIT or len(rest.target) < FEWEST_MEASURED:
        return None
    found: dict[str, Any] = {"raw": measured(rest.probabilities, rest.target)}
    for name, rule in RULES.items():
        temperature, bias = rule(fit)
        own, other = (temper(part.probabilities, temperature, bias=bias) for part in (fit, rest))
        found[name] = measured(other, rest.target)
        if name == "shrunk":
            threshold = abstention_threshold(*top_label(own, fit.target), MAX_ERROR, people=fit.people)
            loose = abstention_threshold(*top_label(own, fit.target), MAX_ERROR)
            found["answers"] = [answered(other, rest.target, limit) for limit in (loose, threshold)]
    return found


def answered(p: Array, target: Array, threshold: float | None) -> tuple[float, float]:
    """Coverage and error rate of the answered clips."""
    confidence, right = top_label(p, target)
    given = np.zeros(len(right), dtype=bool) if threshold is None else confidence >= threshold
    return float(given.mean()), float((~right[given]).mean()) if given.any() else 0.0


def summarise(draws: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over draws, and the middle 80% of the change in loss against ``prior``."""
    base = np.array([d["prior"] for d in draws])
    found: dict[str, Any] = {"draws": len(draws)}
    for name in ("raw", *RULES):
        values = np.array([d[name] for d in draws])
        change = values[:, 0] - base[:, 0]
        low, high = np.quantile(change, [0.1, 0.9])
        found[name] = {
            "loss": values[:, 0].mean(), "change": change.mean(), "change_80": [low, high],
            "harmed": (change > HARM).mean(), "ece": values[:, 1].mean(), "brier": values[:, 2].mean(),
        }  # fmt: skip
    for name, at in (("clips", 0), ("people", 1)):
        pairs = np.array([d["answers"][at] for d in draws])
        found[f"abstention_{name}"] = {"coverage": pairs[:, 0].mean(), "exceeded": (pairs[:, 1] > MAX_ERROR).mean()}
    return json.loads(json.dumps(found), parse_float=lambda v: round(float(v), 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN[,RUN...]=MANIFEST", help="runs and their manifest")
    parser.add_argument("--people", type=int, nargs="+", default=[1, 2, 3, 5, 10], help="people to fit on")
    parser.add_argument("--draws", type=int, default=30, help="draws for each run, subset and number of people")
    parser.add_argument("--part", default="test", help="part of the runs' splits (default: test)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    results: dict[str, dict[str, Any]] = {}
    head = ["corpus", "people", "draws", "rule", "loss", "change", "80% of draws", "harmed", "ECE", "Brier"]
    table, limits = [head], [["corpus", "people", "exceeded", "coverage", "exceeded, by people", "coverage, by people"]]
    for argument in options.runs:
        name, runs, manifest = argument.split("=")
        try:
            systems = [s for run in runs.split(",") for s in systems_of(Path(run), Path(manifest), options.part)]
        except MultiemoError as error:
            sys.exit(f"{name}: {error}")
        for people in options.people:
            enough = [s for s in systems if len(np.unique(s.people)) > people]
            draws = [d for s in enough for _ in range(options.draws) if (d := draw(s, people, rng)) is not None]
            if not draws:
                continue
            found = results.setdefault(name, {})[str(people)] = summarise(draws)
            for rule in ("raw", *RULES):
                row = found[rule]
                low, high = row["change_80"]
                numbers = [f"{row['loss']:.3f}", f"{row['change']:+.4f}", f"{low:+.3f} .. {high:+.3f}"]
                numbers += [f"{row['harmed']:.0%}", f"{row['ece']:.3f}", f"{row['brier']:.3f}"]
                table.append([name, str(people), str(len(draws)), rule, *numbers])
            kinds = [found["abstention_clips"], found["abstention_people"]]
            limits.append([name, str(people), *(f"{k[v]:.0%}" for k in kinds for v in ("exceeded", "coverage"))])
    print("\n".join(markdown(table)))
    print(f"\nabstention with max_error {MAX_ERROR}: share of draws in which other people's error rate exceeds it\n")
    print("\n".join(markdown(limits)))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
