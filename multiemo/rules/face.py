"""Facial expressions by prototypes: action units, and the little that five landmarks show.

Each unit that is stronger than the baseline adds to the emotions whose prototype has it, by the weight that the sources
give it, and takes from those that it contradicts. Nothing is learnt from labels.

Sources:
    - Ekman & Friesen 1978, "Facial Action Coding System", and EMFACS-7 (Friesen & Ekman 1983): units of the prototypes.
    - Du, Tao & Martinez 2014, "Compound facial expressions of emotion", PNAS 111(15), table 1: units that most people
      show, and the share of people who show each further one.
    - Baltrusaitis et al. 2018, "OpenFace 2.0", and Baltrusaitis, Mahmoud & Robinson 2015, "Cross-dataset learning and
      person-specific normalisation for automatic Action Unit detection": intensities have an offset of the person.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from multiemo.arrays import Array
from multiemo.labels.action_units import LARGEST, unit_column, unit_name
from multiemo.rules.deviations import CueBaseline, CueRule, add_up, deviation_reasons, deviations, little_stands_out
from multiemo.rules.findings import Findings, RuleReason

#: {emotion: {unit: weight, 0..1}}: half from EMFACS (1 for a unit of the prototype), half from Du et al. 2014 (1 for a
#: unit that most people show, the share of people for a further one). Units that neither has are left out.
PROTOTYPES: dict[str, dict[int, float]] = {
    "happy": {12: 1.0, 6: 0.75, 25: 0.5},
    "sad": {4: 1.0, 15: 1.0, 1: 0.8, 17: 0.35, 6: 0.25, 11: 0.15},
    "angry": {4: 1.0, 7: 1.0, 23: 0.65, 5: 0.5, 24: 0.5, 17: 0.25, 10: 0.15},
    "fearful": {1: 1.0, 4: 1.0, 20: 1.0, 5: 0.8, 2: 0.8, 26: 0.65, 25: 0.5},
    "disgusted": {9: 1.0, 10: 1.0, 17: 0.5, 15: 0.5, 16: 0.5, 4: 0.15, 24: 0.15},
    "surprised": {1: 1.0, 2: 1.0, 26: 1.0, 5: 0.85, 25: 0.5},
}
#: {unit: emotions that it contradicts}: it pulls a feature of the prototype the other way, or belongs to no one's
#: expression of that emotion while it is the main sign of another.
CONTRADICTIONS: dict[int, tuple[str, ...]] = {
    4: ("happy", "surprised"),
    9: ("happy", "surprised"),
    12: ("sad", "angry", "fearful", "disgusted"),
    15: ("happy", "surprised"),
    20: ("happy",),
}
#: Weight of a contradiction.
CONTRADICTION = 0.5
#: Score of a complete prototype at full strength; one clear word of a text has 1.
COMPLETE = 2.0
#: Standard deviations above the baseline at which a unit starts to count, and at which it counts fully.
RISES, FULL = 0.5, 2.5
#: Without a baseline: share of the largest value at which a unit counts fully, and at which it starts to.
FULL_SHARE, RISES_SHARE = 0.6, 0.1
#: Smallest standard deviation of a baseline, as a share of the largest value of a unit.
SMALLEST_SD = 0.02
#: Total strength of the units below which the face is unremarkable.
UNREMARKABLE = 1.0

_SOURCE = "Ekman & Friesen 1978 (EMFACS); Du et al. 2014"
_PROTOTYPE_LIMIT = (
    "Prototypes are posed expressions: a face can feel without showing, show without feeling, and the mouth moves in "
    "speech too."
)
_LANDMARK_SOURCE = "Ekman & Friesen 1978 (AU12, AU15, AU23, AU26)"
_LANDMARK_LIMIT = (
    "Two eyes, the nose and two mouth corners show a smile at best: no brow, no lid, no nose wrinkle. A nod or a turn "
    "of the head changes them too."
)
_OFFSET_LIMIT = "There is no baseline, so the resting face of this person counts as expression."


def unit_columns(columns: Sequence[str]) -> dict[int, int]:
    """Choose the column that measures each action unit: its intensity, else its probability, else its presence.

    Args:
        columns: names of the columns of a feature file.

    Returns:
        {number of the unit: index of the column}, of the units that a prototype has or contradicts.

    Example:
        >>> unit_columns(["pose_Rx", "AU12_c", "AU12_r", "AU45_r"])
        {12: 2}
    """
    order = ("intensity", "probability", "presence")
    used = {unit for prototype in PROTOTYPES.values() for unit in prototype} | set(CONTRADICTIONS)
    chosen: dict[int, tuple[int, int]] = {}
    for index, name in enumerate(columns):
        found = unit_column(name)
        if found is not None and found.number in used:
            rank = order.index(found.measure)
            chosen[found.number] = min(chosen.get(found.number, (rank, index)), (rank, index))
    return {unit: index for unit, (_, index) in sorted(chosen.items())}


def read_units(
    values: Mapping[int, float], largest: Mapping[int, float], baseline: CueBaseline | None = None
) -> Findings:
    """What the rules find in the action units of a face.

    Args:
        values: {number of a unit: its value over the clip}.
        largest: {number of a unit: largest value of its column}, 5 for intensities and 1 for the others.
        baseline: mean and deviation of each unit over clips, named as by
            :func:`~multiemo.labels.action_units.unit_name`; ``None`` takes values as they are.

    Returns:
        The findings.

    Example:
        >>> smile = read_units({4: 0.0, 6: 3.0, 12: 4.0}, {4: 5.0, 6: 5.0, 12: 5.0})
        >>> smile.reasons[0].rule, max(smile.scores, key=smile.scores.get)
        ('AU12 lip corner puller: 4.0 of 5', 'happy')
    """
    if not values:
        return Findings({}, limits=["No action unit of the prototypes is measured."])
    measured = {emotion: _measured(emotion, values) for emotion in PROTOTYPES}
    totals = {emotion: weight for emotion, weight in measured.items() if 2 * weight >= _full_weight(emotion)}
    strengths = {unit: _strength(unit, value, largest[unit], baseline) for unit, value in values.items()}
    reasons = []
    for unit, (strength, words) in strengths.items():
        effect = {
            emotion: round(COMPLETE * strength * weight / totals[emotion], 4)
            for emotion in totals
            if (weight := _weight(emotion, unit))
        }
        if strength > 0 and effect:
            reasons.append(RuleReason(rule=words, part=unit_name(unit), effect=effect, source=_SOURCE))
    total = sum(strength for strength, _ in strengths.values())
    if total < UNREMARKABLE:
        reasons.append(little_stands_out(1 - total / UNREMARKABLE, "hardly any unit is active"))
    limits = [_PROTOTYPE_LIMIT] if baseline is not None else [_PROTOTYPE_LIMIT, _OFFSET_LIMIT]
    missing = [emotion for emotion in PROTOTYPES if emotion not in totals]
    if missing:
        limits.append(f"Left out, because most units of the prototype are not measured: {', '.join(missing)}.")
    return add_up(reasons, limits)


def column_largest(column: str) -> float:
    """Largest value of a column of action units; 1 for any other column.

    Args:
        column: name of the column.
    """
    found = unit_column(column)
    return 1.0 if found is None else LARGEST[found.measure]


def _weight(emotion: str, unit: int) -> float:
    """Weight of a unit for an emotion: positive in its prototype, negative if it contradicts it."""
    if emotion in CONTRADICTIONS.get(unit, ()):
        return -CONTRADICTION
    return PROTOTYPES[emotion].get(unit, 0.0)


def _measured(emotion: str, values: Mapping[int, float]) -> float:
    """Weight of the prototype's units that are measured."""
    return sum(weight for unit, weight in PROTOTYPES[emotion].items() if unit in values)


def _full_weight(emotion: str) -> float:
    return sum(PROTOTYPES[emotion].values())


def _strength(unit: int, value: float, largest: float, baseline: CueBaseline | None) -> tuple[float, str]:
    """How strongly a unit is active, 0..1, and that in words.

    Args:
        unit: number of the unit.
        value: its value.
        largest: largest value of its column.
        baseline: mean and deviation of each unit; ``None`` takes the value as it is.
    """
    if not math.isfinite(value):
        return 0.0, ""
    if baseline is None:
        share = (value / largest - RISES_SHARE) / (FULL_SHARE - RISES_SHARE)
        return min(max(share, 0.0), 1.0), f"{unit_name(unit)}: {value:.1f} of {largest:g}"
    deviation = baseline.deviation(unit_name(unit), value, smallest=SMALLEST_SD * largest)
    if deviation is None:
        return 0.0, ""
    share = (deviation - RISES) / (FULL - RISES)
    return min(max(share, 0.0), 1.0), f"{unit_name(unit)}: {deviation:.1f} sd above {baseline.whose}"


#: {measure of five landmarks: rule}, in distances between the eyes.
LANDMARK_RULES: dict[str, CueRule] = {
    "mouth_width": CueRule(
        "wide mouth", "narrow mouth", {"happy": 2, "angry": -1, "surprised": -1}, 0.02, _LANDMARK_SOURCE
    ),
    "mouth_drop": CueRule(
        "low mouth corners", "raised mouth corners", {"happy": -2, "sad": 1, "surprised": 1}, 0.02, _LANDMARK_SOURCE
    ),
}
#: Lowest and highest distance of mouth corners below the tip of the nose that a face can have, in distances between the
#: eyes. It is about half of one in adults.
PLAUSIBLE_DROP = (0.1, 1.2)


def landmark_measures(points: Array) -> dict[str, float]:
    """Width of the mouth, and distance of its corners below the tip of the nose, in distances between the eyes.

    Args:
        points: ``[5, 2]`` as :class:`multiemo.preprocess.faces.detection.Face` has them: the eye on the left of the
            picture, the eye on its right, nose tip, left and right mouth corner.

    Returns:
        {measure: value}; a tilted head does not change them. NaN if the points are not those of a face.

    Example:
        >>> face = np.array([[0, 0], [10, 0], [5, 6], [1, 11], [9, 11]])
        >>> landmark_measures(face)
        {'mouth_width': 0.8, 'mouth_drop': 0.5}
    """
    left, right, nose, left_corner, right_corner = np.asarray(points, dtype=np.float64)
    across = right - left
    distance = float(np.hypot(*across))
    if distance == 0:
        return dict.fromkeys(LANDMARK_RULES, math.nan)
    down = np.array([-across[1], across[0]]) / distance
    drop = float(((left_corner + right_corner) / 2 - nose) @ down) / distance
    if not PLAUSIBLE_DROP[0] <= drop <= PLAUSIBLE_DROP[1]:
        return dict.fromkeys(LANDMARK_RULES, math.nan)
    return {"mouth_width": float(np.hypot(*(right_corner - left_corner))) / distance, "mouth_drop": drop}


def read_landmarks(values: Mapping[str, float], baseline: CueBaseline) -> Findings:
    """What little the rules find in five landmarks.

    Args:
        values: {measure of :func:`landmark_measures`: value}; NaN if no landmarks were found.
        baseline: what they are compared with.

    Returns:
        The findings: no reasons without landmarks or baseline.
    """
    if not baseline.mean:
        return Findings({}, limits=["There is no baseline: at least two faces are needed to compare with."])
    found = deviations(values, LANDMARK_RULES, baseline)
    if not found:
        return Findings({}, limits=["No landmarks were found in the face crops."])
    return add_up(deviation_reasons(found, LANDMARK_RULES, baseline.whose), [_LANDMARK_LIMIT])
