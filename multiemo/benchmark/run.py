"""Run a whole benchmark: plan, train and test every fold with every seed, measure, and write the results.

Every slow step stores its result in the folder, so an interrupted benchmark is continued by running it again::

    config.yaml  protocol.json  duplicates.json   what is measured
    cells/  shuffled/                             one run folder per training
    classic.json  robustness.json  cost.json  explanations.json    results that are measured once
    benchmark.json  report.html  table.csv  table.tex
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from multiemo import metrics
from multiemo.benchmark import results
from multiemo.benchmark.baselines.classic import fit_predict, read_inputs
from multiemo.benchmark.baselines.descriptors import hog_descriptor
from multiemo.benchmark.cost.cost import measure_cost
from multiemo.benchmark.document import BenchmarkResult, Leak, SystemComparison, SystemFigures
from multiemo.benchmark.environment import describe_environment
from multiemo.benchmark.folder import handle_duplicates, load_or_measure, open_folder, write_protocol
from multiemo.benchmark.measurements import CostReport, Curve
from multiemo.benchmark.predictions import Predictions, pool, read_records
from multiemo.benchmark.protocol import Protocol, plan, prior_of, random_protocol
from multiemo.benchmark.report import write_report
from multiemo.benchmark.robustness.curves import robustness_curves
from multiemo.benchmark.trainings import Cell, cells_of, run_cells
from multiemo.calibration import ReliabilityBins
from multiemo.config import Config, save_config
from multiemo.evaluation import CalibrationReport, ClipPrediction, ReliabilityDiagram, Report
from multiemo.evaluation.groups import GroupErrors, errors_by_group
from multiemo.explanation.faithfulness.measure import measure_faithfulness
from multiemo.explanation.faithfulness.records import Faithfulness
from multiemo.extras import require
from multiemo.files import write_atomically
from multiemo.media.limits import limited
from multiemo.progress import Progress
from multiemo.records import Record, record
from multiemo.runs import load_bundle
from multiemo.runs.device import trains_on
from multiemo.runs.folder.evaluation_log import Reading, add_read, reads_of, reads_of_test
from multiemo.runs.folder.lock import lock_folder
from multiemo.runs.parts import uses_features
from multiemo.runs.sources import open_manifest


def run_benchmark(
    config: Config, out: str | Path, *, show_leak: bool = False, command: str = "", progress: Progress | None = None
) -> BenchmarkResult:
    """Measure a config by its protocol.

    Args:
        config: an experiment; its ``benchmark`` section says how it is measured.
        out: benchmark folder; a benchmark of the same config that was started there is continued.
        show_leak: also train and test on shuffled clips, and report what a leaking split would have claimed.
        command: the command line, for the report.
        progress: receives the progress.

    Returns:
        The content of ``benchmark.json``.

    Raises:
        MultiemoError: the protocol does not fit the config or corpus, a baseline cannot be computed here, a training
            failed, or ``out`` holds another benchmark.
    """
    folder = Path(out)
    trains_on(config)  # fails now if every training would fail
    folder.mkdir(parents=True, exist_ok=True)
    progress = progress or Progress()
    with lock_folder(folder, progress), limited(**config.data.limits):
        return _run(config, folder, show_leak, command, progress)


def _run(config: Config, folder: Path, show_leak: bool, command: str, progress: Progress) -> BenchmarkResult:
    protocol = plan(config)
    if config.benchmark.baselines:
        for module in ("sklearn", "librosa"):
            require(module, "benchmark.baselines", instead=", or set benchmark.baselines=false")
    if config.benchmark.baselines and "face" in config.modalities and not uses_features(config, "face"):
        hog_descriptor()  # fails now instead of after the trainings
    shuffled = random_protocol(config, protocol) if show_leak else None
    open_folder(folder, config)
    protocol, duplicates = handle_duplicates(config, protocol, folder, progress)
    save_config(config, folder / "config.yaml")  # only now: after a stop at duplicates, another config may be used
    write_protocol(folder, protocol)
    seeds = config.benchmark.seeds
    cells = cells_of(protocol, seeds, folder / "cells")
    run_cells(cells, jobs=config.benchmark.jobs, progress=progress)
    leaking: list[Cell] = []
    if shuffled is not None:
        progress.note("training the first seed on shuffled clips, to measure the effect of a leak")
        leaking = cells_of(shuffled, 1, folder / "shuffled")
        run_cells(leaking, jobs=config.benchmark.jobs, progress=progress)
    model = pool_cells("multiemo", cells)
    classic: Predictions | None = None
    classic_notes: list[str] = []
    if config.benchmark.baselines:
        classic, classic_notes = _classic(config, protocol, cells, folder, progress)
    first = [cell for cell in cells if cell.seed == config.seed]
    leak = None
    if leaking:
        leak = _leak(
            pool_cells("disjoint people", first), pool_cells("shuffled clips", leaking), config.task,
            _reads(leaking, folder / "shuffled"),
        )  # fmt: skip
    robustness = None
    if config.benchmark.robustness:
        robustness = load_or_measure(folder / "robustness.json", lambda: _robustness(first, progress), _curves)
    explanations = None
    if config.benchmark.explanations:
        path = folder / "explanations.json"
        explanations = load_or_measure(path, lambda: _explanations(first, progress), Faithfulness.from_json)
    figures = _figures(model, classic, protocol, cells, config)
    majority, prior = results.guesses(
        model,
        config.task,
        {fold.name: (fold.split.parts["test"], prior_of(fold, protocol, config)) for fold in protocol.folds},
    )
    speakers = len(set(model.speakers))
    result = BenchmarkResult(
        name=config.name,
        task=config.task,
        label_set=[] if config.task == "dimensions" else list(config.columns),
        split="test",
        n=len(model.ids),
        speakers=speakers,
        corpus_kind=protocol.corpus_kind,
        seeds=sorted({cell.seed for cell in cells}),
        full=model.full,
        protocol=protocol.summary(),
        duplicates=duplicates,
        command=command,
        environment=describe_environment(),
        majority=majority,
        prior=prior,
        systems=figures.systems,
        subsets=figures.systems["multiemo"],
        comparisons=figures.comparisons,
        dimensions=results.summarise_dimensions(model),
        confusion=results.confusion_of(model) if config.task in ("single", "soft") else [],
        reliability=figures.reliability,
        risk_coverage={} if config.task == "dimensions" else results.risk_curves(model, config.task),
        by_fold=figures.by_fold,
        groups=_groups(model, protocol, config.task),
        leak=leak,
        robustness=robustness,
        explanations=explanations,
        cost=load_or_measure(folder / "cost.json", lambda: _cost(cells[0], progress), CostReport.from_json),
        reads=_reads(cells, folder),
        notes=list(dict.fromkeys([*protocol.notes, *classic_notes, *_notes(speakers, config)])),
    )
    write_atomically(folder / "benchmark.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    write_report(folder, result)
    return result


def pool_cells(name: str, cells: Sequence[Cell]) -> Predictions:
    """Read and join the predictions of all cells, seed by seed."""
    seeds: dict[int, list[ClipPrediction]] = {}
    for cell in cells:
        seeds.setdefault(cell.seed, []).extend(read_records(cell.folder / "predictions.jsonl"))
    return pool(name, list(seeds.values()))


@record
class _Classic(Record):
    """Predictions of the classic baselines: ``classic.json``.

    Args:
        notes: remarks for the reader of the results.
        records: one prediction for each tested clip.
    """

    notes: list[str]
    records: list[ClipPrediction]


def _classic(
    config: Config, protocol: Protocol, cells: Sequence[Cell], folder: Path, progress: Progress
) -> tuple[Predictions, list[str]]:
    """Predictions of the classic baselines, pooled over the folds, and notes on them."""

    def measure() -> _Classic:
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
        predictions: list[ClipPrediction] = []
        notes: list[str] = []
        for done, fold in enumerate(protocol.folds, start=1):
            parts = fold.split.parts
            train = [*parts["train"], *parts["val"]]  # nothing is selected, so the validation part is trained on, too
            records = fit_predict(inputs, train, parts["test"])["classic"]
            add_read(folder, Reading(by="classic baselines", fold=fold.name, split="test", test=len(records)))
            predictions += records
            notes += inputs.notes(train)
            progress.update(done, len(protocol.folds))
        return _Classic(notes=list(dict.fromkeys(notes)), records=predictions)

    found = load_or_measure(folder / "classic.json", measure, _Classic.from_json)
    return pool("classic", [found.records]), found.notes


@dataclass(frozen=True, slots=True)
class _Figures:
    """Members of :class:`BenchmarkResult` that are computed from the predictions and the reports of the cells."""

    systems: dict[str, dict[str, SystemFigures]]
    comparisons: dict[str, list[SystemComparison]]
    reliability: dict[str, ReliabilityDiagram]
    by_fold: dict[str, list[float]]


def _figures(
    model: Predictions,
    classic: Predictions | None,
    protocol: Protocol,
    cells: Sequence[Cell],
    config: Config,
) -> _Figures:
    """Measure every system and subset over all folds and seeds, and test them against each other."""
    task = config.task
    systems = {"multiemo": results.summarise(model, task)}
    families = {"what each modality adds": results.family(results.modality_pairs(model), task)}
    if classic is not None:
        systems["classic"] = results.summarise(classic, task)
        pairs = results.system_pairs(model, classic)
        families["against the classic baselines"] = results.family(pairs, task)
    reports = [Report.read(cell.folder / "evaluation.json") for cell in cells]
    calibrated = [r.calibration for r in reports if isinstance(r.calibration, CalibrationReport)]
    diagrams: dict[str, ReliabilityDiagram] = {}
    for key in model.probabilities:
        stored = [c.reliability[key] for c in calibrated if key in c.reliability]
        if len(stored) == len(reports):
            raw = results.joined_bins([diagram.raw for diagram in stored])
            after = results.joined_bins([diagram.calibrated for diagram in stored])
            diagrams[key] = ReliabilityDiagram(raw=raw, calibrated=after)
            # Like ``ece``, a mean over seeds: bins with the clips of all seeds have a smaller error by chance.
            by_seed: dict[int, list[ReliabilityBins]] = {}
            for cell, diagram in zip(cells, stored, strict=True):
                by_seed.setdefault(cell.seed, []).append(diagram.raw)
            before = fmean(results.error_of(results.joined_bins(bins)) for bins in by_seed.values())
            systems["multiemo"][key] = replace(systems["multiemo"][key], ece_raw=before)
    by_fold: dict[str, list[float]] = {}
    for cell, report in zip(cells, reports, strict=True):
        figure = getattr(report.subsets[model.full], metrics.MAIN_FIGURE[task])
        by_fold.setdefault(cell.fold, []).append(figure)
    return _Figures(systems, {name: tests for name, tests in families.items() if tests}, diagrams, by_fold)


def _groups(model: Predictions, protocol: Protocol, task: str) -> GroupErrors:
    """Errors of the full subset by group of clips."""
    known = {clip.id: clip for clip in protocol.clips}
    return errors_by_group(task, *model.scored(model.full, task), model.speakers, [known[i] for i in model.ids])


def _leak(disjoint: Predictions, shuffled: Predictions, task: str, reads: dict[str, dict[str, int]]) -> Leak:
    """Compare figures of the split by people with those of the split of shuffled clips, on the same clips."""
    pairs = [(shuffled, key, disjoint, key) for key in disjoint.probabilities]
    return Leak(
        disjoint=results.summarise(disjoint, task),
        shuffled=results.summarise(shuffled, task),
        tests=results.family(pairs, task),
        reads=reads,
    )


def _robustness(cells: Sequence[Cell], progress: Progress) -> list[Curve]:
    """Robustness curves of the models of one seed over the test clips of all folds."""
    models = [(load_bundle(cell.folder), open_manifest(cell.config)) for cell in cells]
    return robustness_curves(models, device=cells[0].config.device, progress=progress)


def _explanations(cells: Sequence[Cell], progress: Progress) -> Faithfulness:
    """Faithfulness of the models of one seed over the validation clips of all folds; no test part is read."""
    models = [(load_bundle(cell.folder), open_manifest(cell.config)) for cell in cells]
    return measure_faithfulness(models, device=cells[0].config.device, progress=progress)


def _curves(values: list[dict[str, object]]) -> list[Curve]:
    return [Curve.from_json(curve) for curve in values]


def _cost(cell: Cell, progress: Progress) -> CostReport:
    progress.stage("cost")
    return measure_cost(cell.folder, open_manifest(cell.config), device=cell.config.device)


def _reads(cells: Sequence[Cell], folder: Path) -> dict[str, dict[str, int]]:
    """{fold: {reader of its test part: number of reads}}, from the logs of its cells and of ``folder``."""
    found: dict[str, Counter[str]] = {}
    for cell in cells:
        found.setdefault(cell.fold, Counter()).update(reads_of_test(cell.folder))
    for read in reads_of(folder):
        if read.fold is not None:
            found[read.fold][read.by] += 1
    return {fold: dict(times) for fold, times in found.items()}


def _notes(speakers: int, config: Config) -> list[str]:
    """Remarks for the reader of the results, besides those of the protocol."""
    notes = []
    if speakers < metrics.FEW_SPEAKERS:
        notes.append(f"only {speakers} speakers are tested: intervals are about other people, so they are wide")
    if config.benchmark.seeds < 3:
        notes.append("fewer than 3 seeds: the variation of the figures from training to training is not known")
    if config.taken_over:
        notes.append(f"branches of earlier runs: {', '.join(f'{m} from {p}' for m, p in config.taken_over.items())}")
    return notes
