"""The smallest change of an input that changes the decided label, checked by running the model on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

import torch
from torch import Tensor

from multiemo.data.collate import pad
from multiemo.explanation.evidence.base import InputChange, PartView
from multiemo.explanation.records import Counterfactual
from multiemo.explanation.target import ClipTarget

#: Changed inputs that are run together.
_BATCH = 32
#: Largest number of changes that are tried.
_MOST_TRIED = 1024
#: Sets of parts that are extended by another part.
_BEAM = 4


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


def removals(view: PartView, target: ClipTarget, most: int) -> Iterator[InputChange]:
    """The input without one part, then without two, and so on; pairs and triples are searched greedily.

    More than one part is tried only if the caller goes on, so after no single part changed the label. Each of the
    :data:`_BEAM` sets with the largest effect is extended by every other part.

    Args:
        view: an input divided into U parts.
        target: what is explained; it ranks the sets.
        most: largest number of parts removed together.
    """
    count = len(view.parts)
    sets: list[tuple[int, ...]] = [(part,) for part in range(count)]
    for size in range(1, min(most, count) + 1):
        found: list[tuple[float, tuple[int, ...]]] = []
        for some in (sets[i : i + _BATCH] for i in range(0, len(sets), _BATCH)):
            gone = torch.zeros(len(some), count, dtype=torch.bool)
            for row, members in enumerate(some):
                gone[row, list(members)] = True
            x, mask = view.without(gone)
            with torch.no_grad():
                scores = target(x.to(target.x.device), mask.to(target.x.device)).tolist()
            found += zip(scores, some, strict=True)
            for row, members in enumerate(some):
                names = [view.parts[part].name for part in members]
                words = _without(names, count)
                yield InputChange(names[0], words, x[row], mask[row], float(size), others=names[1:])
        best = [members for _, members in sorted(found)[:_BEAM]]
        sets = sorted({tuple(sorted({*b, part})) for b in best for part in range(count) if part not in b})


def _without(names: Sequence[str], count: int) -> str:
    """The removal in words, with what was checked before it: every single part, every pair only of three parts or few.

    Args:
        names: names of the removed parts.
        count: number of parts of the view.

    Example:
        >>> _without(["good", "day"], 9)
        "without 'good' and 'day' (neither alone suffices)"
        >>> _without(["so", "good", "day"], 9)
        "without 'so', 'good' and 'day' (no single part suffices, and no pair that was tried)"
    """
    quoted = [f"'{name}'" for name in names]
    if len(quoted) == 1:
        return f"without {quoted[0]}"
    listed = f"{', '.join(quoted[:-1])} and {quoted[-1]}"
    if len(quoted) == 2:
        return f"without {listed} (neither alone suffices)"
    # Of at most _BEAM + 1 parts, all but one of them are extended by every other part, so every pair was tried.
    pairs = "no pair" if count <= _BEAM + 1 else "no pair that was tried"
    return f"without {listed} (no single part suffices, and {pairs})"
