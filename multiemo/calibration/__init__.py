"""Calibration of probabilities, decisions based on them, and abstention at low confidence.

Each set of modalities has its own temperature and bias, since miscalibration differs between, for example, the voice
alone and all three modalities. All parameters are fitted on the validation part, stored in the checkpoint, and used by
both ``evaluate`` and ``predict``.
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
