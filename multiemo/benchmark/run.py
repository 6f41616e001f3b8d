"""The whole benchmark: plan, train and test every fold with every seed, measure, write it down.

Everything that takes long is kept in the folder as soon as it is known, so a call that was stopped is simply made
again::

    config.yaml  protocol.json  duplicates.json   what is measured
    cells/  shuffled/                             one run folder a training
    classic.json  robustness.json  cost.json      measured from them
    benchmark.json  report.html  table.csv  table.tex
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from multiemo import metrics
from multiemo.benchmark import results
from multiemo.benchmark.cells import Cell, cells_of, run_cells
from multiemo.benchmark.classic import fit_predict, read_inputs
from multiemo.benchmark.cost import measure_cost
from multiemo.benchmark.descriptors import hog_descriptor
from multiemo.benchmark.environment import describe_environment
from multiemo.benchmark.predictions import Predictions, Record, pool, read_records
from multiemo.benchmark.protocol import Protocol, plan, prior_of, random_protocol, without_clips
from multiemo.benchmark.report import write_report
from multiemo.benchmark.robustness import robustness_curves
from multiemo.build import load_bundle
from multiemo.build.device import trains_on
from multiemo.build.lock import LOCK, alone_in
from multiemo.build.parts import uses_features
from multiemo.build.reads import add_read, reads_of, reads_of_test
from multiemo.build.run_folder import begun, differing
from multiemo.build.sources import open_manifest
from multiemo.config import Config, load_stored, save_config
from multiemo.data.cache_settings import default_cache
from multiemo.data.duplicates import across_parts, describe, find_duplicates, to_leave_out
from multiemo.errors import CheckpointError, SplitError
from multiemo.evaluation import finite
from multiemo.extras import require
from multiemo.files import write_atomically
from multiemo.progress import Progress


def run_benchmark(
    config: Config, out: str | Path, *, show_leak: bool = False, command: str = "", progress: Progress | None = None
) -> dict[str, Any]:
    """Measure a config by its protocol.

    Args:
        config: an experiment; its ``benchmark`` section says how it is measured.
        out: benchmark folder; one that was begun with the same config is finished.
        show_leak: also train and test on shuffled clips, and report what that would have claimed.
        command: the command line, for the report.
        progress: told how far it is.

    Returns:
        The benchmark JSON.

    Raises:
        MultiemoError: the protocol does not fit, a baseline cannot be computed here, a training failed, or ``out``
            holds another benchmark.
    """
    folder = Path(out)
    trains_on(config)  # says now what every training would say
    folder.mkdir(parents=True, exist_ok=True)
    progress = progress or Progress()
    with alone_in(folder, progress):
        return _run(config, folder, show_leak, command, progress)


def _run(config: Config, folder: Path, show_leak: bool, command: str, progress: Progress) -> dict[str, Any]:
    protocol = plan(config)
    if config.benchmark.baselines:
        for module in ("sklearn", "librosa"):
            require(module, "benchmark.baselines", instead=", or set benchmark.baselines=false")
    if config.benchmark.baselines and "face" in config.modalities and not uses_features(config, "face"):
        hog_descriptor()  # says now what would be said after the trainings
    shuffled = random_protocol(config, protocol) if show_leak else None
    _open_folder(folder, config)
    protocol, duplicates = _settle_duplicates(config, protocol, folder, progress)
    save_config(config, folder / "config.yaml")  # only now: what duplicates stopped may be begun otherwise
    _write_protocol(folder, protocol)
    seeds = config.benchmark.seeds
    cells = cells_of(protocol, seeds, folder / "cells")
    run_cells(cells, jobs=config.benchmark.jobs, progress=progress)
    leaking: list[Cell] = []
    if shuffled is not None:
        progress.note("now with shuffled clips and the first seed, to see what a leak is worth")
        leaking = cells_of(shuffled, 1, folder / "shuffled")
        run_cells(leaking, jobs=config.benchmark.jobs, progress=progress)
    model = pool_cells("multiemo", cells)
    notes = list(protocol.notes)
    result: dict[str, Any] = {
        "name": config.name,
        "task": config.task,
        "label_set": [] if config.task == "dimensions" else list(config.columns),
        "split": "test",
        "n": len(model.ids),
        "speakers": len(set(model.speakers)),
        "corpus_kind": protocol.corpus_kind,
        "seeds": sorted({cell.seed for cell in cells}),
        "full": model.full,
        "protocol": protocol.to_json(),
        "duplicates": duplicates,
        "command": command,
        "environment": describe_environment(),
    }
    classic: Predictions | None = None
    if config.benchmark.baselines:
        classic, said = _classic(config, protocol, cells, folder, progress)
        notes += said
    result |= _figures(model, classic, protocol, cells, config)
    first = [cell for cell in cells if cell.seed == config.seed]
    if leaking:
        result["leak"] = _leak(pool_cells("people apart", first), pool_cells("shuffled clips", leaking), config.task)
    if config.benchmark.robustness:
        result["robustness"] = _kept(folder / "robustness.json", lambda: _robustness(first, progress))
    result["cost"] = _kept(folder / "cost.json", lambda: _cost(cells[0], progress))
    result["reads"] = _reads(cells, folder)
    if leaking:
        result["leak"]["reads"] = _reads(leaking, folder / "shuffled")
    result["notes"] = list(dict.fromkeys([*notes, *_notes(result, config)]))
    result = finite(result)
    write_atomically(folder / "benchmark.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    write_report(folder, result)
    return result


def pool_cells(name: str, cells: Sequence[Cell]) -> Predictions:
    """What all cells said, seed by seed."""
    seeds: dict[int, list[Record]] = {}
    for cell in cells:
        seeds.setdefault(cell.seed, []).extend(read_records(cell.folder / "predictions.jsonl"))
    return pool(name, list(seeds.values()))


def _open_folder(folder: Path, config: Config) -> None:
    """See that what is in the folder is the same benchmark, or one in which nothing has been trained yet."""
    stored = folder / "config.yaml"
    if stored.is_file():
        others = differing(load_stored(stored), config, length=True)
        if others and any(begun(cell) for part in ("cells", "shuffled") for cell in folder.glob(f"{part}/*")):
            raise CheckpointError(
                f"{folder}: holds a benchmark of another config ({', '.join(others)}); choose another --out, or "
                "remove it"
            )
        if others:
            (folder / "protocol.json").unlink(missing_ok=True)
        return
    if any(entry.name not in ("duplicates.json", LOCK) for entry in folder.iterdir()):
        raise CheckpointError(f"{folder}: is not empty and holds no benchmark; choose another --out")


def _write_protocol(folder: Path, protocol: Protocol) -> None:
    """Write the protocol down, or refuse one that is not the one that was begun with."""
    path = folder / "protocol.json"
    if path.is_file():
        known = json.loads(path.read_text("utf-8"))["hash"]
        if known != protocol.hash:
            raise CheckpointError(
                f"{path}: was begun with the protocol {known}, the manifest and config now give {protocol.hash}; the "
                "manifest has changed, so choose another --out"
            )
    write_atomically(path, json.dumps(protocol.to_json(), indent=1, ensure_ascii=False) + "\n")


def _kept(path: Path, make: Callable[[], Any]) -> Any:
    """What the file holds, or what ``make`` gives, which the file then holds."""
    if path.is_file():
        return json.loads(path.read_text("utf-8"))
    made = make()
    write_atomically(path, json.dumps(made, ensure_ascii=False) + "\n")
    return made


def _settle_duplicates(
    config: Config, protocol: Protocol, folder: Path, progress: Progress
) -> tuple[Protocol, dict[str, Any]]:
    """Look for near-duplicates across the parts of every fold and do with them what the config says.

    Raises:
        SplitError: there are some, and ``benchmark.duplicates`` is ``stop``.
    """
    cache = Path(config.data.cache) if config.data.cache else default_cache()
    progress.stage("look for near-duplicates")
    found = find_duplicates(protocol.clips, protocol.folder, cache=cache, progress=progress)
    crossings = {fold.name: across_parts(found, fold.split) for fold in protocol.folds}
    pairs = [
        f"{name}: {line}" for name, crossing in crossings.items() for line in describe(crossing, len(crossing))[1:]
    ]
    write_atomically(folder / "duplicates.json", json.dumps(pairs, indent=1, ensure_ascii=False) + "\n")
    if not pairs:
        return protocol, {"found": 0, "said": f"none across parts (within one: {len(found)})", "pairs": []}
    if config.benchmark.duplicates == "stop":
        shown = "; ".join(pairs[:3]) + (f"; and {len(pairs) - 3} more" if len(pairs) > 3 else "")
        raise SplitError(
            f"{len(pairs)} near-duplicates stand in two parts: {shown}. All are listed in "
            f"{folder / 'duplicates.json'}; set benchmark.duplicates=drop to leave out the copy that is not tested, or "
            "keep to test on what was trained on and have the report say so"
        )
    said = f"{len(pairs)} across parts, kept: figures on those clips may measure memory"
    if config.benchmark.duplicates == "drop":
        protocol = without_clips(config, protocol, {name: to_leave_out(c) for name, c in crossings.items()})
        said = f"{len(pairs)} across parts; of each, the copy that is not tested was left out"
    progress.note(f"near-duplicates: {said}")
    return protocol, {"found": len(pairs), "said": said, "pairs": pairs[:50]}


def _classic(
    config: Config, protocol: Protocol, cells: Sequence[Cell], folder: Path, progress: Progress
) -> tuple[Predictions, list[str]]:
    """What the classic baselines said, pooled over the folds, and what a reader must know of them."""

    def make() -> dict[str, Any]:
        progress.stage("classic baselines: read")
        inputs = read_inputs(
            config,
            protocol.folder,
            protocol.clips,
            load_bundle(cells[0].folder).inputs,
            label_from=config.data.label_from,
            progress=progress,
        )
        progress.stage("classic baselines: fit")
        said: list[Record] = []
        notes: list[str] = []
        for done, fold in enumerate(protocol.folds, start=1):
            parts = fold.split.parts
            learnt = [*parts["train"], *parts["val"]]  # nothing is selected, so validation is learnt from too
            records = fit_predict(inputs, learnt, parts["test"])["classic"]
            add_read(folder, {"by": "classic baselines", "fold": fold.name, "split": "test", "test": len(records)})
            said += records
            notes += inputs.notes(learnt)
            progress.update(done, len(protocol.folds))
        return {"notes": list(dict.fromkeys(notes)), "records": said}

    kept = _kept(folder / "classic.json", make)
    return pool("classic", [kept["records"]]), kept["notes"]


def _figures(
    model: Predictions,
    classic: Predictions | None,
    protocol: Protocol,
    cells: Sequence[Cell],
    config: Config,
) -> dict[str, Any]:
    """Tables and tests of the benchmark JSON."""
    task = config.task
    systems = {"multiemo": results.summarise(model, task)}
    families = {"what each modality adds": results.family(results.modality_pairs(model), task)}
    if classic is not None:
        systems["classic"] = results.summarise(classic, task)
        pairs = results.system_pairs(model, classic)
        families["against the classic baselines"] = results.family(pairs, task)
    evaluations = [json.loads((cell.folder / "evaluation.json").read_text("utf-8")) for cell in cells]
    diagrams: dict[str, dict[str, Any]] = {}
    for key in model.probabilities:
        stored = [e["calibration"].get("reliability", {}).get(key) for e in evaluations]
        if all(stored):
            diagrams[key] = {name: results.joined_bins([s[name] for s in stored]) for name in ("raw", "calibrated")}
            systems["multiemo"][key]["ece_raw"] = results.error_of(diagrams[key]["raw"])
    by_fold: dict[str, list[float]] = {}
    for cell, evaluation in zip(cells, evaluations, strict=True):
        by_fold.setdefault(cell.fold, []).append(evaluation["subsets"][model.full][metrics.MAIN_FIGURE[task]])
    return {
        **results.guesses(
            model,
            task,
            {fold.name: (fold.split.parts["test"], prior_of(fold, protocol, config)) for fold in protocol.folds},
        ),
        "systems": systems,
        "subsets": systems["multiemo"],
        "comparisons": {name: tests for name, tests in families.items() if tests},
        "dimensions": results.summarise_dimensions(model),
        "confusion": results.confusion_of(model) if task in ("single", "soft") else [],
        "reliability": diagrams,
        "risk_coverage": {} if task == "dimensions" else results.risk_curves(model, task),
        "by_fold": by_fold,
    }


def _leak(disjoint: Predictions, shuffled: Predictions, task: str) -> dict[str, Any]:
    """What a split of shuffled clips claims, beside what one of people measures, on the same clips."""
    pairs = [(shuffled, key, disjoint, key) for key in disjoint.probabilities]
    return {
        "disjoint": results.summarise(disjoint, task),
        "shuffled": results.summarise(shuffled, task),
        "tests": results.family(pairs, task),
    }


def _robustness(cells: Sequence[Cell], progress: Progress) -> list[dict[str, Any]]:
    """Curves of the models of one seed over the test clips of all folds."""
    models = [(load_bundle(cell.folder), open_manifest(cell.config)) for cell in cells]
    curves = robustness_curves(models, device=cells[0].config.device, progress=progress)
    return [curve.to_json() for curve in curves]


def _cost(cell: Cell, progress: Progress) -> dict[str, Any]:
    progress.stage("cost")
    return measure_cost(cell.folder, open_manifest(cell.config), device=cell.config.device).to_json()


def _reads(cells: Sequence[Cell], folder: Path) -> dict[str, dict[str, int]]:
    """{fold: {what read its test part: how often}}: by its cells, and by what is logged in ``folder``."""
    found: dict[str, Counter[str]] = {}
    for cell in cells:
        found.setdefault(cell.fold, Counter()).update(reads_of_test(cell.folder))
    for read in reads_of(folder):
        found[read["fold"]][read["by"]] += 1
    return {fold: dict(times) for fold, times in found.items()}


def _notes(result: Mapping[str, Any], config: Config) -> list[str]:
    """What a reader must know besides what the protocol says."""
    notes = []
    if result["speakers"] < metrics.FEW_SPEAKERS:
        notes.append(
            f"{result['speakers']} speakers are tested: intervals, which are about other people, are wide for it"
        )
    if config.benchmark.seeds < 3:
        notes.append("fewer than 3 seeds: how far the figures vary from training to training is not known")
    if config.taken_over:
        notes.append(f"branches of earlier runs: {', '.join(f'{m} from {p}' for m, p in config.taken_over.items())}")
    return notes
