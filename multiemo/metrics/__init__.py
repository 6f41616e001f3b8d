"""Metrics, their confidence intervals over speakers, and paired tests, computed from arrays without a model.

A *figure* is one number. A *measure* maps truth, predictions and clip weights to the figures of a task. So intervals,
tests and averages over seeds are implemented once for all tasks.
"""

from multiemo.arrays import clear_clips
from multiemo.metrics.answer_sets import SET_FIGURES, set_measure
from multiemo.metrics.comparisons import (
    SWAP_SPEAKERS,
    adjusted,
    holm,
    minimum_detectable_difference,
    paired_test,
    paired_tests,
)
from multiemo.metrics.figures import (
    FIGURES,
    accuracy,
    confusion,
    expected_calibration_error,
    label_measure,
    macro_f1,
    per_class,
    uar,
    wf1,
)
from multiemo.metrics.intervals import FEW_SPEAKERS, Estimate, estimates, interval, usable_clips
from multiemo.metrics.means import mean_estimate
from multiemo.metrics.measures import Measure
from multiemo.metrics.multilabel import multi_measure, per_label
from multiemo.metrics.regression import concordance, dimension_measure, dimensions_measure
from multiemo.metrics.results import (
    AdjustedTest,
    Baseline,
    DimensionFigures,
    LabelFigures,
    PairedTest,
    SubsetComparison,
    SubsetFigures,
)
from multiemo.metrics.subsets import MeasuredSubsets, Scores, compare_subsets, measure_subsets
from multiemo.metrics.tasks import (
    MAIN_FIGURE,
    calibration_error,
    guessing,
    mean_loss,
    means_of,
    measure_of,
    scored,
)
from multiemo.metrics.votes import vote_measure

__all__ = [
    "FEW_SPEAKERS",
    "FIGURES",
    "MAIN_FIGURE",
    "SET_FIGURES",
    "SWAP_SPEAKERS",
    "AdjustedTest",
    "Baseline",
    "DimensionFigures",
    "Estimate",
    "LabelFigures",
    "Measure",
    "MeasuredSubsets",
    "PairedTest",
    "Scores",
    "SubsetComparison",
    "SubsetFigures",
    "accuracy",
    "adjusted",
    "calibration_error",
    "clear_clips",
    "compare_subsets",
    "concordance",
    "confusion",
    "dimension_measure",
    "dimensions_measure",
    "estimates",
    "expected_calibration_error",
    "guessing",
    "holm",
    "interval",
    "label_measure",
    "macro_f1",
    "mean_estimate",
    "mean_loss",
    "means_of",
    "measure_of",
    "measure_subsets",
    "minimum_detectable_difference",
    "multi_measure",
    "paired_test",
    "paired_tests",
    "per_class",
    "per_label",
    "scored",
    "set_measure",
    "uar",
    "usable_clips",
    "vote_measure",
    "wf1",
]
