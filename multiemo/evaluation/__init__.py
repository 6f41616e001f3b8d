"""Evaluates a model on one part of a split: collects its predictions and computes a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiemo.lazy import lazy_names

if TYPE_CHECKING:
    from multiemo.evaluation.collecting import Collected, Gather, collect, join, probabilities_of
    from multiemo.evaluation.measure import CORPUS_KINDS, corpus_kind, evaluate_model, rounded
    from multiemo.evaluation.report import CalibrationReport, ClipPrediction, NoCalibration, ReliabilityDiagram, Report

__all__ = [
    "CORPUS_KINDS",
    "CalibrationReport",
    "ClipPrediction",
    "Collected",
    "Gather",
    "NoCalibration",
    "ReliabilityDiagram",
    "Report",
    "collect",
    "corpus_kind",
    "evaluate_model",
    "join",
    "probabilities_of",
    "rounded",
]

_COLLECT = ("Collected", "Gather", "collect", "join", "probabilities_of")
_MEASURE = ("CORPUS_KINDS", "corpus_kind", "evaluate_model", "rounded")
_REPORT = ("CalibrationReport", "ClipPrediction", "NoCalibration", "ReliabilityDiagram", "Report")

__getattr__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(_COLLECT, "multiemo.evaluation.collecting"),
        **dict.fromkeys(_MEASURE, "multiemo.evaluation.measure"),
        **dict.fromkeys(_REPORT, "multiemo.evaluation.report"),
    },
)
