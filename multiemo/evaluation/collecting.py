"""All outputs of a model over a loader, of one process or of several."""

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
    """All outputs of a loader, on the CPU."""

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
    """``[B, C]`` on the CPU, not calibrated, in double precision, so that logits can be recovered from them.

    Of ``dimensions`` their values, -1..1.
    """
    exact = logits.float().cpu().double()
    if task == "dimensions":
        return exact.tanh()
    return exact.sigmoid() if task == "multi" else exact.softmax(dim=1)
