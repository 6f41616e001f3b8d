"""The smallest change of an input that changes the decided label, checked by running the model on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

import torch
from torch import Tensor

from multiemo.data.collate import pad
from multiemo.explanation.evidence.base import InputChange
from multiemo.explanation.records import Counterfactual
from multiemo.explanation.target import ClipTarget

#: Changed inputs that are run together.
_BATCH = 32
#: Largest number of changes that are tried.
_MOST_TRIED = 1024


def smallest_change(changes: Iterable[InputChange], target: ClipTarget) -> tuple[Counterfactual | None, int]:
    """Find the smallest change that changes the decided label.

    Every change is run through the model, and the label is decided from the calibrated probabilities as in prediction,
    including the costs that training used. Among changes of one size the one that leaves the original label the lowest
    probability is reported.

    Args:
        changes: changed inputs in the order of their size.
        target: what is explained.

    Returns:
        The change, or ``None`` if no change changes the label or the model predicts dimensions; and the number of
        changes that were tried.
    """
    if target.model.task == "dimensions":
        return None, 0
    first, before = _run([(target.x, torch.ones(len(target.x), dtype=torch.bool))], target)
    original = first[0]
    column = target.label if target.model.task == "multi" else original[0]
    tried = 0
    for _, same in groupby(islice(changes, _MOST_TRIED), key=lambda change: change.size):
        best: tuple[float, InputChange, tuple[int, ...]] | None = None
        for some in _batches(same):
            decided, probabilities = _run([(c.tensor, c.mask) for c in some], target)
            tried += len(some)
            for change, labels, row in zip(some, decided, probabilities, strict=True):
                flipped = (column in labels) != (column in original)
                if flipped and (best is None or float(row[column]) < best[0]):
                    best = float(row[column]), change, labels
        if best is not None:
            after, change, labels = best
            return _record(change, target, labels, float(before[0, column]), after), tried
    return None, tried


def _record(
    change: InputChange, target: ClipTarget, labels: Sequence[int], before: float, after: float
) -> Counterfactual:
    return Counterfactual(
        change=change.words,
        part=change.name,
        amount=change.amount,
        unit=change.unit,
        label=", ".join(target.names[c] for c in labels) or "no label",
        before=round(before, 6),
        after=round(after, 6),
        others=list(change.others),
    )


def _batches(changes: Iterator[InputChange]) -> Iterator[list[InputChange]]:
    while some := list(islice(changes, _BATCH)):
        yield some


def _run(inputs: Sequence[tuple[Tensor, Tensor]], target: ClipTarget) -> tuple[list[tuple[int, ...]], Tensor]:
    """Decided columns and calibrated probabilities ``[K, C]`` of changed inputs, which may differ in length."""
    x, _ = pad([x for x, _ in inputs])
    mask, _ = pad([mask for _, mask in inputs])
    with torch.no_grad():
        logits = target.logits(target.embed(x.to(target.x.device), mask.to(target.x.device)))
    return target.decide(logits), target.probabilities(logits).float().cpu()
