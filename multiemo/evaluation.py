"""(model, loader) -> Report: all subsets, baselines, intervals, calibration, paired tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from multiemo import metrics
from multiemo.calibration import (
    Calibration,
    aurc,
    decide,
    events,
    reliability,
    risk_coverage,
    shown_keys,
    thinned,
    top_label,
)
from multiemo.types import DIMENSIONS, SUBSETS, Batch, Modality, Predicts

#: Corpora that are not recordings of people, and what their figures are called.
CORPUS_KINDS = {"synthetic-demo": "synthetic", "composite": "composite"}


@dataclass(slots=True)
class Report:
    """What was measured on one part of one split.

    Args:
        label_set: labels in order; empty with the task ``dimensions``.
        split: which part.
        n, speakers: clips with a label, and their speakers.
        task: ``single``, ``soft``, ``multi`` or ``dimensions``.
        majority: figures of always saying the most frequent train label; of ``dimensions`` their means in train.
        prior: figures to be expected of guessing with the frequencies of train; none with ``dimensions``.
        subsets: {key: figures}, each ``NAME`` with its interval ``NAME_ci``.
        per_class: {key: {label: recall, precision, F1, support}}; with ``dimensions`` {key: {dimension: ``ccc``,
            ``pearson``, ``mae``, ``rmse``, ``n``}}.
        comparisons: paired tests of the full subset against each smaller one (see ``metrics.compare_subsets``).
        corpus_kind: ``real``, ``composite`` or ``synthetic``.
        absent: {modality: {reason: clips}}.
        dimensions: {dimension: {"ccc", "pearson", "mae", "rmse", "n"}}, each figure with its interval.
        calibration: temperatures and thresholds; for each single modality and the full subset the bins of the
            reliability diagram before and after, and the risk-coverage curve.
        predictions: one record a clip, for comparisons later.
        notes: what a reader must know.
    """

    label_set: list[str]
    split: str
    n: int
    speakers: int
    corpus_kind: str
    majority: dict[str, Any]
    subsets: dict[str, dict[str, Any]]
    task: str = "single"
    prior: dict[str, Any] = field(default_factory=dict)
    per_class: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    comparisons: dict[str, dict[str, Any]] = field(default_factory=dict)
    confusion: list[list[float]] = field(default_factory=list)
    dimensions: dict[str, dict[str, Any]] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    predictions: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The public evaluation JSON, without the per-clip records; a figure that is not defined is null."""
        values = asdict(self)
        values.pop("predictions")
        return {name: finite(value) for name, value in values.items()}

    @property
    def full(self) -> str:
        """The key of the largest subset."""
        return max(self.subsets, key=len)


@dataclass(slots=True)
class Collected:
    """All outputs of a loader, on the CPU."""

    ids: list[str]
    corpora: list[str]
    speakers: list[str]
    target: NDArray[np.float64]
    labelled: NDArray[np.bool_]
    dimensions: NDArray[np.float64]
    probabilities: dict[str, NDArray[np.float64]]
    usable: dict[str, NDArray[np.bool_]]
    branches: dict[Modality, NDArray[np.float64]]
    presence: dict[Modality, NDArray[np.bool_]]
    predicted_dimensions: NDArray[np.float64] | None
    absent: dict[str, dict[str, int]]


#: Makes one of what several processes have collected; see :func:`join`.
Gather = Callable[[Collected], Collected]


def join(parts: Sequence[Collected], order: Sequence[str]) -> Collected:
    """What several processes have collected, each of other clips, as one.

    Args:
        parts: one a process.
        order: ids; the clips come out in this order.
    """
    place = {name: i for i, name in enumerate(order)}
    ids = [i for p in parts for i in p.ids]
    rows = sorted(range(len(ids)), key=lambda row: place[ids[row]])

    def joined(name: str) -> Any:
        first = getattr(parts[0], name)
        if isinstance(first, list):
            values = [v for p in parts for v in getattr(p, name)]
            return [values[row] for row in rows]
        if isinstance(first, dict):
            return {k: np.concatenate([getattr(p, name)[k] for p in parts])[rows] for k in first}
        return None if first is None else np.concatenate([getattr(p, name) for p in parts])[rows]

    absent: dict[str, dict[str, int]] = {}
    for part in parts:
        for modality, reasons in part.absent.items():
            counts = absent.setdefault(modality, {})
            for reason, count in reasons.items():
                counts[reason] = counts.get(reason, 0) + count
    made: dict[str, Any] = {f.name: joined(f.name) for f in fields(Collected) if f.name != "absent"}
    return Collected(**made, absent=absent)


@torch.inference_mode()
def collect(predict: Predicts, loader: Iterable[Batch], *, task: str = "single") -> Collected:
    """Run a model over a loader; of the batches only what :class:`Collected` holds is kept, never their inputs.

    Args:
        predict: maps a batch to an output; when it fills ``by_subset`` every subset is kept, else its logits count as
            the one subset of all modalities of the batch.
        loader: batches.
        task: ``multi`` makes probabilities by sigmoid, ``single`` and ``soft`` by softmax; ``dimensions`` makes values
            by tanh.
    """
    ids: list[str] = []
    corpora: list[str] = []
    speakers: list[str] = []
    truth: dict[str, list[torch.Tensor]] = {"target": [], "labelled": [], "dimensions": []}
    presence: dict[Modality, list[torch.Tensor]] = {}
    probabilities: dict[str, list[torch.Tensor]] = {}
    usable: dict[str, list[torch.Tensor]] = {}
    branches: dict[Modality, list[torch.Tensor]] = {}
    dimensions: list[torch.Tensor] = []
    absent: dict[str, dict[str, int]] = {}
    for batch in loader:
        output = predict(batch)
        ids += batch.ids
        corpora += batch.corpora
        speakers += batch.speakers
        for name, kept in truth.items():
            kept.append(_own(getattr(batch, name)))
        for modality, here in batch.presence.items():
            presence.setdefault(modality, []).append(_own(here))
        key = "".join(k for k, v in (("T", "text"), ("S", "speech"), ("F", "face")) if v in batch.presence)
        by_subset = output.by_subset or {key: output.logits}
        for name, logits in by_subset.items():
            probabilities.setdefault(name, []).append(probabilities_of(logits, task))
            some = output.usable.get(name, torch.ones(len(batch), dtype=torch.bool))
            usable.setdefault(name, []).append(some.cpu())
        for modality, logits in output.branch_logits.items():
            branches.setdefault(modality, []).append(probabilities_of(logits, task))
        if output.dimensions is not None:
            dimensions.append(output.dimensions.float().cpu())
        for reasons in batch.absent:
            for modality, reason in reasons.items():
                counts = absent.setdefault(modality, {})
                counts[reason] = counts.get(reason, 0) + 1
    if not ids:
        raise ValueError("there is nothing to evaluate: the loader is empty")
    return Collected(
        ids=ids,
        corpora=corpora,
        speakers=speakers,
        target=torch.cat(truth["target"]).double().numpy(),
        labelled=torch.cat(truth["labelled"]).numpy(),
        dimensions=torch.cat(truth["dimensions"]).double().numpy(),
        probabilities={k: torch.cat(v).numpy() for k, v in probabilities.items()},
        usable={k: torch.cat(v).numpy() for k, v in usable.items()},
        branches={m: torch.cat(v).numpy() for m, v in branches.items()},
        presence={m: torch.cat(v).numpy() for m, v in presence.items()},
        predicted_dimensions=torch.cat(dimensions).double().numpy() if dimensions else None,
        absent=absent,
    )


def _own(values: torch.Tensor) -> torch.Tensor:
    """A copy on the CPU, outside the memory of the batch, which may be shared with a worker or pinned."""
    return values.to("cpu", copy=True)


def probabilities_of(logits: torch.Tensor, task: str) -> torch.Tensor:
    """``[B, C]`` on the CPU, not calibrated, in double precision, so that the logits can be had back from them.

    Of ``dimensions`` their values, -1..1.
    """
    exact = logits.float().cpu().double()
    if task == "dimensions":
        return exact.tanh()
    return exact.sigmoid() if task == "multi" else exact.softmax(dim=1)


def evaluate_model(
    predict: Predicts,
    loader: Iterable[Batch],
    *,
    label_set: Sequence[str],
    prior: NDArray[np.float64],
    split: str = "test",
    task: str = "single",
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
        got.probabilities = {k: calibration.apply(k, p, got.presence, task) for k, p in raw.items()}
    keys = [k for k in SUBSETS if k in got.probabilities]
    said = {} if task == "dimensions" else {k: _said(got, k, calibration, task) for k in keys}
    scores = _scores(got, said, label_set, prior, task)
    found = metrics.measure_subsets(scores, intervals=intervals)
    report = Report(
        label_set=[] if task == "dimensions" else list(label_set),
        split=split,
        n=len(scores.target),
        speakers=len(set(scores.speakers)),
        corpus_kind=corpus_kind(got.corpora),
        majority=found.majority,
        subsets=found.subsets,
        task=task,
        prior=found.prior,
        per_class=found.per_class,
        comparisons=found.comparisons,
        confusion=found.confusion,
        dimensions=_dimensions(got, intervals),
        absent=got.absent,
    )
    if intervals:
        report.notes += _resting_on(report.speakers, report.n) + _unanimous(found.unanimous, report.speakers)
    if calibration is not None:
        _confidence(report, got, raw, said, calibration, task)
    answers = "values" if task == "dimensions" else "probs"
    report.predictions = [
        {
            "id": got.ids[i],
            "speaker": got.speakers[i],
            "target": rounded(got.target[i]) if got.labelled[i] else None,
            answers: {k: rounded(got.probabilities[k][i]) for k in keys if got.usable[k][i]},
            **({"said": {k: said[k][i].tolist() for k in keys if got.usable[k][i]}} if said else {}),
            **_dimension_record(got, i),
        }
        for i in range(len(got.ids))
    ]
    return report


def rounded(values: NDArray[np.float64]) -> list[float | None]:
    """Six decimals, and ``None`` for NaN, which JSON does not have."""
    return [None if np.isnan(v) else round(float(v), 6) for v in values]


def _dimension_record(got: Collected, i: int) -> dict[str, Any]:
    """``dimensions``: {name: [truth, predicted]} of those that are known and learnt; nothing without such a head."""
    if got.predicted_dimensions is None or not any(here[i] for here in got.presence.values()):
        return {}
    pairs = zip(DIMENSIONS, got.dimensions[i], got.predicted_dimensions[i], strict=True)
    known = {name: [round(float(t), 6), round(float(p), 6)] for name, t, p in pairs if not np.isnan(t + p)}
    return {"dimensions": known}


def corpus_kind(corpora: Iterable[str]) -> str:
    """``synthetic`` if any clip is, else ``composite`` if any is, else ``real``."""
    kinds = {CORPUS_KINDS.get(c, "real") for c in corpora}
    return next((k for k in ("synthetic", "composite") if k in kinds), "real")


def _said(got: Collected, key: str, calibration: Calibration | None, task: str) -> NDArray[np.int64]:
    """The labels that are given: ``[N]`` columns, for ``multi`` ``[N, C]``."""
    if calibration is None:
        return decide(got.probabilities[key], task)
    return calibration.decide(shown_keys(key, got.presence), got.probabilities[key], task)


def _scores(
    got: Collected,
    said: Mapping[str, NDArray[np.int64]],
    label_set: Sequence[str],
    prior: NDArray[np.float64],
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


def _dimensions(got: Collected, intervals: bool) -> dict[str, dict[str, Any]]:
    """{dimension: its figures} of those that the model has learnt, over the clips that know them and show anything."""
    found: dict[str, dict[str, Any]] = {}
    measure = metrics.dimension_measure()
    some = np.logical_or.reduce(list(got.presence.values()))
    for c, name in enumerate(DIMENSIONS if got.predicted_dimensions is not None else ()):
        known = some & ~np.isnan(got.dimensions[:, c])
        if known.sum() < 2 or got.predicted_dimensions is None or np.isnan(got.predicted_dimensions[:, c]).all():
            continue
        truth, predicted = got.dimensions[known, c], got.predicted_dimensions[known, c]
        found[name] = {"n": int(known.sum()), **measure.plain(truth, predicted)}
        if intervals:
            speakers = np.asarray(got.speakers)[known].tolist()
            estimates = metrics.estimates(measure, truth, predicted, speakers)
            found[name] |= {f"{figure}_ci": [e.low, e.high] for figure, e in estimates.items()}
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


def finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: ``None`` instead."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _confidence(
    report: Report,
    got: Collected,
    raw: Mapping[str, NDArray[np.float64]],
    said: Mapping[str, NDArray[np.int64]],
    calibration: Calibration,
    task: str,
) -> None:
    """What calibration has changed, and what answering less is worth."""
    diagrams: dict[str, Any] = {}
    curves: dict[str, Any] = {}
    for key, values in report.subsets.items():
        rows = got.labelled & got.usable[key]
        if not rows.any():
            continue
        before, after, target = raw[key][rows], got.probabilities[key][rows], got.target[rows]
        confidence, right = top_label(after, target, task, said[key][rows])
        coverage, risk = risk_coverage(confidence, right)
        values |= {"ece_raw": metrics.calibration_error(task, target, before), "aurc": aurc(coverage, risk)}
        if calibration.max_error is not None:
            shown = shown_keys(key, {m: here[rows] for m, here in got.presence.items()})
            given = np.asarray([calibration.answers(k, c) for k, c in zip(shown, confidence, strict=True)])
            error = float((~right[given]).mean()) if given.any() else None
            values |= {"coverage": float(given.mean()), "selective_error": error}
        if len(key) == 1 or key == report.full:
            stated = {"raw": events(before, target, task), "calibrated": events(after, target, task, said[key][rows])}
            diagrams[key] = {name: reliability(*those) for name, those in stated.items()}
            curves[key] = thinned(coverage, risk)
    report.calibration = {**calibration.to_json(), "reliability": diagrams, "risk_coverage": curves}
