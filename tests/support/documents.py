"""Everything that commands write as JSON, held against the JSON Schema of its record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import jsonschema

from multiemo.records import Record

#: {command: module and class of what its --json writes}.
_DOCUMENTS = {
    "anonymize": "multiemo.anonymize.records:AnonymizeReport",
    "claims": "multiemo.explanation.faithfulness.records:ClaimReport",
    "predict": "multiemo.predict.prediction:Prediction",
    "predict --out": "multiemo.bulk.run:BulkSummary",
    "explain": "multiemo.predict.explanations.records:Explanation",
    "explain --global": "multiemo.explanation.overall.records:ModelExplanation",
    "live": "multiemo.predict.prediction:LivePrediction",
    "texts": "multiemo.applications.texts:TextsReport",
    "call": "multiemo.applications.call_report:CallReport",
    "privacy-report": "multiemo.runs.folder.privacy_report:PrivacyReport",
    "mood": "multiemo.applications.mood_report:MoodLog",
}
#: {file below predict's --out: likewise, of the file or of each of its lines}.
_BULK = {
    "plan.json": "multiemo.bulk.plan:BulkPlan",
    "summary.json": "multiemo.bulk.run:BulkSummary",
    "predictions.jsonl": "multiemo.predict.prediction:InputPrediction",
    "quarantine.jsonl": "multiemo.predict.prediction:InputFailure",
    "left_out.jsonl": "multiemo.predict.folders:LeftOut",
}


def check_record(made: Record) -> None:
    """Fail unless what a record is written as fits its schema, and comes back the same."""
    _check(json.loads(json.dumps(made)), type(made))


def check_documents(arguments: Sequence[str], output: str) -> None:
    """Fail unless what a command has written fits the schemas.

    Args:
        arguments: of the command line; commands without a schema pass.
        output: what stands on standard output.
    """
    command, options = arguments[0], dict(pairwise(arguments))
    bulk = Path(options["--out"]) if command == "predict" and "--out" in options else None
    whole = " --global" if command == "explain" and "--global" in arguments else ""
    document = _DOCUMENTS.get(command + whole if bulk is None else "predict --out")
    if document is None:
        return
    written = options.get("--json")
    if written == "-" and output:
        _check(json.loads(output), _record(document))
    elif written is not None and Path(written).is_file():
        for values in _documents(Path(written)):
            _check(values, _record(document))
    if "--timeline" in options and Path(options["--timeline"]).is_dir():
        for file in Path(options["--timeline"]).glob("*.json"):
            for values in _documents(file):
                _check(values, _record("multiemo.predict.prediction:TimelineDocument"))
    for name, record in _BULK.items() if bulk is not None else ():
        for values in _documents(Path(options["--out"]) / name):
            _check(values, _record(record))


def _documents(file: Path) -> list[object]:
    """What a JSON file holds, or each line of a ``.jsonl`` file; nothing where there is none."""
    if not file.is_file():
        return []
    content = file.read_text("utf-8")
    return [json.loads(text) for text in (content.split("\n") if file.suffix == ".jsonl" else [content]) if text]


def _check(values: object, of: type[Record]) -> None:
    _validator(of).validate(values)
    assert isinstance(values, dict)
    assert of.from_json(values) == values


def _record(name: str) -> type[Record]:
    from importlib import import_module

    module, _, record = name.partition(":")
    found: type[Record] = getattr(import_module(module), record)
    return found


@lru_cache
def _validator(of: type[Record]) -> jsonschema.Draft202012Validator:
    schema = of.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)
