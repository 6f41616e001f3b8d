"""The model card of a run: ``README.md`` of its model folder, with the YAML front matter of the Hugging Face hub."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from multiemo.calibration import Calibration
from multiemo.data.manifest.reading import read_manifest
from multiemo.encryption import read_sealed
from multiemo.errors import CheckpointError, ManifestError
from multiemo.evaluation.groups import predicted_errors_by_group
from multiemo.evaluation.report import Report
from multiemo.files import parse_json, write_atomically
from multiemo.metrics import MAIN_FIGURE
from multiemo.metrics.results import Interval
from multiemo.report.intended_use import INTENDED_USE, LAW, licences
from multiemo.report.privacy import card_lines
from multiemo.report.tables import COLUMNS, caveat, format_interval, format_number, markdown, table_rows
from multiemo.runs.folder.evaluation_log import Reading, reads_of, run_folder_of
from multiemo.runs.folder.privacy_facts import PrivacyFacts
from multiemo.runs.folder.privacy_report import stored_report
from multiemo.runs.folder.recorded_paths import recorded_files
from multiemo.runs.folder.required_files import model_folder
from multiemo.types import Clip, Modality

#: {set of modalities: pipeline tag of the hub}.
_PIPELINES: dict[tuple[Modality, ...], str] = {
    ("text",): "text-classification",
    ("speech",): "audio-classification",
    ("face",): "image-classification",
}


def write_card(run: Path) -> Path:
    """Write the model card of a run from what its folder records; no part is read.

    Args:
        run: run folder, or the folder of one of its branches.

    Returns:
        The path of the card.
    """
    folder = model_folder(run)
    write_atomically(folder / "README.md", model_card(run))
    return folder / "README.md"


def write_cards(run: Path) -> None:
    """Write the model cards of a run and of its branches; a run that learnt no labels has none.

    Args:
        run: run folder.
    """
    folders = [run, *sorted((run / "branches").glob("*"))]
    for folder in folders:
        with suppress(CheckpointError):
            write_card(folder)


def model_card(run: Path) -> str:
    """The model card as Markdown, with the worst figure on another corpus first.

    Args:
        run: run folder, or the folder of one of its branches.
    """
    model = parse_json(read_sealed(model_folder(run) / "config.json"))
    facts, config = model["facts"], model["config"]
    report = _report(run)
    task = config["task"]
    labels = model["label_set"]["labels"] if task != "dimensions" else ["valence", "arousal", "dominance"]
    lines = [_front_matter(model, report), f"# {config['name']}", ""]
    lines += [f"Recognises emotions from {' and '.join(model['inputs'])}: {', '.join(labels)}.", ""]
    warning = caveat(facts.get("corpus_kind", "real"))
    lines += [f"**Measured on {warning}.**", ""] if warning else []
    lines += ["## On other corpora", "", *_elsewhere(run_folder_of(run), task), ""]
    lines += ["## On unseen clips of its own corpus", "", *_within(report, facts), ""]
    lines += ["## Errors by group", "", *_by_group(report), *_by_attribute(run, report), ""]
    lines += ["## Confidence", "", *_confidence(model, report), ""]
    lines += ["## Data", "", *_data(run_folder_of(run), facts), ""]
    lines += _measured_privacy(run_folder_of(run))
    if "privacy" in facts:
        lines += ["## Differential privacy", "", *_privacy(PrivacyFacts.from_json(facts["privacy"])), ""]
    lines += ["## Licences", "", *licences(_corpora(run_folder_of(run), facts), config["encoders"]), ""]
    lines += ["## Intended use", "", *INTENDED_USE, ""]
    lines += ["## The law", "", *LAW, ""]
    return "\n".join(lines)


def _front_matter(model: dict[str, Any], report: Report | None) -> str:
    """The YAML block that the hub reads."""
    modalities: tuple[Modality, ...] = tuple(model["inputs"])
    values: dict[str, Any] = {
        "library_name": "multiemo",
        "tags": ["emotion-recognition", *modalities],
    }
    if modalities in _PIPELINES:
        values["pipeline_tag"] = _PIPELINES[modalities]
    if report is not None and report.split == "test":
        main = MAIN_FIGURE[report.task]
        figure = {"type": main, "name": COLUMNS[report.task][main], "value": getattr(report.subsets[report.full], main)}
        name = Path(_manifest_name(model["facts"])).stem
        values["model-index"] = [
            {
                "name": model["config"]["name"],
                "results": [
                    {
                        "task": {"type": _PIPELINES.get(modalities, "other"), "name": "emotion recognition"},
                        "dataset": {"type": name, "name": name, "split": "test"},
                        "metrics": [figure],
                    }
                ],
            }
        ]
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---\n"


def _report(run: Path) -> Report | None:
    """The evaluation of the test part, else of validation; ``None`` without either."""
    for name in ("evaluation.json", "validation.json"):
        if (run / name).is_file():
            return Report.read(run / name)
    return None


def _elsewhere(home: Path, task: str) -> list[str]:
    """Figures on other manifests of people unknown to the model, worst first."""
    main = MAIN_FIGURE[task]
    latest: dict[str, Reading] = {}
    for reading in reads_of(home):
        if reading.foreign and not reading.test and reading.get(main) is not None:
            latest[", ".join(reading.corpora or [])] = reading
    if not latest:
        return ["**Not tested on another corpus.** Figures below hold for people recorded in the same way."]
    ordered = sorted(latest.items(), key=lambda item: _value(item[1], main))
    name, worst = ordered[0]
    head = COLUMNS[task][main]
    rows = [["corpus", "clips", head, "95% interval"]]
    rows += [[n, str(r.n), format_number(r.get(main)), format_interval(r, main)] for n, r in ordered]
    first = f"**{head} {format_number(worst.get(main))} ({format_interval(worst, main)}) on {name}**"
    return [f"{first}, the worst of the corpora below, none of which it was trained on.", "", *markdown(rows)]


def _value(figures: Mapping[str, Any], name: str) -> float:
    """A figure that is known to be measured."""
    return float(figures[name])


def _within(report: Report | None, facts: dict[str, Any]) -> list[str]:
    """Figures of every subset, or what is missing."""
    if report is None:
        figures = ", ".join(f"{name} {value}" for name, value in (facts.get("validation") or {}).items())
        return [f"Not tested. On validation, which selection and calibration use: {figures or 'nothing'}."]
    about = f"{report.n} clips of {report.speakers} speakers ({report.split} part). Intervals are over speakers."
    if report.split != "test":
        about += " Selection and calibration use this part, so its figures are optimistic; the test part was not read."
    return [about, "", *markdown(table_rows(report)), *(f"- {note}" for note in ["", *report.notes] if note)]


def _by_group(report: Report | None) -> list[str]:
    """Recall of each label, worst first: the groups that every corpus has."""
    if report is None or not report.per_class.get(report.full):
        return ["Not measured."]
    found = report.per_class[report.full]
    key = "ccc" if report.task == "dimensions" else "recall"
    values = {name: v.get(key) for name, v in found.items()}
    rows = sorted((float(v), name) for name, v in values.items() if v is not None and math.isfinite(v))
    unseen = [name for name, v in values.items() if v is None or not math.isfinite(v)]
    return [
        f"By label, worst first ({key}; all modalities):", "",
        *markdown([["label", key], *([name, format_number(value)] for value, name in rows)]), "",
        *([f"Not measured, since no clip has it: {', '.join(unseen)}.", ""] if unseen else []),
        "By speaker: `multiemo explain RUN --global`. Names of speakers are not part of a card.",
    ]  # fmt: skip


def _by_attribute(run: Path, report: Report | None) -> list[str]:
    """The main figure by language and attributes of the test clips, worst first."""
    if report is None or not (run / "predictions.jsonl").is_file():
        return []
    lines = (run / "predictions.jsonl").read_text("utf-8").splitlines()
    predictions = {p["id"]: p for line in lines if (p := json.loads(line))["target"] is not None}
    clips = [clip for clip in _clips(run_folder_of(run)) if clip.id in predictions]
    if not clips:
        return []
    found = predicted_errors_by_group(report.task, report.full, [predictions[c.id] for c in clips], clips)
    head = ["attribute", "group", "clips", "people", COLUMNS[report.task][found.figure], "95% interval"]
    rows = [
        [g.attribute, g.value, str(g.n), str(g.speakers), format_number(g.figure), _interval(g.interval)]
        for g in found.groups
        if g.attribute != "speaker"
    ]
    return ["", *markdown([head, *rows])] if rows else []


def _interval(interval: Interval) -> str:
    return " .. ".join(map(format_number, interval)) if interval else ""


def _clips(home: Path) -> list[Clip]:
    """The rows of a run's manifests, if they are still there."""
    manifests, _ = recorded_files(home)
    rows: list[Clip] = []
    for manifest in dict.fromkeys(path.resolve() for path in manifests):
        with suppress(ManifestError, OSError):
            rows += _rows(manifest, manifest.stat().st_mtime_ns)
    return rows


@lru_cache(maxsize=4)
def _rows(manifest: Path, _changed: int) -> tuple[Clip, ...]:
    """The rows of a manifest; the cards of a run and its branches read it once."""
    return tuple(read_manifest(manifest))


def _corpora(home: Path, facts: dict[str, Any]) -> list[str]:
    """Corpora of the training clips, if their manifests are still there."""
    if facts.get("corpus_kind") == "synthetic":
        return ["synthetic-demo"]
    return sorted({clip.corpus for clip in _clips(home)})


def _confidence(model: dict[str, Any], report: Report | None) -> list[str]:
    """Calibration error, and what abstention promises."""
    stored = Calibration.from_json(model.get("calibration") or {})
    if not stored.temperatures:
        return ["Probabilities are not calibrated."]
    lines = ["Probabilities were calibrated on validation clips."]
    if report is not None and "ece" in report.subsets[report.full]:
        values = report.subsets[report.full]
        after, before = (format_number(values.get(name)) for name in ("ece", "ece_raw"))
        lines += [f"Expected calibration error: {after}, before {before}."]
    if stored.max_error is not None:
        lines += [
            f"Answers `uncertain` below a confidence that was fitted so that, with 90% assurance, at most "
            f"{stored.max_error:g} of its answers are wrong on people like those of validation."
        ]
        never = [key for key, threshold in stored.thresholds.items() if threshold is None]
        lines += [f"Always `uncertain` with {', '.join(never)}: no threshold assures it."] if never else []
    return lines


def _data(home: Path, facts: dict[str, Any]) -> list[str]:
    """Clips and people of each part."""
    path = home / "splits.json"
    lines = [f"Manifest: `{_manifest_name(facts)}`, {facts.get('corpus_kind', 'real')} corpus."]
    if not path.is_file():
        return lines
    split = json.loads(path.read_text("utf-8"))[facts["stage"]]
    unit = split["group_by"]
    rows = [["part", "clips", f"{unit}s"]]
    rows += [[part, str(len(ids)), str(len(split["groups"][part]))] for part, ids in split["parts"].items()]
    return [*lines, f"No {unit} is in two parts.", "", *markdown(rows), *(f"- {note}" for note in split["notes"])]


def _measured_privacy(home: Path) -> list[str]:
    """The privacy figures of the run, if they were measured."""
    try:
        report = stored_report(home)
    except CheckpointError as error:
        return ["## Privacy", "", f"Not readable: {error}", ""]
    return [] if report is None else ["## Privacy", "", *card_lines(report), ""]


def _privacy(facts: PrivacyFacts) -> list[str]:
    """The guarantee of private training, and what it does not cover."""
    people = (
        f"It protects one clip. A person with k clips of train has a guarantee of k times this epsilon; the largest k "
        f"is {facts.most_clips}."
        if facts.unit == "clip"
        else "It protects all clips of a person together."
    )
    rows = [["stage", "noise multiplier", "sample rate", "steps"]]
    rows += [[s.stage, f"{s.noise_multiplier:.3f}", f"{s.sample_rate:.4f}", str(s.steps)] for s in facts.stages]
    return [
        f"**Epsilon {facts.epsilon:.2f} at delta {facts.delta:g}** for the weights (accountant of Opacus). {people}",
        "", *markdown(rows), "", f"Gradients were limited to a norm of {facts.max_grad_norm:g}. Not covered:", "",
        *(f"- {part}" for part in facts.not_covered),
    ]  # fmt: skip


def _manifest_name(facts: dict[str, Any]) -> str:
    """File name of the manifest that the model was trained on."""
    stored = facts.get("manifest")
    return Path(str(stored["name"] if isinstance(stored, dict) else stored or "unknown")).name
