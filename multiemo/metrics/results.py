"""Records of figures: of a subset, a label, a dimension, a constant baseline and a paired test."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from multiemo.records import Record, record


def _known(value: Any) -> Any:
    """NaN in place of ``null``, for an undefined figure."""
    return float("nan") if value is None else value


_NULLABLE = WithJsonSchema({"type": ["number", "null"]})

#: A figure; if it is undefined (for instance without clips), NaN as an attribute and ``null`` in JSON.
Figure: TypeAlias = Annotated[float, BeforeValidator(_known), _NULLABLE]
#: A figure of some tasks only; ``None``, and left out of the JSON, for other tasks.
OptionalFigure: TypeAlias = Annotated[float | None, BeforeValidator(_known), _NULLABLE]
#: Lower and upper end of a 95% interval over speakers.
Interval: TypeAlias = Annotated[list[Figure], Field(min_length=2, max_length=2)]


@record
class Counted(Record):
    """The number of clips that figures are based on.

    Args:
        n: number of clips.
    """

    n: int


@record
class DimensionValues(Record):
    """Agreement with rated dimensions, and the interval of each figure over speakers if it was computed.

    Args:
        ccc: concordance correlation (Lin 1989), -1..1.
        pearson: Pearson correlation, -1..1.
        mae: mean absolute error, in units of the dimension (-1..1).
        rmse: root mean square error, in units of the dimension (-1..1).
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
    """The figures of all tasks; each task has some of them (see :func:`multiemo.metrics.measure_of`).

    Args:
        map: mean average precision, with several labels per clip.
        uar: unweighted average recall.
        macro_f1: F1, mean over labels.
        micro_f1: F1 over all decisions.
        wf1: F1, weighted by the number of clips with each label.
        accuracy: share of correct clips; with several labels per clip, every label must be right.
        cross_entropy: cross-entropy of the prediction against the votes, nats.
        kl: Kullback-Leibler divergence of the prediction from the votes, nats.
        js: Jensen-Shannon divergence, bits, 0..1.
        cosine: cosine similarity to the votes, 0..1.
        map_ci, uar_ci, macro_f1_ci, micro_f1_ci, wf1_ci, accuracy_ci, cross_entropy_ci, kl_ci, js_ci, cosine_ci: 95%
            intervals.
        n_clear: with votes, number of clips in which one label has the most votes.
        ece: expected calibration error of the calibrated probabilities, 15 bins.
        loss: cross-entropy per clip, nats; with several labels per clip, binary cross-entropy per label; with
            dimensions, squared error plus one minus the concordance.
        ece_raw: expected calibration error before calibration.
        aurc: area under the risk-coverage curve.
        coverage: share of clips that get a label, if ``max_error`` is set.
        selective_error: error rate among these clips; ``null`` if there are none.
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
    """The figures of one dimension, over the clips that have a rating of it."""


@record
class SubsetFigures(FigureValues, Counted):
    """The figures of one subset of modalities, over the clips that have at least one of them."""


@record
class _ConstantAnswer(Record):
    """A constant prediction.

    Args:
        label: most frequent label of train; left out for guessing and for dimensions.
        n: number of clips.
    """

    label: str | None = None
    n: int | None = None


@record
class Baseline(FigureValues, _ConstantAnswer):
    """Figures of a baseline that ignores the clips; empty if the task has no such baseline."""


@record
class LabelFigures(Record):
    """The figures of one label.

    Args:
        recall: recall, 0..1; ``null`` if no clip has the label.
        precision: precision, 0..1; ``null`` if the label is never predicted.
        f1: F1, 0..1; ``null`` if the label occurs neither in truth nor in prediction.
        support: number of clips that have the label.
        ap: average precision, with several labels per clip; ``null`` for a label that never occurs.
    """

    recall: Figure
    precision: Figure
    f1: Figure
    support: float
    ap: OptionalFigure = None


@record
class PairedTest(Record):
    """The difference of a figure between two predictions of the same clips.

    Args:
        difference: first minus second; with several runs, the mean over them.
        low: lower end of the 95% interval of the difference over speakers.
        high: upper end of that interval.
        p: two-sided p-value.
        n: number of clips.
        speakers: number of speakers of these clips.
        error: standard error of the difference over speakers; 0 if it is the same for all.
        freedom: degrees of freedom of ``error``.
        deviation: standard deviation of the difference over runs (n - 1); ``null`` for a single run.
        test: source of the p-value: ``swaps`` of whole speakers, or Student's ``t`` if there are too few to swap.
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
    """A paired test in a family of tests.

    Args:
        p_holm: ``p`` adjusted for the family by Holm's method.
        mdd: smallest true difference that this test would detect with a probability of 80%; ``null`` if the variance
            over speakers is unknown.
    """

    p_holm: float
    mdd: float | None


@record
class ComparedFigure(Record):
    """The figure that a test compares.

    Args:
        figure: main figure of the task.
    """

    figure: str


@record
class SubsetComparison(AdjustedTest, ComparedFigure):
    """The full subset compared with a smaller one, on the clips that both can predict.

    Args:
        others: {figure: its test}, for the other figures of the task.
    """

    others: dict[str, AdjustedTest]
