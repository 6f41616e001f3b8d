"""Labels, or dimensions, that no clip of train or of the measured part has, and what that means for the figures."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from multiemo.inputs.dataset import PreparedPart


def untrained_note(names: Sequence[str], learnt: Tensor, *, task: str) -> list[str]:
    """A sentence on what train lacks; none where it has everything.

    Args:
        names: of the labels, or of the dimensions.
        learnt: ``[C]`` frequencies of train; of dimensions means, NaN where unknown.
        task: ``dimensions``, or one with labels.
    """
    lacking = [name for name, known in zip(names, _known(learnt, task), strict=True) if not known]
    if not lacking:
        return []
    if task == "dimensions":
        return [f"no clip of train has {', '.join(lacking)}: not learnt, so nothing is said of it"]
    return [f"no clip of train is {', '.join(lacking)}: the model does not learn to say it"]


def lacking_notes(names: Sequence[str], learnt: Tensor, part: PreparedPart, *, split: str, task: str) -> list[str]:
    """What a reader of the figures of a part must know of labels that were never trained, or are never tested.

    Args:
        names, learnt, task: as in :func:`untrained_note`.
        part: what was found of the part.
        split: its name.
    """
    trained, here = _known(learnt, task), _known(part.frequencies, task)
    lost = [i for i, (t, h) in enumerate(zip(trained, here, strict=True)) if h and not t]
    never = [names[i] for i, (t, h) in enumerate(zip(trained, here, strict=True)) if t and not h]
    if task == "dimensions":
        said = (
            [f"no clip of train has {', '.join(names[i] for i in lost)}: not learnt, so not measured"] if lost else []
        )
        return said + ([f"no clip of {split} has {', '.join(never)}: the figures say nothing of it"] if never else [])
    said = []
    if lost:
        clips = round(float(part.frequencies[lost].sum()) * sum(part.labelled))
        said.append(
            f"no clip of train is {', '.join(names[i] for i in lost)}: not learnt, so its {clips} clips of {split} "
            f"count as wrong, and UAR can hardly be above {(sum(here) - len(lost)) / sum(here):.3f}"
        )
    if never:
        said.append(
            f"no clip of {split} is {', '.join(never)}: the figures say nothing of it; UAR is the mean over the "
            f"{sum(here)} labels that occur, and in macro F1 it counts as 0 wherever it is said"
        )
    return said


def _known(values: Tensor, task: str) -> list[bool]:
    known: list[bool] = (~values.isnan() if task == "dimensions" else values > 0).tolist()
    return known
