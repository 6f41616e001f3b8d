"""(model, loader) -> report: everything that a model says of a part of a split, measured."""

from multiemo.evaluation.collect import Collected, Gather, collect, join, probabilities_of
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
