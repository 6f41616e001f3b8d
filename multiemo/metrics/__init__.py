"""Figures of merit, their intervals over speakers, and paired tests; numpy alone, no model.

A *figure* is one number. A *measure* maps the truth, the predictions and rows of clip weights to figures, so that
intervals, tests and averages over seeds are written once, whatever the task.
"""

from multiemo.metrics.comparisons import PairedTest, paired_test, paired_tests
from multiemo.metrics.figures import (
    FIGURES,
    accuracy,
    confusion,
    expected_calibration_error,
    macro_f1,
    uar,
    weighted_confusion,
    wf1,
)
from multiemo.metrics.intervals import FEW_SPEAKERS, Estimate, Measure, estimates, interval, label_measure
from multiemo.metrics.regression import concordance

__all__ = [
    "FEW_SPEAKERS",
    "FIGURES",
    "Estimate",
    "Measure",
    "PairedTest",
    "accuracy",
    "concordance",
    "confusion",
    "estimates",
    "expected_calibration_error",
    "interval",
    "label_measure",
    "macro_f1",
    "paired_test",
    "paired_tests",
    "uar",
    "weighted_confusion",
    "wf1",
]
