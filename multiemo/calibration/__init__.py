"""Calibration: probabilities that mean what they say, labels decided from them, and when nothing is said.

Each set of modalities has a temperature and a bias of its own: a model is rarely as wrong about its certainty with a
voice alone as with all three. Everything is fitted on the validation part, stored in the checkpoint, and used by
``evaluate`` and ``predict`` alike.
"""

from multiemo.calibration.confidence import (
    ASSURANCE,
    ReliabilityBins,
    RiskCurve,
    abstention_threshold,
    aurc,
    error_bound,
    events,
    reliability,
    risk_coverage,
    thinned,
    top_label,
)
from multiemo.calibration.decision import decide, fit_thresholds
from multiemo.calibration.scaling import change_of_prior, fit_scaling, fit_temperature, logits_of, temper
from multiemo.calibration.stored import UNCERTAIN, Calibration, fit_calibration, shown_keys

__all__ = [
    "ASSURANCE",
    "UNCERTAIN",
    "Calibration",
    "ReliabilityBins",
    "RiskCurve",
    "abstention_threshold",
    "aurc",
    "change_of_prior",
    "decide",
    "error_bound",
    "events",
    "fit_calibration",
    "fit_scaling",
    "fit_temperature",
    "fit_thresholds",
    "logits_of",
    "reliability",
    "risk_coverage",
    "shown_keys",
    "temper",
    "thinned",
    "top_label",
]
