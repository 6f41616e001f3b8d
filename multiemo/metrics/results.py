"""What was measured, as records: the figures of a subset, of a label, of a dimension, of a constant answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from multiemo.records import Record, record


def _known(value: Any) -> Any:
    """NaN for the ``null`` of a figure that is not defined."""
    return float("nan") if value is None else value


_NULLABLE = WithJsonSchema({"type": ["number", "null"]})

#: A figure; where it is not defined (no clip to go by), NaN as an attribute and ``null`` in JSON.
Figure: TypeAlias = Annotated[float, BeforeValidator(_known), _NULLABLE]
#: A figure of some tasks only; ``None``, and left out of the JSON, where the task does not have it.
OptionalFigure: TypeAlias = Annotated[float | None, BeforeValidator(_known), _NULLABLE]
#: Low and high end of a 95% interval over speakers.
Interval: TypeAlias = Annotated[list[Figure], Field(min_length=2, max_length=2)]


@record
class Counted(Record):
    """How many clips something was measured on.

    Args:
        n: clips.
    """

    n: int


@record
class DimensionValues(Record):
    """Agreement with rated dimensions, and the interval of each figure over speakers where one was computed.

    Args:
        ccc: concordance correlation (Lin 1989), -1..1.
        pearson: correlation, -1..1.
        mae, rmse: mean absolute error and root mean square error, in units of the dimension (-1..1).
        ccc_ci, pearson_ci, mae_ci, rmse_ci: 95% intervals.
    """

    ccc: OptionalFigure = None
    pearson: OptionalFigure = None
    mae: OptionalFigure = None
    rmse: OptionalFigure = None
    ccc_ci: Interval | None = None
    pearson_ci: Interval | None = None
    mae_ci: Interval | None = None
    rmse_ci: Interval | None = None


@record
class FigureValues(DimensionValues):
    """Every figure that some task has; a task writes its own (see :func:`multiemo.metrics.measure_of`).

    Args:
        map: mean average precision, of several labels a clip.
        uar: unweighted average recall.
        macro_f1, micro_f1, wf1: F1, averaged over labels, over decisions, or weighted by how often a label occurs.
        accuracy: share of the clips that are right; of several labels a clip, those with every label right.
        cross_entropy: of votes, nats.
        kl: Kullback-Leibler divergence of the prediction from the votes, nats.
        js: Jensen-Shannon divergence, bits, 0..1.
        cosine: cosine similarity to the votes, 0..1.
        map_ci, uar_ci, macro_f1_ci, micro_f1_ci, wf1_ci, accuracy_ci, cross_entropy_ci, kl_ci, js_ci, cosine_ci: 95%
            intervals.
        n_clear: of votes, clips where one label has most.
        ece: expected calibration error of the calibrated probabilities, 15 bins.
        loss: cross-entropy a clip, nats; of several labels a clip binary cross-entropy a label; of dimensions squared
            error plus one minus the concordance.
        ece_raw: expected calibration error before calibration.
        aurc: area under the risk-coverage curve.
        coverage: share of the clips that get a label, where ``max_error`` is set.
        selective_error: error rate among these; ``null`` where there are none.
    """

    map: OptionalFigure = None
    uar: OptionalFigure = None
    macro_f1: OptionalFigure = None
    micro_f1: OptionalFigure = None
    wf1: OptionalFigure = None
    accuracy: OptionalFigure = None
    cross_entropy: OptionalFigure = None
    kl: OptionalFigure = None
    js: OptionalFigure = None
    cosine: OptionalFigure = None
    map_ci: Interval | None = None
    uar_ci: Interval | None = None
    macro_f1_ci: Interval | None = None
    micro_f1_ci: Interval | None = None
    wf1_ci: Interval | None = None
    accuracy_ci: Interval | None = None
    cross_entropy_ci: Interval | None = None
    kl_ci: Interval | None = None
    js_ci: Interval | None = None
    cosine_ci: Interval | None = None
    n_clear: int | None = None
    ece: OptionalFigure = None
    loss: OptionalFigure = None
    ece_raw: OptionalFigure = None
    aurc: OptionalFigure = None
    coverage: OptionalFigure = None
    selective_error: OptionalFigure = None


@record
class DimensionFigures(DimensionValues, Counted):
    """The figures of one dimension, over the clips that know it."""


@record
class SubsetFigures(FigureValues, Counted):
    """The figures of one subset of modalities, over the clips that have any of them."""


@record
class _ConstantAnswer(Record):
    """What is always said.

    Args:
        label: the most frequent label of train; left out for guessing and for dimensions.
        n: clips.
    """

    label: str | None = None
    n: int | None = None


@record
class Baseline(FigureValues, _ConstantAnswer):
    """Figures of an answer that looks at no clip; empty where the task has no such answer."""


@record
class LabelFigures(Record):
    """How well one label is recognised.

    Args:
        recall, precision, f1: 0..1; 0 where there is nothing to divide by.
        support: clips that have the label.
        ap: average precision, of several labels a clip; ``null`` for a label that never occurs.
    """

    recall: float
    precision: float
    f1: float
    support: float
    ap: OptionalFigure = None


@record
class PairedTest(Record):
    """The difference of a figure between two predictions of the same clips.

    Args:
        difference: first minus second; with several runs, its mean over them.
        low, high: 95% interval of the difference over speakers.
        p: two-sided.
        n: clips.
        speakers: of these clips.
        error: standard error of the difference over speakers; 0 where it is the same in all.
        freedom: degrees of freedom of ``error``.
        deviation: standard deviation of the difference over runs (n - 1); ``null`` for a single run.
        test: where p is from: ``swaps`` of whole speakers, or Student's ``t`` where they are too few for that.
    """

    difference: Figure
    low: Figure
    high: Figure
    p: float
    n: int
    speakers: int
    error: Figure
    freedom: Figure
    deviation: float | None
    test: Literal["swaps", "t"]


@record
class AdjustedTest(PairedTest):
    """A paired test that belongs to a family of them.

    Args:
        p_holm: ``p`` adjusted for the family by Holm's method.
        mdd: the smallest true difference that this test would find four times out of five; ``null`` where the speakers
            cannot tell.
    """

    p_holm: float
    mdd: float | None


@record
class ComparedFigure(Record):
    """What a test compares.

    Args:
        figure: the main figure of the task.
    """

    figure: str


@record
class SubsetComparison(AdjustedTest, ComparedFigure):
    """The full subset against a smaller one, on the clips that both are usable on.

    Args:
        others: {figure: the same test} of the other figures of the task.
    """

    others: dict[str, AdjustedTest]
