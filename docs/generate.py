"""Write docs/reference/ and docs/schemas/ from the code: ``python docs/generate.py``; ``--check`` only compares.

Every key, option and command is documented where it is defined, in the ``Args`` of a docstring or the help of an
option. A missing description is an error here. The package ``generator`` beside this script makes the pages.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from generator.commands import commands
from generator.configuration import configuration
from generator.faults import faults
from generator.parts import PARTS, adapters, parts
from generator.records import APPLICATIONS, PREDICTION, members, schema

from multiemo.cli import app
from multiemo.config import Config

DOCS = Path(__file__).parent
_NOTICE = "<!-- Written by docs/generate.py; do not edit. -->\n"
#: {name of a schema's file: the record, as module:class}.
RECORDS: dict[str, str] = {
    "anonymize": "multiemo.anonymize.records:AnonymizeReport",
    "benchmark": "multiemo.benchmark.document:BenchmarkResult",
    "cross-corpus": "multiemo.benchmark.cross_corpus:CrossCorpusResult",
    "bulk-summary": "multiemo.bulk.run:BulkSummary",
    "cache-info": "multiemo.data.cache.maintenance:CacheInfo",
    "cache-prune": "multiemo.data.cache.maintenance:Pruned",
    "call": "multiemo.applications.call_report:CallReport",
    "claims": "multiemo.explanation.faithfulness.records:ClaimReport",
    "comparison": "multiemo.benchmark.document:ComparisonResult",
    "epoch": "multiemo.training.epochs:StageEpoch",
    "evaluation": "multiemo.evaluation:Report",
    "evaluation-read": "multiemo.runs.folder.evaluation_log:Reading",
    "explanation": "multiemo.predict.explanations.records:Explanation",
    "faithfulness": "multiemo.explanation.faithfulness.records:Faithfulness",
    "model-explanation": "multiemo.explanation.overall.records:ModelExplanation",
    "live": "multiemo.predict.prediction:LivePrediction",
    "mood": "multiemo.applications.mood_report:MoodLog",
    "prediction": "multiemo.predict.prediction:Prediction",
    "prediction-line": "multiemo.evaluation:ClipPrediction",
    "privacy": "multiemo.runs.folder.privacy_report:PrivacyReport",
    "protocol": "multiemo.benchmark.document:ProtocolSummary",
    "purge": "multiemo.runs.purge.records:PurgeReceipts",
    "split": "multiemo.data.splits.split:StoredSplit",
    "texts": "multiemo.applications.texts:TextsReport",
    "timeline": "multiemo.predict.prediction:TimelineDocument",
}


def main(arguments: Sequence[str]) -> int:
    """Write the files, or, with ``--check``, print a line for each file that differs.

    Returns:
        1 if ``--check`` found a difference, else 0.
    """
    pages = generated(RECORDS)
    if "--check" not in arguments:
        for name, text in pages.items():
            (DOCS / name).parent.mkdir(exist_ok=True)
            (DOCS / name).write_text(text, "utf-8")
    stale = stale_files(pages, DOCS)
    for line in stale:
        print(line)
    return 1 if stale else 0


def generated(records: Mapping[str, str]) -> dict[str, str]:
    """The content of every generated file.

    Args:
        records: {name of a schema's file: the record, as module:class}.

    Returns:
        {path below docs/: content}.
    """
    for package in PARTS:
        import_module(package)
    prediction = members(
        "Prediction JSON",
        "The members of the JSON that `multiemo predict --json` writes. "
        "[predict.md](../predict.md#the-prediction-json) has an example; "
        "[prediction.json](../schemas/prediction.json) is its schema. Times are seconds. "
        "Probabilities sum to 1, unless several labels can hold at once.",
        PREDICTION,
    )
    applications = members(
        "JSON of texts, calls and moods",
        "The members of the JSON that `multiemo texts`, `call` and `mood` write; "
        "[applications.md](../applications.md) has examples. The schemas are [texts.json](../schemas/texts.json), "
        "[call.json](../schemas/call.json) and [mood.json](../schemas/mood.json).",
        APPLICATIONS,
    )
    pages = {
        "configuration": configuration(Config),
        "encoders": parts(),
        "corpora": adapters(),
        "cli": commands(app),
        "prediction": prediction,
        "faults": faults(DOCS.parent / "tests"),
        "applications": applications,
    }
    files = {f"reference/{name}.md": _NOTICE + page for name, page in pages.items()}
    return files | {f"schemas/{name}.json": schema(place) for name, place in records.items()}


def _content(name: str, text: str) -> object:
    """What a file holds; the order of the members of a schema depends on the version of pydantic and does not count."""
    return json.loads(text) if name.endswith(".json") else text


def stale_files(pages: Mapping[str, str], folder: Path) -> list[str]:
    """Report files that are missing, out of date or no longer generated, a line each.

    Args:
        pages: {path below the folder: content}, from :func:`generated`.
        folder: ``docs/``.
    """
    found = []
    for name, text in pages.items():
        file = folder / name
        if not file.is_file():
            found.append(f"{file}: is missing; run python docs/generate.py")
        elif _content(name, file.read_text("utf-8")) != _content(name, text):
            found.append(f"{file}: is out of date; run python docs/generate.py")
    for file in sorted([*(folder / "reference").glob("*.md"), *(folder / "schemas").glob("*.json")]):
        if file.relative_to(folder).as_posix() not in pages:
            found.append(f"{file}: is not generated any more; delete it")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
