"""Records of ``benchmark.json``, ``protocol.json`` and the output of ``multiemo compare``."""

from __future__ import annotations

from dataclasses import field

from multiemo.benchmark.imported.records import AnswerSetFigures, ImportedSystem
from multiemo.benchmark.measurements import CostReport, Curve, Environment
from multiemo.calibration import RiskCurve
from multiemo.data.splits.grouping import GroupBy
from multiemo.evaluation.groups import GroupErrors
from multiemo.evaluation.report import ReliabilityDiagram
from multiemo.explanation.faithfulness.records import Faithfulness
from multiemo.metrics import AdjustedTest, Baseline
from multiemo.metrics.results import Counted, Figure, Interval, OptionalFigure
from multiemo.records import Record, record
from multiemo.types import CorpusKind, Task


@record
class FoldSummary(Record):
    """Split and test groups of one fold.

    Args:
        name: ``fold0``, or the name of what is left out for testing.
        split: name of the split, with its arguments.
        hash: hash of the split.
        clips: {part: number of clips}.
        test_groups: speakers (or other groups, see ``group_by``) of the test part; empty if the split divides single
            clips.
    """

    name: str
    split: str
    hash: str
    clips: dict[str, int]
    test_groups: list[str]


@record
class ProtocolSummary(Record):
    """How a benchmark divides its clips: ``protocol.json``.

    Args:
        name: a choice of ``benchmark.protocol``.
        version: version of the rule by which folds are made.
        group_by: the unit that never occurs in two parts.
        hash: hash of the name, the version and the splits of all folds.
        corpus_kind: ``real``, ``synthetic`` or ``composite``; figures of the latter two say nothing about people.
        notes: remarks for the reader of the results.
        folds: the folds, in order.
    """

    name: str
    version: int
    group_by: GroupBy
    hash: str
    corpus_kind: CorpusKind
    notes: list[str]
    folds: list[FoldSummary]


@record
class PooledDimension(Counted):
    """Agreement with a rated dimension, pooled over folds and averaged over seeds.

    Args:
        ccc: concordance correlation (Lin 1989), -1..1.
        pearson: correlation, -1..1.
        mae, rmse: mean absolute error and root mean square error.
        ccc_ci, pearson_ci, mae_ci, rmse_ci: 95% intervals over speakers.
        ccc_sd, pearson_sd, mae_sd, rmse_sd: standard deviations over seeds; left out with one seed.
    """

    ccc: OptionalFigure = None
    ccc_ci: Interval | None = None
    ccc_sd: OptionalFigure = None
    pearson: OptionalFigure = None
    pearson_ci: Interval | None = None
    pearson_sd: OptionalFigure = None
    mae: OptionalFigure = None
    mae_ci: Interval | None = None
    mae_sd: OptionalFigure = None
    rmse: OptionalFigure = None
    rmse_ci: Interval | None = None
    rmse_sd: OptionalFigure = None


@record
class SystemFigures(PooledDimension):
    """Figures of one system on one subset of modalities, pooled over folds and averaged over seeds.

    Args:
        map: mean average precision, if a clip can have several labels.
        uar: unweighted average recall.
        macro_f1, micro_f1, wf1: F1, averaged over labels, over decisions, or weighted by how often a label occurs.
        accuracy: share of the clips that are labelled correctly.
        cross_entropy, kl: cross-entropy and Kullback-Leibler divergence of the prediction from the votes, nats.
        js: Jensen-Shannon divergence from the votes, bits.
        cosine: cosine similarity to the votes.
        map_ci, uar_ci, macro_f1_ci, micro_f1_ci, wf1_ci, accuracy_ci, cross_entropy_ci, kl_ci,
            js_ci, cosine_ci: 95% intervals over speakers.
        map_sd, uar_sd, macro_f1_sd, micro_f1_sd, wf1_sd, accuracy_sd, cross_entropy_sd, kl_sd,
            js_sd, cosine_sd: standard deviations over seeds; left out with one seed.
        ece: expected calibration error, 15 bins, mean over seeds.
        recall: recall of each label, in the order of ``label_set``; ``null`` for a label that no clip has.
        ece_raw: expected calibration error before calibration.
    """

    map: OptionalFigure = None
    map_ci: Interval | None = None
    map_sd: OptionalFigure = None
    uar: OptionalFigure = None
    uar_ci: Interval | None = None
    uar_sd: OptionalFigure = None
    macro_f1: OptionalFigure = None
    macro_f1_ci: Interval | None = None
    macro_f1_sd: OptionalFigure = None
    micro_f1: OptionalFigure = None
    micro_f1_ci: Interval | None = None
    micro_f1_sd: OptionalFigure = None
    wf1: OptionalFigure = None
    wf1_ci: Interval | None = None
    wf1_sd: OptionalFigure = None
    accuracy: OptionalFigure = None
    accuracy_ci: Interval | None = None
    accuracy_sd: OptionalFigure = None
    cross_entropy: OptionalFigure = None
    cross_entropy_ci: Interval | None = None
    cross_entropy_sd: OptionalFigure = None
    kl: OptionalFigure = None
    kl_ci: Interval | None = None
    kl_sd: OptionalFigure = None
    js: OptionalFigure = None
    js_ci: Interval | None = None
    js_sd: OptionalFigure = None
    cosine: OptionalFigure = None
    cosine_ci: Interval | None = None
    cosine_sd: OptionalFigure = None
    ece: OptionalFigure = None
    recall: list[Figure] | None = None
    ece_raw: float | None = None


@record
class _Compared(Record):
    """The two sides of a comparison.

    Args:
        first, second: name of the system, and its subset.
        subset: the subset of the first.
        figure: the main figure of the task, which is compared.
    """

    first: str
    second: str
    subset: str
    figure: str


@record
class SystemComparison(AdjustedTest, _Compared):
    """A paired test of two systems, or of two subsets of one, over the speakers of all folds."""


@record
class Duplicates(Record):
    """Near-duplicates across the parts of a split.

    Args:
        found: number of pairs.
        said: what was done with them, in words.
        pairs: the first fifty pairs, one line each.
    """

    found: int
    said: str
    pairs: list[str]


@record
class Leak(Record):
    """Figures of a split of shuffled clips beside those of a split by people, on the same clips.

    Args:
        disjoint, shuffled: {subset: figures} of the split by people and of the split of shuffled clips.
        tests: paired tests of each subset, shuffled against disjoint.
        reads: {fold: {reader of its shuffled test part: number of reads}}.
    """

    disjoint: dict[str, SystemFigures]
    shuffled: dict[str, SystemFigures]
    tests: list[SystemComparison]
    reads: dict[str, dict[str, int]]


@record
class BenchmarkResult(Record):
    """A finished benchmark: ``benchmark.json``.

    Args:
        name: name of the experiment.
        task: ``single``, ``soft``, ``multi`` or ``dimensions``.
        label_set: labels in order; empty for dimensions.
        split: the measured part.
        n, speakers: number of tested clips and of their speakers.
        corpus_kind: ``real``, ``synthetic`` or ``composite``; figures of the latter two say nothing about people.
        seeds: seeds of the trainings of each fold.
        full: key of the largest subset.
        protocol: folds and their hashes.
        duplicates: near-duplicates across parts.
        command: the command line.
        environment: hardware and versions.
        majority: figures of always predicting the most frequent train label of the fold; for dimensions, their means.
        prior: expected figures of guessing with the train frequencies; left out for dimensions.
        systems: {``multiemo`` or ``classic``: {subset: figures}}.
        subsets: the figures of ``multiemo``.
        comparisons: {family: paired tests, adjusted within the family}.
        dimensions: {dimension: figures} of dimensions that were learnt with labels or alone.
        confusion: number of clips by truth (rows) and predicted label, mean over seeds.
        reliability: {subset: bins before and after calibration}.
        risk_coverage: {subset: risk-coverage curve}, all seeds together.
        by_fold: {fold: main figure of the full subset, one value per seed}.
        groups: errors of the full subset by speaker, language and every attribute of the manifest, worst group first.
        leak: effect of shuffling clips; only with ``--show-leak``.
        robustness: curves under corruptions, unless ``benchmark.robustness`` is false.
        explanations: how faithful the explanations are, on validation clips; with ``benchmark.explanations``.
        cost: cost of each subset.
        reads: {fold: {reader of its test part: number of reads}}.
        notes: remarks for the reader of the results.
    """

    name: str
    task: Task
    label_set: list[str]
    split: str
    n: int
    speakers: int
    corpus_kind: CorpusKind
    seeds: list[int]
    full: str
    protocol: ProtocolSummary
    duplicates: Duplicates
    command: str
    environment: Environment
    majority: Baseline
    prior: Baseline | None = None
    systems: dict[str, dict[str, SystemFigures]]
    subsets: dict[str, SystemFigures]
    comparisons: dict[str, list[SystemComparison]]
    dimensions: dict[str, PooledDimension]
    confusion: list[list[float]]
    reliability: dict[str, ReliabilityDiagram]
    risk_coverage: dict[str, RiskCurve]
    by_fold: dict[str, list[Figure]]
    groups: GroupErrors
    leak: Leak | None = None
    robustness: list[Curve] | None = None
    explanations: Faithfulness | None = None
    cost: CostReport
    reads: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: list[str]


@record
class ComparisonResult(Record):
    """Runs, benchmarks and predictions of other systems side by side, measured on the same clips.

    Args:
        label_set: labels in order; empty for dimensions.
        task: task of all systems.
        n, speakers: number of compared clips and of their speakers.
        corpus_kind: ``real``, ``synthetic`` or ``composite``; figures of the latter two say nothing about people.
        systems: {path: {subset: figures}}; the key of an imported system's figures is ``imported``.
        reads: {path: how often its test part was read, and by what}.
        tests: paired tests between the largest subsets of every two systems.
        imported: {path: what a file of another system's predictions contains}; only with such files.
        missing_as_wrong: {path: figures on all test clips, where a clip without an answer counts as wrong}; only if
            clips are missing.
        answer_sets: {path: figures of its answers as sets of groups}; only if an imported system answers in words.
        notes: remarks for the reader of the results; only with imported systems.
    """

    label_set: list[str]
    task: Task
    n: int
    speakers: int
    corpus_kind: CorpusKind = "real"
    systems: dict[str, dict[str, SystemFigures]]
    reads: dict[str, str]
    tests: list[SystemComparison]
    imported: dict[str, ImportedSystem] | None = None
    missing_as_wrong: dict[str, SystemFigures] | None = None
    answer_sets: dict[str, AnswerSetFigures] | None = None
    notes: list[str] | None = None
