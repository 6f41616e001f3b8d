"""JSON Schemas of records, and the reference of their members."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module

from generator.markdown import cell
from multiemo.records import json_schema_of

_PREDICTION = "multiemo.predict.prediction"
_APPLICATIONS = "multiemo.applications"
#: (heading, the record as module:class) of each table of reference/prediction.md.
PREDICTION = (
    ("The whole", f"{_PREDICTION}:Prediction"),
    ("`inputs`", f"{_PREDICTION}:InputPrediction"),
    ("`segments` of an input", f"{_PREDICTION}:SegmentPrediction"),
    ("`face` of a segment", f"{_PREDICTION}:SegmentFaces"),
    ("`people` of a face", f"{_PREDICTION}:FacePrediction"),
    ("`smoothed` of a segment", f"{_PREDICTION}:SmoothedPrediction"),
    ("`skipped` of an input", f"{_PREDICTION}:SkippedSegment"),
    ("`people` of an input", f"{_PREDICTION}:PersonTimeline"),
    ("`segments` of a person", f"{_PREDICTION}:PersonSegment"),
    ("`words` of an input", f"{_PREDICTION}:Words"),
    ("`words` of an input without words", f"{_PREDICTION}:NoWords"),
    ("`model`", f"{_PREDICTION}:ModelDescription"),
    ("`failures`", f"{_PREDICTION}:InputFailure"),
    ("`left_out`", "multiemo.predict.folders:LeftOut"),
)
#: The same for reference/applications.md.
APPLICATIONS = (
    ("`multiemo texts`", f"{_APPLICATIONS}.texts:TextsReport"),
    ("`multiemo call`", f"{_APPLICATIONS}.call_report:CallReport"),
    ("`speakers` of a call", f"{_APPLICATIONS}.call_report:CallSpeaker"),
    ("`moments` of a call", f"{_APPLICATIONS}.call_report:CallMoment"),
    ("`timelines` of a call: a segment", f"{_APPLICATIONS}.call_report:CallSegment"),
    ("`overlaps` of a call", f"{_APPLICATIONS}.call_report:CallOverlaps"),
    ("`silences` of a call", f"{_APPLICATIONS}.call_report:CallSilences"),
    ("`multiemo mood`", f"{_APPLICATIONS}.mood_report:MoodLog"),
    ("`days` of a mood log", f"{_APPLICATIONS}.mood_report:MoodDay"),
    ("`valence` and `arousal` of a day", f"{_APPLICATIONS}.mood_report:MoodLevel"),
    ("`changes` of a mood log", f"{_APPLICATIONS}.mood_report:MoodChange"),
)


def schema(place: str) -> str:
    """The JSON Schema of a record.

    Args:
        place: ``module:class``.
    """
    return json.dumps(json_schema_of(_record_at(place)), indent=2, ensure_ascii=False) + "\n"


def members(title: str, introduction: str, sections: Sequence[tuple[str, str]]) -> str:
    """A page with a table of the members of each record.

    Args:
        title: heading of the page.
        introduction: the text below it.
        sections: (heading, the record as ``module:class``) of each table.
    """
    text = f"# {title}\n\n{introduction} Members marked * are left out where they do not apply.\n"
    for heading, place in sections:
        found = json_schema_of(_record_at(place))
        text += f"\n## {heading}\n\n{found['description']}\n\n| member | |\n|---|---|\n"
        for name, facts in found["properties"].items():
            mark = "" if name in found.get("required", ()) else " *"
            text += f"| `{name}`{mark} | {cell(facts['description'])} |\n"
    return text


def _record_at(place: str) -> type:
    module, _, name = place.partition(":")
    found: type = getattr(import_module(module), name)
    return found
