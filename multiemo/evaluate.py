"""(model, loader) -> Report: all subsets, the majority baseline, intervals, calibration, paired tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from multiemo import metrics
from multiemo.calibration import (
    Calibration,
    aurc,
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
        label_set: labels in order.
        split: which part.
        n, speakers: clips with a label, and their speakers.
        majority: figures of always saying the most frequent train label.
        subsets: {key: figures}.
        comparisons: paired tests of the full subset against each smaller one.
        corpus_kind: ``real``, ``composite`` or ``synthetic``.
        absent: {modality: {reason: clips}}.
        dimensions: {dimension: {"ccc", "mae", "n"}}.
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
    comparisons: dict[str, dict[str, Any]] = field(default_factory=dict)
    confusion: list[list[float]] = field(default_factory=list)
    dimensions: dict[str, dict[str, float]] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    predictions: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The public evaluation JSON; without the per-clip records."""
        values = asdict(self)
        values.pop("predictions")
        return values

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


@torch.inference_mode()
def collect(predict: Predicts, loader: Iterable[Batch], *, task: str = "single") -> Collected:
    """Run a model over a loader.

    Args:
        predict: maps a batch to an output; when it fills ``by_subset`` every subset is kept, else its logits count as
            the one subset of all modalities of the batch.
        loader: batches.
        task: ``multi`` makes probabilities by sigmoid, the others by softmax.
    """
    batches: list[Batch] = []
    probabilities: dict[str, list[torch.Tensor]] = {}
    usable: dict[str, list[torch.Tensor]] = {}
    branches: dict[Modality, list[torch.Tensor]] = {}
    dimensions: list[torch.Tensor] = []
    absent: dict[str, dict[str, int]] = {}
    for batch in loader:
        output = predict(batch)
        batches.append(batch)
        key = "".join(k for k, v in (("T", "text"), ("S", "speech"), ("F", "face")) if v in batch.presence)
        by_subset = output.by_subset or {key: output.logits}
        for name, logits in by_subset.items():
            probabilities.setdefault(name, []).append(_probabilities(logits, task))
            some = output.usable.get(name, torch.ones(len(batch), dtype=torch.bool))
            usable.setdefault(name, []).append(some.cpu())
        for modality, logits in output.branch_logits.items():
            branches.setdefault(modality, []).append(_probabilities(logits, task))
        if output.dimensions is not None:
            dimensions.append(output.dimensions.float().cpu())
        for reasons in batch.absent:
            for modality, reason in reasons.items():
                counts = absent.setdefault(modality, {})
                counts[reason] = counts.get(reason, 0) + 1
    if not batches:
        raise ValueError("there is nothing to evaluate: the loader is empty")
    return Collected(
        ids=[i for b in batches for i in b.ids],
        corpora=[c for b in batches for c in b.corpora],
        speakers=[s for b in batches for s in b.speakers],
        target=torch.cat([b.target.cpu() for b in batches]).double().numpy(),
        labelled=torch.cat([b.labelled.cpu() for b in batches]).numpy(),
        dimensions=torch.cat([b.dimensions.cpu() for b in batches]).double().numpy(),
        probabilities={k: torch.cat(v).numpy() for k, v in probabilities.items()},
        usable={k: torch.cat(v).numpy() for k, v in usable.items()},
        branches={m: torch.cat(v).numpy() for m, v in branches.items()},
        presence={m: torch.cat([b.presence[m].cpu() for b in batches]).numpy() for m in batches[0].presence},
        predicted_dimensions=torch.cat(dimensions).double().numpy() if dimensions else None,
        absent=absent,
    )


def _probabilities(logits: torch.Tensor, task: str) -> torch.Tensor:
    """``[B, C]``, in double precision, so that the logits can be had back from them."""
    exact = logits.float().cpu().double()
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
) -> Report:
    """Measure a model.

    Args:
        predict: as in :func:`collect`.
        loader: batches of the part.
        label_set: labels in order.
        prior: ``[C]`` label frequencies of train; its largest is the majority label.
        split: name of the part.
        task: ``single``, ``soft`` or ``multi``.
        intervals: also compute bootstrap intervals and paired tests (slower; selection does without).
        calibration: applied to the probabilities before anything is measured, and reported; ``None`` does neither.
    """
    got = collect(predict, loader, task=task)
    raw = got.probabilities
    if calibration is not None:
        got.probabilities = {k: calibration.apply(k, p, got.presence, task) for k, p in raw.items()}
    report = Report(
        label_set=list(label_set),
        split=split,
        n=int(got.labelled.sum()),
        speakers=len({s for s, here in zip(got.speakers, got.labelled, strict=True) if here}),
        corpus_kind=corpus_kind(got.corpora),
        majority={},
        subsets={},
        absent=got.absent,
    )
    if report.speakers < metrics.FEW_SPEAKERS and intervals:
        report.notes.append(
            f"{report.speakers} speakers: intervals resample clips within the drawn speakers too, and still say little "
            "about other people"
        )
    keys = [k for k in SUBSETS if k in got.probabilities]
    if task == "multi":
        _multi_label(report, got, keys, prior)
    else:
        _single_label(report, got, keys, prior, intervals)
    if calibration is not None:
        _confidence(report, got, raw, calibration, task)
    if got.predicted_dimensions is not None:
        for c, name in enumerate(DIMENSIONS):
            truth, predicted = got.dimensions[:, c], got.predicted_dimensions[:, c]
            known = ~np.isnan(truth)
            if known.sum() > 1:
                report.dimensions[name] = {
                    "ccc": metrics.concordance(predicted, truth),
                    "mae": float(np.abs(predicted[known] - truth[known]).mean()),
                    "n": int(known.sum()),
                }
    report.predictions = [
        {
            "id": got.ids[i],
            "speaker": got.speakers[i],
            "target": [round(float(v), 6) for v in got.target[i]] if got.labelled[i] else None,
            "probs": {k: [round(float(v), 6) for v in got.probabilities[k][i]] for k in keys if got.usable[k][i]},
        }
        for i in range(len(got.ids))
    ]
    return report


def corpus_kind(corpora: Iterable[str]) -> str:
    """``synthetic`` if any clip is, else ``composite`` if any is, else ``real``."""
    kinds = {CORPUS_KINDS.get(c, "real") for c in corpora}
    return next((k for k in ("synthetic", "composite") if k in kinds), "real")


def _single_label(report: Report, got: Collected, keys: list[str], prior: NDArray[np.float64], intervals: bool) -> None:
    classes = len(report.label_set)
    truth = got.target.argmax(axis=1)
    speakers = np.asarray(got.speakers)
    said = {k: got.probabilities[k].argmax(axis=1) for k in keys}
    majority = np.full_like(truth, int(prior.argmax()))
    rows = got.labelled
    report.majority = {
        "label": report.label_set[int(prior.argmax())],
        "n": int(rows.sum()),
        **_figures(truth[rows], majority[rows], classes),
    }
    for key in keys:
        rows = got.labelled & got.usable[key]
        values: dict[str, Any] = {"n": int(rows.sum())}
        if rows.any():
            values |= _figures(truth[rows], said[key][rows], classes)
            values["ece"] = _ece(got.probabilities[key][rows], got.target[rows])
            share = np.clip(got.probabilities[key][rows], 1e-12, 1)
            values["loss"] = float(-(got.target[rows] * np.log(share)).sum(axis=1).mean())
            if intervals:
                values["uar_ci"] = list(metrics.interval(truth[rows], said[key][rows], list(speakers[rows]), classes))
        report.subsets[key] = values
    full = max(keys, key=len)
    rows = got.labelled & got.usable[full]
    report.confusion = metrics.confusion(truth[rows], said[full][rows], classes).tolist()
    for key in keys:
        rows = got.labelled & got.usable[full] & got.usable[key]
        if intervals and key != full and rows.any():
            test = metrics.paired_test(truth[rows], said[full][rows], said[key][rows], list(speakers[rows]), classes)
            report.comparisons[f"{full}-{key}"] = asdict(test)


def _figures(truth: NDArray[np.int64], said: NDArray[np.int64], classes: int) -> dict[str, float]:
    matrix = metrics.confusion(truth, said, classes)
    return {name: float(figure(matrix)) for name, figure in metrics.FIGURES.items()}


def _multi_label(report: Report, got: Collected, keys: list[str], prior: NDArray[np.float64]) -> None:
    from torchmetrics.functional.classification import (
        multilabel_average_precision,
        multilabel_f1_score,
    )

    classes = len(report.label_set)

    def figures(probabilities: NDArray[np.float64], rows: NDArray[np.bool_]) -> dict[str, Any]:
        p, t = torch.from_numpy(probabilities[rows]), torch.from_numpy(got.target[rows] > 0.5).long()
        f1 = float(multilabel_f1_score(p, t, classes, average="macro"))
        ap = multilabel_average_precision(p, t, classes, average="none")
        return {
            "n": int(rows.sum()),
            "macro_f1": f1,
            "map": float(ap[~ap.isnan() & (t.sum(0) > 0)].mean()),
            "wf1": float(multilabel_f1_score(p, t, classes, average="weighted")),
            "accuracy": float(((p > 0.5) == t.bool()).all(dim=1).double().mean()),
            # the mean recall of the labels, which is what the unweighted average recall is for several labels
            "uar": _multi_recall(p, t),
            "ece": _ece(probabilities[rows], got.target[rows], "multi"),
            "loss": float(torch.nn.functional.binary_cross_entropy(p.clamp(1e-7, 1 - 1e-7), t.double())),
        }

    constant = np.broadcast_to(prior, got.target.shape)
    report.majority = {"label": report.label_set[int(prior.argmax())], **figures(constant.copy(), got.labelled)}
    for key in keys:
        rows = got.labelled & got.usable[key]
        report.subsets[key] = figures(got.probabilities[key], rows) if rows.any() else {"n": 0}


def _multi_recall(p: torch.Tensor, t: torch.Tensor) -> float:
    hits = ((p > 0.5) & t.bool()).sum(0).double()
    support = t.sum(0)
    return float((hits[support > 0] / support[support > 0]).mean())


def _ece(probabilities: NDArray[np.float64], target: NDArray[np.float64], task: str = "single") -> float:
    """Expected calibration error of the label that is given; for ``multi`` of every label of every clip."""
    if task != "multi":
        return metrics.expected_calibration_error(probabilities, target.argmax(axis=1))
    from torchmetrics.functional.classification import binary_calibration_error

    p, t = torch.from_numpy(probabilities.ravel()), torch.from_numpy(target.ravel() > 0.5).long()
    return float(binary_calibration_error(p, t, n_bins=15))


def _confidence(
    report: Report, got: Collected, raw: Mapping[str, NDArray[np.float64]], calibration: Calibration, task: str
) -> None:
    """What calibration has changed, and what answering less is worth."""
    diagrams: dict[str, Any] = {}
    curves: dict[str, Any] = {}
    for key, values in report.subsets.items():
        rows = got.labelled & got.usable[key]
        if not rows.any():
            continue
        before, after, target = raw[key][rows], got.probabilities[key][rows], got.target[rows]
        confidence, right = top_label(after, target, task)
        coverage, risk = risk_coverage(confidence, right)
        values |= {"ece_raw": _ece(before, target, task), "aurc": aurc(coverage, risk)}
        if calibration.max_error is not None:
            shown = shown_keys(key, {m: here[rows] for m, here in got.presence.items()})
            given = np.asarray([calibration.answers(k, c) for k, c in zip(shown, confidence, strict=True)])
            error = float((~right[given]).mean()) if given.any() else None
            values |= {"coverage": float(given.mean()), "selective_error": error}
        if len(key) == 1 or key == report.full:
            diagrams[key] = {
                name: reliability(*events(p, target, task)) for name, p in (("raw", before), ("calibrated", after))
            }
            curves[key] = thinned(coverage, risk)
    report.calibration = {**calibration.to_json(), "reliability": diagrams, "risk_coverage": curves}
