"""Rules for faces as encoders: action units from named columns, landmarks from crops."""

from __future__ import annotations

import pytest
import torch

from multiemo.encoders.face.face_rules import FaceLandmarkRulesEncoder, FaceRulesEncoder
from multiemo.errors import ConfigError
from tests.support.detectors import SmileDetector, needs_centerface

COLUMNS = ("pose_Rx", "AU01_r", "AU04_r", "AU06_r", "AU12_r", "AU15_r", "AU25_r", "AU12_c")


def clip(smile: float, steps: int = 1) -> torch.Tensor:
    rows = torch.zeros(steps, len(COLUMNS))
    rows[:, COLUMNS.index("AU12_r")] = rows[:, COLUMNS.index("AU06_r")] = smile
    return rows


def test_units_are_compared_with_the_training_clips():
    encoder = FaceRulesEncoder(dim=8, columns=COLUMNS)
    encoder.fit_statistics([clip(smile) for smile in (1.0, 1.2, 0.8, 1.0)])
    assert set(encoder.find(clip(1.0)).scores) == {"neutral"}
    smile = encoder.find(clip(3.0))
    assert max(smile.scores, key=smile.scores.__getitem__) == "happy"
    assert "sd above the corpus" in smile.reasons[0].rule


def test_a_sequence_is_read_near_its_strongest_moment():
    encoder = FaceRulesEncoder(dim=8, columns=COLUMNS)
    film = torch.cat([clip(0.0, 60), clip(4.0, 40)])
    blink = torch.cat([clip(0.0, 97), clip(4.0, 3)])
    assert encoder.find(film).scores["happy"] == pytest.approx(encoder.find(clip(4.0)).scores["happy"])
    assert "happy" not in encoder.find(blink).scores


@pytest.mark.parametrize(("columns", "said"), [((), "no names"), (("gaze_x", "x"), "named gaze_x, x")])
def test_features_without_action_units_are_refused(columns: tuple[str, ...], said: str):
    with pytest.raises(ConfigError, match=rf"encoders\.face\.name.*{said}.*face_rules_landmarks"):
        FaceRulesEncoder(dim=8, columns=columns)


@pytest.fixture
def by_landmarks() -> FaceLandmarkRulesEncoder:
    encoder = FaceLandmarkRulesEncoder(size=32)
    encoder._detector = SmileDetector()
    return encoder


def crops(*brightness: int) -> torch.Tensor:
    return torch.stack([torch.full((3, 32, 32), value, dtype=torch.uint8) for value in brightness])


@needs_centerface
def test_a_wide_mouth_with_raised_corners_is_a_smile(by_landmarks: FaceLandmarkRulesEncoder):
    by_landmarks.fit_statistics([crops(value) for value in (20, 30, 40)])
    found = by_landmarks.find(crops(250, 250, 250))
    assert max(found.scores, key=found.scores.__getitem__) == "happy"
    assert "a smile at best" in found.limits[0]


@needs_centerface
def test_crops_without_landmarks_do_not_count(by_landmarks: FaceLandmarkRulesEncoder):
    assert by_landmarks.measure(crops(0, 100, 0)) == pytest.approx(by_landmarks.measure(crops(100)))


@needs_centerface
def test_a_face_without_landmarks_is_no_evidence_with_its_reason(by_landmarks: FaceLandmarkRulesEncoder):
    by_landmarks.fit_statistics([crops(value) for value in (20, 30, 40)])
    found = by_landmarks.find(crops(0))
    assert not found.scores
    assert found.limits == ["No landmarks were found in the face crops."]
    embedded = by_landmarks(crops(0)[None], torch.ones(1, 1, dtype=torch.bool))
    assert embedded.count_nonzero() == 0


def test_a_detector_without_landmarks_is_refused():
    with pytest.raises(ConfigError, match=r"encoders\.face\.detector.*Haar cascade"):
        FaceLandmarkRulesEncoder(detector="haar")
