"""Contradictions between the modalities of one clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from multiemo.arrays import Array
from multiemo.calibration.conflict import ConflictCalibration, contradiction, polarity_shares
from multiemo.explanation.records import Conflict
from multiemo.types import Modality, subset_key


def conflicts_of(
    branches: Mapping[Modality, Array],
    calibration: ConflictCalibration | None,
    labels: Sequence[str],
    *,
    task: str = "single",
) -> list[Conflict]:
    """The conflict score of each pair of modalities that a clip has.

    Args:
        branches: {modality: ``[C]`` calibrated probabilities of its own branch}, of the present modalities.
        calibration: ``Calibration.conflict`` of the model; ``None`` gives no scores.
        labels: the C labels.
        task: ``single``, ``soft`` or ``multi``.

    Returns:
        One entry per pair with a fitted score, in the order T, S, F.
    """
    found = []
    for one, two in combinations(branches, 2):
        pair = None if calibration is None else calibration.pairs.get(subset_key([one, two]))
        if pair is None:
            continue
        raw = float(contradiction(np.asarray(branches[one]), np.asarray(branches[two]), labels, task))
        score = pair.score(raw)
        found.append(
            Conflict(
                first=one,
                second=two,
                first_says=_says(np.asarray(branches[one]), labels, task),
                second_says=_says(np.asarray(branches[two]), labels, task),
                score=round(score, 6),
                false_alarm_rate=round(pair.false_alarm_rate(score), 4),
                flagged=score > pair.threshold,
            )
        )
    return found


def _says(probabilities: Array, labels: Sequence[str], task: str) -> str:
    """The more probable polarity, ``neutral`` if neither is likelier than no polarity; else the label."""
    shares = polarity_shares(probabilities, labels, task)
    if shares is None:
        return labels[int(probabilities.argmax())]
    rest = 1 - (shares.max() if task == "multi" else shares.sum())
    return ("positive", "negative", "neutral")[int(np.argmax([*shares, rest]))]
