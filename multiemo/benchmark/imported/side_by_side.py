"""Predictions of other systems beside those of runs, on the clips that all of them answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.benchmark.imported.answer_sets import answer_set_figures
from multiemo.benchmark.imported.clip_names import ClipNames
from multiemo.benchmark.imported.reading import ImportedPredictions, missing_as_wrong, read_imported, require_answers
from multiemo.benchmark.predictions import MeasuredSystem, Predictions
from multiemo.benchmark.results import summarise
from multiemo.errors import ManifestError
from multiemo.types import Clip

#: What holds for every imported system; the first is shown beside the figures.
_NOTES = (
    "imported predictions were not made here: how, and on which data their system was trained or prompted, is unknown; "
    "it cannot be checked that it has not met people of this test part",
    "the cost of imported systems is unknown; their calibration is measured only if they state probabilities",
    "a system that is changed after its figures on this test part were read is no longer tested by it",
)


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Runs and other systems on the clips that all of them answer.

    Args:
        systems: predictions of the runs, then of the other systems.
        members: members of the result that only a comparison with other systems has.
    """

    systems: list[Predictions]
    members: dict[str, Any]


def read_others(
    files: Sequence[Path], measured: Sequence[MeasuredSystem], rows: Callable[[], Iterable[Clip]], allow_missing: bool
) -> SideBySide:
    """Read the predictions of other systems, and find the clips to compare.

    Args:
        files: files of predictions.
        measured: runs and benchmarks, tested on the same clips.
        rows: reads the rows of their manifest, by which media files are recognised.
        allow_missing: compare on the clips that every file answers, if some lack an answer.

    Raises:
        ManifestError: a file is invalid, or clips lack an answer.
    """
    first = measured[0]
    names = ClipNames(first.predictions.ids, rows)
    imported = [read_imported(path, first.predictions, names, first.label_set, first.task) for path in files]
    if not allow_missing:
        require_answers(imported)
    answered = np.all([found.answered for found in imported], axis=0)
    if not answered.any():
        raise ManifestError("no test clip is answered by every file; compare each file with the run by itself")
    systems = [m.predictions for m in measured] + [found.predictions for found in imported]
    members = _members(imported, measured, answered)
    return SideBySide(systems if answered.all() else [system.on(answered) for system in systems], members)


def _members(
    imported: Sequence[ImportedPredictions], measured: Sequence[MeasuredSystem], answered: NDArray[np.bool_]
) -> dict[str, Any]:
    """The members of a result that only a comparison with other systems has.

    Args:
        imported: the other systems.
        measured: the runs and benchmarks.
        answered: ``[N]``, whether all other systems answer a clip.
    """
    label_set, task = measured[0].label_set, measured[0].task
    members: dict[str, Any] = {"imported": {found.predictions.name: found.facts for found in imported}}
    runs = [m.predictions for m in measured]
    if not answered.all() and task != "dimensions":
        filled = [*runs, *(missing_as_wrong(found, task) for found in imported)]
        members["missing_as_wrong"] = {p.name: summarise(p.only(p.full), task)[p.full] for p in filled}
    if task != "dimensions" and any(found.groups is not None for found in imported):
        members["answer_sets"] = answer_set_figures(runs, imported, label_set, task, answered)
    members["notes"] = list(_NOTES)
    return members
