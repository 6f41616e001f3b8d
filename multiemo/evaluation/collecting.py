"""Collects the outputs of a model over a loader, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.types import Batch, Modality, Predicts


@dataclass(slots=True)
class Collected:
    """The outputs of a model for N clips, on the CPU.

    Args:
        ids: clip ids.
        corpora: corpus of each clip.
        speakers: speaker of each clip, see ``Batch.speakers``.
        target: ``[N, C]``.
        labelled: ``[N]``, whether the clip has a target.
        dimensions: ``[N, 3]`` rated valence, arousal and dominance; NaN = unknown.
        probabilities: {subset: ``[N, C]``}, not calibrated; values with the task ``dimensions``.
        usable: {subset: ``[N]``}, whether the clip has any modality of the subset.
        branches: {modality: ``[N, C]``} of the branches' own heads.
        presence: {modality: ``[N]``}, whether the clip has the modality.
        predicted_dimensions: ``[N, 3]``; ``None`` for a model without a dimension head.
        absent: {modality: {reason: number of clips}}.
    """

    ids: list[str]
    corpora: list[str]
    speakers: list[str]
    target: Array
    labelled: NDArray[np.bool_]
    dimensions: Array
    probabilities: dict[str, Array]
    usable: dict[str, NDArray[np.bool_]]
    branches: dict[Modality, Array]
    presence: dict[Modality, NDArray[np.bool_]]
    predicted_dimensions: Array | None
    absent: dict[str, dict[str, int]]


#: Merges the outputs collected by several processes; see :func:`join`.
Gather = Callable[[Collected], Collected]


def join(parts: Sequence[Collected], order: Sequence[str]) -> Collected:
    """Merge outputs that several processes collected for different clips.

    Args:
        parts: collected outputs, one per process.
        order: clip ids in the order of the result.
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
    """Run a model over a loader and collect its outputs; the inputs of the batches are not kept.

    Args:
        predict: maps a batch to an output. If the output has ``by_subset``, all subsets are collected; otherwise its
            logits are those of the subset of all modalities of the batch.
        loader: batches of the clips.
        task: ``single`` and ``soft`` apply a softmax to logits, ``multi`` a sigmoid and ``dimensions`` a tanh.

    Raises:
        ValueError: the loader is empty.
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
            kept.append(_copy_to_cpu(getattr(batch, name)))
        for modality, present in batch.presence.items():
            presence.setdefault(modality, []).append(_copy_to_cpu(present))
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


def _copy_to_cpu(values: torch.Tensor) -> torch.Tensor:
    """A copy on the CPU, as the memory of the batch may be pinned or shared with a worker."""
    return values.to("cpu", copy=True)


def probabilities_of(logits: torch.Tensor, task: str) -> torch.Tensor:
    """Uncalibrated probabilities ``[B, C]`` on the CPU, in double precision so that logits can be recovered from them.

    With the task ``dimensions``, values within -1..1.

    Args:
        logits: ``[B, C]``.
        task: ``single``, ``soft``, ``multi`` or ``dimensions``.
    """
    exact = logits.float().cpu().double()
    if task == "dimensions":
        return exact.tanh()
    return exact.sigmoid() if task == "multi" else exact.softmax(dim=1)
