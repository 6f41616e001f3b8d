"""What a model says: objects with typed members that are the prediction JSON."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import multiemo
from multiemo.applications.call_report import (
    CallMoment,
    CallOverlaps,
    CallReport,
    CallSegment,
    CallSilences,
    CallSpeaker,
)
from multiemo.applications.mood_report import MoodChange, MoodDay, MoodLevel, MoodLog
from multiemo.applications.texts import TextsReport
from multiemo.predict.folders import LeftOut
from multiemo.predict.prediction import (
    FacePrediction,
    InputFailure,
    InputPrediction,
    LivePrediction,
    ModelDescription,
    NoWords,
    PersonTimeline,
    Prediction,
    SegmentFaces,
    SegmentPrediction,
    SkippedSegment,
    SmoothedPrediction,
    Words,
)
from multiemo.records import Record
from tests.support.documents import check_record

MODEL = {
    "name": "m",
    "label_set": None,
    "labels": [],
    "modalities": ["text"],
    "trained_on": "real",
    "validation": {},
    "calibration": {
        **{name: {} for name in ("temperatures", "branches", "thresholds", "clips", "biases", "branch_biases")},
        **{name: {} for name in ("costs", "label_thresholds", "smoothing")},
        "max_error": None,
        "stay_seconds": None,
    },
}
SKIPPED = {"start": 0.0, "end": 1.0, "kind": "pause", "absent": {"speech": "nobody speaks here"}}
DIMENSIONS = {
    "start": 1.0,
    "end": 2.0,
    "kind": "speech",
    "by_modality": {"text": {"valence": 0.5}},
    "valence": 0.5,
    "contribution_by_dimension": {"valence": {"text": 0.1}},
    "present": ["text"],
    "absent": {},
}


def test_a_prediction_is_an_object_and_its_json(model: multiemo.Predictor) -> None:
    entry = model.predict(text="so happy")
    assert isinstance(entry, InputPrediction)
    (segment,) = entry.segments
    assert segment.label == entry["segments"][0]["label"] == json.loads(str(entry))["segments"][0]["label"]
    assert segment.probs is not None
    assert sum(segment.probs.values()) == pytest.approx(1, abs=1e-5)
    assert entry.words == {}
    assert segment.face is None
    assert "face" not in segment
    whole = Prediction(inputs=[entry], model=model.describe())
    check_record(whole)
    assert Prediction.from_json(json.loads(json.dumps(whole))).inputs[0].segments[0].label == segment.label


def test_a_stream_gives_segments_and_skipped_ones() -> None:
    live = LivePrediction.from_json({"segments": [SKIPPED, DIMENSIONS], "model": MODEL})
    assert [type(segment) for segment in live.segments] == [SkippedSegment, SegmentPrediction]
    check_record(live)


def test_words_are_there_or_not() -> None:
    entry = {
        "input": "a.mp4",
        "duration": 1.0,
        "present": ["text"],
        "absent": {},
        "words": {"source": "a.srt", "language": None},
        "segments": [],
        "skipped": [],
        "people": [],
        "notes": [],
    }
    for words, kind in ((entry["words"], Words), ({"absent": "no transcript"}, NoWords), ({}, NoWords)):
        found = InputPrediction.from_json({**entry, "words": words})
        assert type(found.words) is kind
        assert found.words == words
        check_record(found)


@pytest.mark.parametrize(
    "wrong",
    [
        {**DIMENSIONS, "label": None},
        {**DIMENSIONS, "kind": "turn"},
        {**DIMENSIONS, "absent": {"voice": "gone"}},
        {**DIMENSIONS, "colour": "red"},
        {name: value for name, value in DIMENSIONS.items() if name != "present"},
    ],
)
def test_the_schema_refuses_what_is_no_segment(wrong: dict[str, object]) -> None:
    schema = SegmentPrediction.json_schema()
    jsonschema.validate(DIMENSIONS, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_every_member_is_described() -> None:
    schema = Prediction.json_schema()
    for name, part in {"Prediction": schema, **schema["$defs"]}.items():
        for member, facts in part["properties"].items():
            assert facts.get("description"), f"{name}.{member} has no description"


@pytest.mark.parametrize(
    ("page", "records"),
    [
        (
            "reference/prediction.md",
            [Prediction, InputPrediction, SegmentPrediction, SkippedSegment, Words, ModelDescription, LeftOut],
        ),
        ("reference/prediction.md", [SegmentFaces, FacePrediction, SmoothedPrediction, PersonTimeline, InputFailure]),
        (
            "reference/applications.md",
            [TextsReport, CallReport, CallSpeaker, CallMoment, CallSegment, CallOverlaps, CallSilences],
        ),
        ("reference/applications.md", [MoodLog, MoodDay, MoodLevel, MoodChange]),
    ],
)
def test_the_documentation_describes_every_member(page: str, records: list[type[Record]]) -> None:
    lines = (Path(multiemo.__file__).parents[1] / "docs" / page).read_text("utf-8").splitlines()
    for of in records:
        schema = of.json_schema()
        for name, facts in schema["properties"].items():
            mark = "" if name in schema["required"] else " *"
            assert f"| `{name}`{mark} | {facts['description']} |" in lines, f"{page}: {of.__name__}.{name}"
