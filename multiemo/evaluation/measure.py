"""Computes the evaluation report of a model: subsets, baselines, intervals, calibration and paired tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo import metrics
from multiemo.arrays import Array
from multiemo.calibration import (
    Calibration,
    RiskCurve,
    aurc,
    decide,
    events,
    reliability,
    risk_coverage,
    shown_keys,
    thinned,
    top_label,
)
from multiemo.evaluation.collecting import Collected, Gather, collect
from multiemo.evaluation.report import CalibrationReport, ClipPrediction, NoCalibration, ReliabilityDiagram, Report
from multiemo.metrics import DimensionFigures, SubsetFigures
from multiemo.types import DIMENSIONS, SUBSETS, Batch, CorpusKind, Predicts, Task

#: {corpus that does not consist of real recordings: its kind in reports}.
CORPUS_KINDS: dict[str, CorpusKind] = {"synthetic-demo": "synthetic", "composite": "composite"}


def evaluate_model(
    predict: Predicts,
    loader: Iterable[Batch],
    *,
    label_set: Sequence[str],
    prior: Array,
    split: str = "test",
    task: Task = "single",
    intervals: bool = True,
    calibration: Calibration | None = None,
    gather: Gather | None = None,
) -> Report:
    """Evaluate a model on the clips of a loader.

    Args:
        predict: maps a batch to an output, as in :func:`collect`.
        loader: batches of the part.
        label_set: labels in order, or names of the dimensions.
        prior: ``[C]`` label frequencies of train, of which the largest is the majority label; or means of dimensions.
        split: name of the part.
        task: ``single``, ``soft``, ``multi`` or ``dimensions``; the last has no calibration.
        intervals: also compute bootstrap intervals and paired tests (slower; not needed to select an epoch).
        calibration: calibration to apply to the probabilities first, and to report; ``None`` leaves them uncalibrated.
        gather: merges the outputs of several processes, each of which evaluates other batches.
    """
    outputs = collect(predict, loader, task=task)
    if gather is not None:
        outputs = gather(outputs)
    raw = outputs.probabilities
    if calibration is not None:
        calibrated = {k: calibration.apply(k, p, outputs.presence, task) for k, p in raw.items()}
        outputs = replace(outputs, probabilities=calibrated)
    keys = [k for k in SUBSETS if k in outputs.probabilities]
    decided = {} if task == "dimensions" else {k: _decided_labels(outputs, k, calibration, task) for k in keys}
    scores = _scores(outputs, decided, label_set, prior, task)
    found = metrics.measure_subsets(scores, intervals=intervals)
    clips, speakers = len(scores.target), len(set(scores.speakers))
    subsets, confidence = found.subsets, None
    if calibration is not None:
        subsets, confidence = _confidence(subsets, outputs, raw, decided, calibration, task)
    return Report(
        label_set=[] if task == "dimensions" else list(label_set),
        split=split,
        n=clips,
        speakers=speakers,
        corpus_kind=corpus_kind(outputs.corpora),
        majority=found.majority,
        subsets=subsets,
        task=task,
        prior=found.prior,
        per_class=found.per_class,
        comparisons=found.comparisons,
        confusion=found.confusion,
        dimensions=_dimensions(outputs, intervals),
        calibration=confidence or NoCalibration(),
        absent=outputs.absent,
        notes=[*_speaker_notes(speakers, clips), *_unanimous_notes(found.unanimous, speakers)] if intervals else [],
        predictions=[_prediction(outputs, decided, i, task) for i in range(len(outputs.ids))],
    )


def rounded(values: Array) -> list[float | None]:
    """Values rounded to six decimals, with ``None`` in place of NaN, which JSON does not have."""
    return [None if np.isnan(v) else round(float(v), 6) for v in values]


def _prediction(outputs: Collected, decided: Mapping[str, NDArray[np.int64]], i: int, task: str) -> ClipPrediction:
    """The line of ``predictions.jsonl`` for the i-th clip."""
    keys = [k for k in SUBSETS if k in outputs.usable and outputs.usable[k][i]]
    values = {k: rounded(outputs.probabilities[k][i]) for k in keys}
    line = ClipPrediction(
        id=outputs.ids[i],
        speaker=outputs.speakers[i],
        target=rounded(outputs.target[i]) if outputs.labelled[i] else None,
    )
    if task == "dimensions":
        line["values"] = values
    else:
        line["probs"] = values
    if decided:
        line["said"] = {k: decided[k][i].tolist() for k in keys}
    if outputs.predicted_dimensions is not None and any(present[i] for present in outputs.presence.values()):
        pairs = zip(DIMENSIONS, outputs.dimensions[i], outputs.predicted_dimensions[i], strict=True)
        line["dimensions"] = {d: [round(float(t), 6), round(float(p), 6)] for d, t, p in pairs if not np.isnan(t + p)}
    return line


def corpus_kind(corpora: Iterable[str]) -> CorpusKind:
    """``synthetic`` if any clip is, else ``composite`` if any is, else ``real``."""
    kinds = {CORPUS_KINDS.get(c, "real") for c in corpora}
    return "synthetic" if "synthetic" in kinds else "composite" if "composite" in kinds else "real"


def _decided_labels(outputs: Collected, key: str, calibration: Calibration | None, task: str) -> NDArray[np.int64]:
    """The decided labels of a subset: ``[N]`` columns, for ``multi`` ``[N, C]``."""
    if calibration is None:
        return decide(outputs.probabilities[key], task)
    return calibration.decide(shown_keys(key, outputs.presence), outputs.probabilities[key], task)


def _scores(
    outputs: Collected,
    decided: Mapping[str, NDArray[np.int64]],
    label_set: Sequence[str],
    prior: Array,
    task: str,
) -> metrics.Scores:
    """The outputs of the labelled clips."""
    rows, keys = outputs.labelled, [k for k in SUBSETS if k in outputs.probabilities]
    return metrics.Scores(
        task=task,
        labels=list(label_set),
        target=outputs.target[rows],
        probabilities={k: outputs.probabilities[k][rows] for k in keys},
        decided={k: columns[rows] for k, columns in decided.items()},
        usable={k: outputs.usable[k][rows] for k in keys},
        speakers=np.asarray(outputs.speakers)[rows],
        prior=prior,
    )


def _dimensions(outputs: Collected, intervals: bool) -> dict[str, DimensionFigures]:
    """{dimension: figures} of the learnt dimensions, over the clips with a rating and at least one modality."""
    found: dict[str, DimensionFigures] = {}
    measure = metrics.dimension_measure()
    predictions = outputs.predicted_dimensions
    some = np.logical_or.reduce(list(outputs.presence.values()))
    for c, name in enumerate(DIMENSIONS if predictions is not None else ()):
        known = some & ~np.isnan(outputs.dimensions[:, c])
        if known.sum() < 2 or predictions is None or np.isnan(predictions[:, c]).all():
            continue
        truth, predicted = outputs.dimensions[known, c], predictions[known, c]
        ends: dict[str, list[float]] = {}
        if intervals:
            speakers = np.asarray(outputs.speakers)[known].tolist()
            estimates = metrics.estimates(measure, truth, predicted, speakers)
            ends = {f"{figure}_ci": [e.low, e.high] for figure, e in estimates.items()}
        found[name] = DimensionFigures.of(measure.plain(truth, predicted), ends, n=int(known.sum()))
    return found


def _speaker_notes(speakers: int, clips: int) -> list[str]:
    """Notes on intervals and tests that rest on few or unknown speakers."""
    if speakers == 1:
        return ["1 speaker: intervals and tests are over this speaker's clips and do not generalise to other people"]
    if speakers == clips:
        return ["no two clips are known to be of one speaker: intervals and tests are over clips"]
    if speakers >= metrics.FEW_SPEAKERS:
        return []
    tests = "" if speakers >= metrics.SWAP_SPEAKERS else "; p-values do too, as there are too few speakers to swap"
    return [f"{speakers} speakers: intervals are about other people like them and use Student's t{tests}"]


def _unanimous_notes(keys: Sequence[str], speakers: int) -> list[str]:
    """Notes on subsets whose interval is a binomial bound, since all speakers have the same figure."""
    if not keys:
        return []
    who = f"all {speakers} speakers" if speakers > 1 else "all clips of the one speaker"
    return [
        f"{', '.join(keys)}: {who} have the same figure, but others may not: the interval is an exact binomial bound "
        "on what so few can rule out"
    ]


def _confidence(
    subsets: Mapping[str, SubsetFigures],
    outputs: Collected,
    raw: Mapping[str, Array],
    decided: Mapping[str, NDArray[np.int64]],
    calibration: Calibration,
    task: str,
) -> tuple[dict[str, SubsetFigures], CalibrationReport]:
    """Add the figures of calibration and selective prediction, with reliability diagrams and risk-coverage curves.

    Args:
        subsets: {key: figures} of the calibrated probabilities.
        outputs: outputs with calibrated probabilities.
        raw: {key: ``[N, C]``} probabilities before calibration.
        decided: {key: decided labels}.
        calibration: calibration that was applied.
        task: task of the model.
    """
    found = dict(subsets)
    full = max(subsets, key=len)
    diagrams: dict[str, ReliabilityDiagram] = {}
    curves: dict[str, RiskCurve] = {}
    for key in subsets:
        rows = outputs.labelled & outputs.usable[key]
        rows[rows] = metrics.clear_clips(task, outputs.target[rows])  # a tie of votes has no right answer
        if not rows.any():
            continue
        before, after, target = raw[key][rows], outputs.probabilities[key][rows], outputs.target[rows]
        confidence, right = top_label(after, target, task, decided[key][rows])
        coverage, risk = risk_coverage(confidence, right)
        more: dict[str, Any] = {
            "ece_raw": metrics.calibration_error(task, target, before),
            "aurc": aurc(coverage, risk),
        }
        if calibration.max_error is not None:
            shown = shown_keys(key, {m: present[rows] for m, present in outputs.presence.items()})
            answered = np.asarray([calibration.answers(k, c) for k, c in zip(shown, confidence, strict=True)])
            more["coverage"] = float(answered.mean())
            more["selective_error"] = float((~right[answered]).mean()) if answered.any() else float("nan")
        found[key] = replace(found[key], **more)
        if len(key) == 1 or key == full:
            diagrams[key] = ReliabilityDiagram(
                raw=reliability(*events(before, target, task)),
                calibrated=reliability(*events(after, target, task, decided[key][rows])),
            )
            curves[key] = thinned(coverage, risk)
    return found, CalibrationReport.of(calibration, reliability=diagrams, risk_coverage=curves)
