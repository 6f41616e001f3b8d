"""(model, loader) -> Report: all subsets, baselines, intervals, calibration, paired tests."""

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

#: Corpora that are not recordings of people, and what their figures are called.
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
    """Measure a model.

    Args:
        predict: as in :func:`collect`.
        loader: batches of the part.
        label_set: labels in order, or names of the dimensions.
        prior: ``[C]`` label frequencies of train, of which the largest is the majority label; or means of dimensions.
        split: name of the part.
        task: ``single``, ``soft``, ``multi`` or ``dimensions``; the last knows no calibration.
        intervals: also compute bootstrap intervals and paired tests (slower; selection does without).
        calibration: applied to the probabilities before anything is measured, and reported; ``None`` does neither.
        gather: with several processes, each of which has other batches: makes one of what they have collected.
    """
    got = collect(predict, loader, task=task)
    if gather is not None:
        got = gather(got)
    raw = got.probabilities
    if calibration is not None:
        calibrated = {k: calibration.apply(k, p, got.presence, task) for k, p in raw.items()}
        got = replace(got, probabilities=calibrated)
    keys = [k for k in SUBSETS if k in got.probabilities]
    said = {} if task == "dimensions" else {k: _said(got, k, calibration, task) for k in keys}
    scores = _scores(got, said, label_set, prior, task)
    found = metrics.measure_subsets(scores, intervals=intervals)
    clips, speakers = len(scores.target), len(set(scores.speakers))
    subsets, confidence = found.subsets, None
    if calibration is not None:
        subsets, confidence = _confidence(subsets, got, raw, said, calibration, task)
    return Report(
        label_set=[] if task == "dimensions" else list(label_set),
        split=split,
        n=clips,
        speakers=speakers,
        corpus_kind=corpus_kind(got.corpora),
        majority=found.majority,
        subsets=subsets,
        task=task,
        prior=found.prior,
        per_class=found.per_class,
        comparisons=found.comparisons,
        confusion=found.confusion,
        dimensions=_dimensions(got, intervals),
        calibration=confidence or NoCalibration(),
        absent=got.absent,
        notes=[*_resting_on(speakers, clips), *_unanimous(found.unanimous, speakers)] if intervals else [],
        predictions=[_prediction(got, said, i, task) for i in range(len(got.ids))],
    )


def rounded(values: Array) -> list[float | None]:
    """Six decimals, and ``None`` for NaN, which JSON does not have."""
    return [None if np.isnan(v) else round(float(v), 6) for v in values]


def _prediction(got: Collected, said: Mapping[str, NDArray[np.int64]], i: int, task: str) -> ClipPrediction:
    """The line of the i-th clip."""
    keys = [k for k in SUBSETS if k in got.usable and got.usable[k][i]]
    answers = {k: rounded(got.probabilities[k][i]) for k in keys}
    line = ClipPrediction(
        id=got.ids[i], speaker=got.speakers[i], target=rounded(got.target[i]) if got.labelled[i] else None
    )
    if task == "dimensions":
        line["values"] = answers
    else:
        line["probs"] = answers
    if said:
        line["said"] = {k: said[k][i].tolist() for k in keys}
    if got.predicted_dimensions is not None and any(here[i] for here in got.presence.values()):
        pairs = zip(DIMENSIONS, got.dimensions[i], got.predicted_dimensions[i], strict=True)
        line["dimensions"] = {d: [round(float(t), 6), round(float(p), 6)] for d, t, p in pairs if not np.isnan(t + p)}
    return line


def corpus_kind(corpora: Iterable[str]) -> CorpusKind:
    """``synthetic`` if any clip is, else ``composite`` if any is, else ``real``."""
    kinds = {CORPUS_KINDS.get(c, "real") for c in corpora}
    return "synthetic" if "synthetic" in kinds else "composite" if "composite" in kinds else "real"


def _said(got: Collected, key: str, calibration: Calibration | None, task: str) -> NDArray[np.int64]:
    """The labels that are given: ``[N]`` columns, for ``multi`` ``[N, C]``."""
    if calibration is None:
        return decide(got.probabilities[key], task)
    return calibration.decide(shown_keys(key, got.presence), got.probabilities[key], task)


def _scores(
    got: Collected,
    said: Mapping[str, NDArray[np.int64]],
    label_set: Sequence[str],
    prior: Array,
    task: str,
) -> metrics.Scores:
    """The clips that have a label."""
    rows, keys = got.labelled, [k for k in SUBSETS if k in got.probabilities]
    return metrics.Scores(
        task=task,
        labels=list(label_set),
        target=got.target[rows],
        probabilities={k: got.probabilities[k][rows] for k in keys},
        said={k: columns[rows] for k, columns in said.items()},
        usable={k: got.usable[k][rows] for k in keys},
        speakers=np.asarray(got.speakers)[rows],
        prior=prior,
    )


def _dimensions(got: Collected, intervals: bool) -> dict[str, DimensionFigures]:
    """{dimension: its figures} of those that the model has learnt, over the clips that know them and show anything."""
    found: dict[str, DimensionFigures] = {}
    measure = metrics.dimension_measure()
    some = np.logical_or.reduce(list(got.presence.values()))
    for c, name in enumerate(DIMENSIONS if got.predicted_dimensions is not None else ()):
        known = some & ~np.isnan(got.dimensions[:, c])
        if known.sum() < 2 or got.predicted_dimensions is None or np.isnan(got.predicted_dimensions[:, c]).all():
            continue
        truth, predicted = got.dimensions[known, c], got.predicted_dimensions[known, c]
        ends: dict[str, list[float]] = {}
        if intervals:
            speakers = np.asarray(got.speakers)[known].tolist()
            estimates = metrics.estimates(measure, truth, predicted, speakers)
            ends = {f"{figure}_ci": [e.low, e.high] for figure, e in estimates.items()}
        found[name] = DimensionFigures.of(measure.plain(truth, predicted), ends, n=int(known.sum()))
    return found


def _resting_on(speakers: int, clips: int) -> list[str]:
    """What a reader must know of the people behind the intervals."""
    if speakers == 1:
        return ["1 speaker: intervals and tests are over this speaker's clips, and say nothing about other people"]
    if speakers == clips:
        return ["no two clips are known to be of one speaker: intervals and tests are over clips"]
    if speakers >= metrics.FEW_SPEAKERS:
        return []
    tests = "" if speakers >= metrics.SWAP_SPEAKERS else ", and so do p-values, for there are too few to swap"
    return [f"{speakers} speakers: intervals are about other people like them, and take Student's t{tests}"]


def _unanimous(keys: Sequence[str], speakers: int) -> list[str]:
    """Where intervals do not rest on the spread of people."""
    if not keys:
        return []
    who = f"all {speakers} speakers" if speakers > 1 else "all clips of the one speaker"
    return [
        f"{', '.join(keys)}: {who} show the same, which does not say that others would: the interval is what so few "
        "can rule out (exact binomial bound)"
    ]


def _confidence(
    subsets: Mapping[str, SubsetFigures],
    got: Collected,
    raw: Mapping[str, Array],
    said: Mapping[str, NDArray[np.int64]],
    calibration: Calibration,
    task: str,
) -> tuple[dict[str, SubsetFigures], CalibrationReport]:
    """The figures with what calibration has changed and what answering less is worth, and diagrams of both.

    Args:
        subsets: {key: figures} of the calibrated probabilities.
        got: with calibrated probabilities.
        raw: {key: ``[N, C]``} before calibration.
        said: {key: labels that are given}.
        calibration: that was applied.
        task: of the model.
    """
    found = dict(subsets)
    full = max(subsets, key=len)
    diagrams: dict[str, ReliabilityDiagram] = {}
    curves: dict[str, RiskCurve] = {}
    for key in subsets:
        rows = got.labelled & got.usable[key]
        if not rows.any():
            continue
        before, after, target = raw[key][rows], got.probabilities[key][rows], got.target[rows]
        confidence, right = top_label(after, target, task, said[key][rows])
        coverage, risk = risk_coverage(confidence, right)
        more: dict[str, Any] = {
            "ece_raw": metrics.calibration_error(task, target, before),
            "aurc": aurc(coverage, risk),
        }
        if calibration.max_error is not None:
            shown = shown_keys(key, {m: here[rows] for m, here in got.presence.items()})
            given = np.asarray([calibration.answers(k, c) for k, c in zip(shown, confidence, strict=True)])
            more["coverage"] = float(given.mean())
            more["selective_error"] = float((~right[given]).mean()) if given.any() else float("nan")
        found[key] = replace(found[key], **more)
        if len(key) == 1 or key == full:
            diagrams[key] = ReliabilityDiagram(
                raw=reliability(*events(before, target, task)),
                calibrated=reliability(*events(after, target, task, said[key][rows])),
            )
            curves[key] = thinned(coverage, risk)
    return found, CalibrationReport.of(calibration, reliability=diagrams, risk_coverage=curves)
