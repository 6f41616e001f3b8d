"""Clips of a manifest in the form that explanations read: samples, and what their inputs were made from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multiemo.explanation.evidence.base import ClipInput
from multiemo.inputs.dataset import ClipDataset
from multiemo.inputs.rows import gather_row
from multiemo.types import Absent, Modality, Sample


def clip_inputs(dataset: ClipDataset, index: int) -> tuple[Sample, dict[Modality, ClipInput]]:
    """The sample of a row, and each present modality with its raw form.

    The media of the row are decoded once more, because the cache holds only tensors. A modality whose raw form can no
    longer be read keeps its tensor; its parts are then named by position.

    Args:
        dataset: data set of the part.
        index: row number, from 0.
    """
    sample, row = dataset[index], dataset.row(index)
    gathered = gather_row(row, {m: dataset.inputs[m] for m in sample.inputs})
    found: dict[Modality, ClipInput] = {}
    for m, tensor in sample.inputs.items():
        material = gathered.materials.get(m)
        raw = None if material is None else dataset.inputs[m].take(material)
        raw = None if isinstance(raw, Absent) else raw
        found[m] = ClipInput(m, dataset.inputs[m], tensor, raw, row.clip.start or 0.0)
    return sample, found


def spread(rows: Sequence[int], keys: Sequence[object], count: int, seed: int) -> list[int]:
    """Draw rows evenly over the values of a key, such as speakers: one of each value in turn, until there are enough.

    Args:
        rows: row numbers to draw from.
        keys: value of the key for each of these rows.
        count: number of rows to draw; all rows if there are fewer.
        seed: random seed.

    Returns:
        The drawn rows, ascending.

    Example:
        >>> spread([0, 1, 2, 3, 4, 5], ["a", "a", "a", "a", "b", "c"], 3, seed=0)[-2:]
        [4, 5]
    """
    rng = np.random.default_rng(seed)
    groups: dict[object, list[int]] = {}
    for place in rng.permutation(len(rows)).tolist():
        groups.setdefault(keys[place], []).append(rows[place])
    turns = [(turn, row) for members in groups.values() for turn, row in enumerate(members)]
    order = sorted(range(len(turns)), key=lambda i: (turns[i][0], i))
    return sorted(turns[i][1] for i in order[:count])
