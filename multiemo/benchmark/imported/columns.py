"""Which columns of a table hold the clip and the answer of another system."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from multiemo.errors import ManifestError
from multiemo.labels import find_label
from multiemo.types import DIMENSIONS, Task

Form = Literal["label", "probs", "labels", "words", "dimensions"]

#: Columns that may name the clip; the first that a table has counts.
_CLIP = ("id", "clip", "file", "path", "name", "filename", "media", "video", "audio", "image")
#: What other programs write before the name of a label in a column of probabilities.
_PREFIX = re.compile(r"(?:probs?|probability|p)[._ :-]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AnswerColumns:
    """The columns of a table of answers.

    Args:
        clip: column that names the clip.
        form: what decides the answer.
        answer: column of the answer; empty if probabilities or dimensions have columns of their own.
        probs: column with an object of probabilities, if there is one.
        shares: {column: label}, for probabilities in columns of their own.
        dimensions: {dimension: column}.
    """

    clip: str
    form: Form
    answer: str
    probs: str | None
    shares: dict[str, str]
    dimensions: dict[str, str]


def answer_columns(columns: Sequence[str], labels: Sequence[str], task: Task, where: str) -> AnswerColumns:
    """Find the columns of the clip and of the answer.

    Args:
        columns: names of the columns.
        labels: labels of the run; empty for dimensions.
        task: task of the run.
        where: the file, for messages.

    Raises:
        ManifestError: the clip or the answer has no column.
    """
    known = {name.strip().lower(): name for name in reversed(columns)}
    clip = next((known[name] for name in _CLIP if name in known), None)
    if clip is None:
        raise ManifestError(
            f"{where}: has no column that names the clip; add 'id' (it has: {', '.join(columns) or 'no columns'})"
        )
    rated = {name: known[name] for name in DIMENSIONS if name in known}
    if task == "dimensions":
        if not rated:
            raise ManifestError(f"{where}: the run predicts dimensions; give columns {', '.join(DIMENSIONS)} (-1..1)")
        return AnswerColumns(clip, "dimensions", "", None, {}, rated)
    probs = known.get("probs")
    shares = {} if probs is not None else _shares(columns, labels, clip)
    form, answer = next(
        ((form, known[name]) for form, name in _DECIDING if name in known),
        ("probs", probs or ""),
    )
    if form == "probs" and probs is None and not shares:
        if "text" not in known:
            raise ManifestError(
                f"{where}: has no answers; give each row 'label', 'probs', 'labels' or 'answer' (it has: "
                f"{', '.join(columns)})"
            )
        form, answer = "words", known["text"]
    return AnswerColumns(clip, form, answer, probs, shares, {})


#: (form, column), in the order of precedence; ``text`` counts only where nothing else answers, since it often holds
#: what is said in the clip.
_DECIDING: tuple[tuple[Form, str], ...] = (("label", "label"), ("labels", "labels"), ("words", "answer"))


def _shares(columns: Sequence[str], labels: Sequence[str], clip: str) -> dict[str, str]:
    """{column: label} of the columns that are named after labels; at least two, or none."""
    found = {
        name: label
        for name in columns
        if name != clip and (label := find_label(_PREFIX.sub("", name.strip(), count=1), labels)) is not None
    }
    return found if len(set(found.values())) > 1 else {}
