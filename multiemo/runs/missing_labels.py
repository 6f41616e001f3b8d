"""Notes on labels or dimensions that are missing or rare in train or in the evaluated part, and their effect."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from multiemo.inputs.dataset import PreparedPart


def untrained_note(names: Sequence[str], learnt: Tensor, *, task: str) -> list[str]:
    """A note on the labels or dimensions that train lacks; an empty list if it has all of them.

    Args:
        names: names of the labels or dimensions, in column order.
        learnt: ``[C]`` label frequencies of train; for dimensions their means, NaN where unknown.
        task: task of the model.
    """
    missing = [name for name, known in zip(names, _known(learnt, task), strict=True) if not known]
    if not missing:
        return []
    if task == "dimensions":
        return [f"no clip of train has {', '.join(missing)}: not learnt, so not predicted"]
    return [f"no clip of train is {', '.join(missing)}: the model does not learn to predict it"]


#: With fewer clips of a label than this, a model repeats the clips instead of learning what they have in common.
FEW_CLIPS = 10


def few_clips_note(names: Sequence[str], part: PreparedPart) -> list[str]:
    """A note if train has very few clips of its most frequent label; an empty list if it has enough.

    Args:
        names: names of the labels, in column order.
        part: preprocessing results of train.
    """
    clips = sum(part.labelled)
    most = int(part.frequencies.argmax())
    count = round(float(part.frequencies[most]) * clips)
    if not 0 < count < FEW_CLIPS:
        return []
    return [
        f"train has only {clips} labelled clips, {count} of them {names[most]}: the model will repeat these clips "
        "rather than generalise, and it needs more epochs than usual (training.epochs=100); text_rules, speech_rules "
        "and face_rules need no clips"
    ]


def missing_label_notes(
    names: Sequence[str], learnt: Tensor, part: PreparedPart, *, split: str, task: str
) -> list[str]:
    """Notes on labels that were never trained or never occur in the evaluated part.

    Args:
        names: names of the labels or dimensions, in column order.
        learnt: as in :func:`untrained_note`.
        part: preprocessing results of the evaluated part.
        split: name of the part.
        task: task of the model.
    """
    in_train, in_part = _known(learnt, task), _known(part.frequencies, task)
    untrained = [i for i, (t, p) in enumerate(zip(in_train, in_part, strict=True)) if p and not t]
    untested = [names[i] for i, (t, p) in enumerate(zip(in_train, in_part, strict=True)) if t and not p]
    notes = []
    if task == "dimensions":
        if untrained:
            notes.append(f"no clip of train has {', '.join(names[i] for i in untrained)}: not learnt, so not measured")
        if untested:
            notes.append(f"no clip of {split} has {', '.join(untested)}: the figures do not cover it")
        return notes
    if untrained:
        clips = round(float(part.frequencies[untrained].sum()) * sum(part.labelled))
        notes.append(
            f"no clip of train is {', '.join(names[i] for i in untrained)}: not learnt, so its {clips} clips of "
            f"{split} count as wrong, and UAR can hardly exceed {(sum(in_part) - len(untrained)) / sum(in_part):.3f}"
        )
    if untested:
        notes.append(
            f"no clip of {split} is {', '.join(untested)}: the figures do not cover it; UAR is the mean over the "
            f"{sum(in_part)} labels that occur, and in macro F1 it counts as 0 wherever it is predicted"
        )
    return notes


def _known(values: Tensor, task: str) -> list[bool]:
    """Whether each label or dimension occurs at all."""
    known: list[bool] = (~values.isnan() if task == "dimensions" else values > 0).tolist()
    return known
