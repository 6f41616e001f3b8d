"""Errors by group: one figure for each speaker, sex, language, age band or other known fact, worst group first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.evaluation.report import ClipPrediction
from multiemo.metrics import MAIN_FIGURE, Estimate, estimates, measure_of, scored, usable_clips
from multiemo.metrics.results import Figure, Interval
from multiemo.records import Record, record
from multiemo.types import Clip, Task

#: Groups with fewer clips are counted, but get no figure of their own.
SMALLEST_GROUP = 10
#: With more values than this, numbers such as ages are put into bands.
_MOST_NUMBERS = 6
#: Lower ends of the bands of ages, years.
_BANDS = (0, 18, 30, 45, 60)


@record
class GroupFigures(Record):
    """The figure of one group of clips.

    Args:
        attribute: what the clips have in common: ``speaker``, ``language``, ``corpus``, or a key of their
            ``attributes``.
        value: its value.
        n: number of clips.
        speakers: number of their speakers.
        figure: the main figure of the task on these clips.
        interval: its 95% interval over speakers; for a single speaker over the clips.
        difference: the figure minus that of all other clips for which the attribute is known; ``null`` without any.
            Both are taken over the clips whose labels occur on both sides: some labels are easier than others.
        difference_interval: its 95% interval, from both intervals (MOVER; Zou & Donner 2008). It treats the two as
            independent, which makes it too wide if the same speakers are in both.
    """

    attribute: str
    value: str
    n: int
    speakers: int
    figure: Figure
    interval: Interval
    difference: Figure
    difference_interval: Interval


@record
class GroupErrors(Record):
    """Errors by group of clips.

    Args:
        figure: name of the figure, the main one of the task; larger is better.
        overall: the figure over all clips.
        groups: the groups of each attribute, worst first; attributes in order of their worst group.
        notes: what was left out, and why.
    """

    figure: str
    overall: Figure
    groups: list[GroupFigures]
    notes: list[str] = field(default_factory=list)


def predicted_errors_by_group(
    task: Task, key: str, predictions: Sequence[ClipPrediction], clips: Sequence[Clip]
) -> GroupErrors:
    """:func:`errors_by_group` of the predictions of one subset of modalities.

    Args:
        task: task of the model.
        key: the subset.
        predictions: one for each clip, with a target.
        clips: the clips.
    """
    found = [p["values"] if task == "dimensions" else p["probs"] for p in predictions]
    rows = [i for i, values in enumerate(found) if key in values]  # the others have none of its modalities
    given = [predictions[i] for i in rows]
    target = np.array([p["target"] for p in given], dtype=float)
    values = np.array([found[i][key] for i in rows], dtype=float)
    decided = None if task == "dimensions" else np.array([p["said"][key] for p in given])
    truth, predicted = scored(task, target, values, decided)
    return errors_by_group(task, truth, predicted, [p["speaker"] for p in given], [clips[i] for i in rows])


def errors_by_group(
    task: str, truth: NDArray[Any], predicted: NDArray[Any], speakers: Sequence[str], clips: Sequence[Clip]
) -> GroupErrors:
    """Compute the main figure of the task for each group of clips that a manifest makes known.

    Args:
        task: ``single``, ``soft``, ``multi`` or ``dimensions``.
        truth: ``[N, ...]``, as :func:`multiemo.metrics.scored` returns it.
        predicted: ``[N, ...]`` of one run or ``[R, N, ...]`` of several, likewise.
        speakers: ``[N]`` speaker of each clip.
        clips: ``[N]`` manifest rows of the same clips.
    """
    figure = MAIN_FIGURE[task]
    classes = truth.shape[1] if truth.ndim > 1 else int(max(truth.max(), predicted.max())) + 1
    measure = measure_of(task, classes)
    axis = predicted.ndim - truth.ndim
    names = np.asarray(speakers)

    def estimate(rows: NDArray[np.bool_]) -> Estimate | None:
        kept = np.compress(rows, predicted, axis=axis)
        if not usable_clips(kept if axis else kept[None]).any(axis=1).all():
            return None
        return estimates(measure, truth[rows], kept, names[rows].tolist())[figure]

    whole = estimate(np.ones(len(truth), dtype=bool))
    found: dict[str, list[GroupFigures]] = {}
    notes: list[str] = []
    for attribute, values in _attributes(clips).items():
        known = np.array([value is not None for value in values])
        sizes = {value: sum(v == value for v in values) for value in values if value is not None}
        if len(sizes) < 2:
            continue
        small = [value for value, size in sizes.items() if size < SMALLEST_GROUP]
        if small:
            clips_left = sum(sizes[value] for value in small)
            notes.append(
                f"{attribute}: {len(small)} groups with fewer than {SMALLEST_GROUP} clips ({clips_left} clips in all) "
                "have no figure of their own"
            )
        for value in sorted(sizes.keys() - set(small)):
            own = np.array([v == value for v in values])
            group = estimate(own)
            if group is not None:
                alike = _alike(task, truth, own, known & ~own)
                sides = [estimate(rows & alike) if (rows & alike).any() else None for rows in (own, known & ~own)]
                found.setdefault(attribute, []).append(_figures(attribute, value, group, *sides))
    for groups in found.values():
        groups.sort(key=lambda g: g.figure)
    ordered = sorted(found.values(), key=lambda groups: groups[0].figure)
    overall = float("nan") if whole is None else whole.value
    return GroupErrors(figure=figure, overall=overall, groups=[g for groups in ordered for g in groups], notes=notes)


def _alike(task: str, truth: NDArray[Any], one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``[N]``: clips whose label occurs in both of two sets; all clips, unless clips have one label each."""
    if task not in ("single", "soft"):
        return np.ones(len(truth), dtype=bool)
    labels = truth.argmax(axis=1) if truth.ndim > 1 else truth
    return np.isin(labels, np.intersect1d(labels[one], labels[other]))


def _figures(attribute: str, value: str, group: Estimate, own: Estimate | None, rest: Estimate | None) -> GroupFigures:
    """The figures of a group; ``own`` and ``rest`` are what is compared."""
    difference, ends = float("nan"), [float("nan")] * 2
    if own is not None and rest is not None:
        difference = own.value - rest.value
        below = np.hypot(own.value - own.low, rest.high - rest.value)
        above = np.hypot(own.high - own.value, rest.value - rest.low)
        ends = [difference - float(below), difference + float(above)]
    return GroupFigures(
        attribute=attribute,
        value=value,
        n=group.n,
        speakers=group.speakers,
        figure=group.value,
        interval=[group.low, group.high],
        difference=difference,
        difference_interval=ends,
    )


def _attributes(clips: Sequence[Clip]) -> Mapping[str, list[str | None]]:
    """{attribute: its value in each clip, or ``None``}."""
    found: dict[str, list[str | None]] = {
        "speaker": [c.speaker for c in clips],
        "language": [c.language for c in clips],
        "corpus": [c.corpus for c in clips],
    }
    for name in dict.fromkeys(name for clip in clips for name in clip.attributes):
        found[name] = _banded([clip.attributes.get(name) for clip in clips])
    return found


def _banded(values: list[str | None]) -> list[str | None]:
    """The values, with numbers replaced by bands of ages if there are many different ones.

    Example:
        >>> _banded(["21", "64", None, "33", "18", "47", "29", "8"])
        ['18-29', '60 or more', None, '30-44', '18-29', '45-59', '18-29', 'under 18']
    """
    given = {value for value in values if value is not None}
    if len(given) <= _MOST_NUMBERS or not all(value.replace(".", "", 1).isdecimal() for value in given):
        return values

    def band(age: float) -> str:
        place = int(np.searchsorted(_BANDS, age, side="right")) - 1
        if place == 0:
            return f"under {_BANDS[1]}"
        return f"{_BANDS[place]}-{_BANDS[place + 1] - 1}" if place + 1 < len(_BANDS) else f"{_BANDS[place]} or more"

    return [None if value is None else band(float(value)) for value in values]
