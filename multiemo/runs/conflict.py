"""Fits the conflict scores of a model on its validation outputs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from multiemo.calibration import Calibration
from multiemo.calibration.conflict import (
    ConflictCalibration,
    ConflictPairs,
    PairConflict,
    conflict_pairs,
    pair_conflict,
)
from multiemo.evaluation import Collected
from multiemo.metrics.separation import separation
from multiemo.types import subset_key


def fit_conflict(
    outputs: Collected, calibration: Calibration, labels: Sequence[str], task: str
) -> ConflictCalibration | None:
    """The conflict score of each pair of modalities; ``None`` for a model of one modality.

    Args:
        outputs: outputs for the validation clips, not calibrated.
        calibration: its fitted temperatures and biases.
        labels: the C labels.
        task: ``single``, ``soft`` or ``multi``.
    """
    branches = {m: calibration.scaled_branch(m, p, task) for m, p in outputs.branches.items()}
    speakers = np.asarray(outputs.speakers)
    pairs: dict[str, PairConflict] = {}
    missing: dict[str, str] = {}
    for one, two in combinations(branches, 2):
        both = outputs.presence[one] & outputs.presence[two]
        found = conflict_pairs(branches[one], branches[two], both, outputs.target, labels, task=task)
        if not isinstance(found, str):
            over_speakers = _separation(found, speakers)
            over_clips = _separation(found, np.arange(len(speakers)).astype(str))
            count = len(np.unique(speakers[found.clips]))
            fitted = pair_conflict(found, over_speakers, over_clips[1], count)
            if isinstance(fitted, PairConflict):
                pairs[subset_key([one, two])] = fitted
                continue
            found = fitted
        missing[subset_key([one, two])] = found
    return ConflictCalibration(pairs=pairs, missing=missing) if pairs or missing else None


def _separation(pairs: ConflictPairs, owners: NDArray[np.str_]) -> tuple[float, float, float]:
    """AUROC of the pairs with a polarity, with its interval over the owners ``[N]`` of the validation clips."""
    matched, clips = pairs.matched[pairs.polar], pairs.clips[pairs.polar]
    return separation(matched, owners[clips], pairs.mismatched, (owners[pairs.first], owners[pairs.second]))
