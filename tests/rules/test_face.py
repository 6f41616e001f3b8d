"""Prototypes of facial expressions, and what five landmarks show."""

from __future__ import annotations

import math

import numpy as np
import pytest

from multiemo.labels.action_units import unit_name
from multiemo.labels.sets import LABEL_SETS
from multiemo.rules.deviations import CueBaseline
from multiemo.rules.face import (
    CONTRADICTIONS,
    LANDMARK_RULES,
    PROTOTYPES,
    column_largest,
    landmark_measures,
    read_landmarks,
    read_units,
    unit_columns,
)
from multiemo.rules.findings import EMOTIONS, Findings
from multiemo.rules.label_sets import label_shares
from multiemo.synthetic.cues import FACE

OPENFACE = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26)
LARGEST = dict.fromkeys((*OPENFACE, 11, 16, 24), 5.0)
CORPUS = CueBaseline({unit_name(u): 1.0 for u in OPENFACE}, {unit_name(u): 0.5 for u in OPENFACE}, 100)
FACE_POINTS = np.array([[0.0, 0.0], [10.0, 0.0], [5.0, 6.0], [1.0, 11.0], [9.0, 11.0]])
LANDMARKS = CueBaseline({"mouth_width": 0.8, "mouth_drop": 0.5}, {"mouth_width": 0.05, "mouth_drop": 0.05}, 50)


def face(*units: int, intensity: float = 4.0, baseline: CueBaseline | None = None) -> Findings:
    values = {unit: intensity if unit in units else 0.0 for unit in OPENFACE}
    return read_units(values, LARGEST, baseline)


def winner(findings: Findings) -> str:
    return max(findings.scores, key=findings.scores.__getitem__)


@pytest.mark.parametrize("baseline", [None, CORPUS])
@pytest.mark.parametrize(
    ("units", "emotion"),
    [
        ((6, 12), "happy"),
        ((1, 4, 15), "sad"),
        ((4, 5, 7, 23), "angry"),
        ((1, 2, 4, 5, 20, 26), "fearful"),
        ((9, 15), "disgusted"),
        ((9, 10), "disgusted"),
        ((1, 2, 5, 26), "surprised"),
        ((), "neutral"),
    ],
)
def test_each_prototype_of_emfacs_wins(units: tuple[int, ...], emotion: str, baseline: CueBaseline | None):
    assert winner(face(*units, baseline=baseline)) == emotion


@pytest.mark.parametrize("emotion", [e for e in FACE if e != "neutral"])
def test_what_most_people_show_wins(emotion: str):
    """The units of Du et al. 2014 that most people show, as the demo's faces have them."""
    values = {unit: 5.0 * FACE[emotion].get(unit, 0.0) for unit in LARGEST}
    assert winner(read_units(values, LARGEST)) == emotion


def test_reasons_name_the_unit_and_add_up_to_the_scores():
    found = face(6, 12)
    assert found.reasons[0].rule == "AU12 lip corner puller: 4.0 of 5"
    assert found.reasons[0].effect["happy"] > 0 > found.reasons[0].effect["sad"]
    for emotion, score in found.scores.items():
        assert score == pytest.approx(sum(r.effect.get(emotion, 0.0) for r in found.reasons), abs=1e-3)
    assert found.valence > 0.3


def test_a_contradicting_unit_takes_from_an_emotion():
    assert face(6, 12, 4).scores["happy"] < face(6, 12).scores["happy"]
    assert face(4, 7, 23, 12).scores["angry"] < face(4, 7, 23).scores["angry"]


def test_a_stronger_unit_counts_more():
    weak, strong = (face(12, intensity=value).scores["happy"] for value in (1.0, 3.0))
    assert 0 < weak < strong


def test_what_a_person_always_shows_is_no_expression():
    """OpenFace gives some people a brow lowerer at rest."""
    resting = CueBaseline({**CORPUS.mean, unit_name(4): 3.0}, CORPUS.sd, 100)
    values = {unit: 3.0 if unit == 4 else 1.0 for unit in OPENFACE}
    assert dict(read_units(values, LARGEST, resting).scores) == {"neutral": 1.0}
    assert "neutral" not in read_units(values, LARGEST, CORPUS).scores
    assert any("no baseline" in limit for limit in read_units(values, LARGEST).limits)


def test_emotions_whose_units_are_not_measured_are_left_out():
    found = read_units({12: 4.0, 25: 0.0}, LARGEST)
    assert set(found.scores) == {"happy"}
    assert any("fearful" in limit for limit in found.limits)


@pytest.mark.parametrize("values", [{}, {12: math.nan}])
def test_no_units_are_no_evidence_for_an_emotion(values: dict[int, float]):
    assert not set(read_units(values, LARGEST).scores) - {"neutral"}


def test_intensity_is_preferred_to_probability_and_presence():
    assert unit_columns(["AU12_c", "AU12", "AU12_r", "AU4_c", "AU45_r", "gaze_x"]) == {4: 3, 12: 2}
    assert unit_columns(["AU12_c", "AU12"]) == {12: 1}
    assert [column_largest(name) for name in ("AU12_r", "AU12_c", "AU12", "x")] == [5.0, 1.0, 1.0, 1.0]


def test_tables_speak_of_scored_emotions():
    assert set(PROTOTYPES) == set(EMOTIONS) - {"neutral"}
    assert {e for emotions in CONTRADICTIONS.values() for e in emotions} <= set(PROTOTYPES)
    assert all(unit not in PROTOTYPES[e] for unit, emotions in CONTRADICTIONS.items() for e in emotions)
    assert {e for rule in LANDMARK_RULES.values() for e in rule.marks} <= set(EMOTIONS)


@pytest.mark.parametrize("name", LABEL_SETS)
def test_findings_become_shares_of_any_label_set(name: str):
    shares = label_shares(face(6, 12), LABEL_SETS[name])
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares.values()) > min(shares.values())


@pytest.mark.parametrize("degrees", [0, 20, -35])
def test_a_tilted_head_has_the_same_measures(degrees: float):
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    measures = landmark_measures(7.0 * FACE_POINTS @ turn + 30.0)
    assert measures == pytest.approx({"mouth_width": 0.8, "mouth_drop": 0.5})


def test_a_smile_is_seen_in_five_points():
    smile = FACE_POINTS.copy()
    smile[3:] = [[0.2, 10.2], [9.8, 10.2]]
    found = read_landmarks(landmark_measures(smile), LANDMARKS)
    assert winner(found) == "happy"
    assert {reason.rule.split(":")[0] for reason in found.reasons} == {"wide mouth", "raised mouth corners"}
    assert "a smile at best" in found.limits[0]


def test_an_ordinary_mouth_is_neutral():
    assert dict(read_landmarks(landmark_measures(FACE_POINTS), LANDMARKS).scores) == {"neutral": 1.0}


@pytest.mark.parametrize(
    ("values", "baseline", "limit"),
    [
        (landmark_measures(np.zeros((5, 2))), LANDMARKS, "No landmarks were found"),
        (landmark_measures(FACE_POINTS), CueBaseline({}, {}, 0), "There is no baseline"),
    ],
)
def test_nothing_to_see_is_no_evidence(values: dict[str, float], baseline: CueBaseline, limit: str):
    found = read_landmarks(values, baseline)
    assert not found.scores
    assert not found.reasons
    assert found.limits[0].startswith(limit)
