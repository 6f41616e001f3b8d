"""Columns of a table -> clips: the mapping that ``table`` and ``hfdataset`` are told by their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multiemo.data.corpora.source import Became
from multiemo.data.manifest.rows import MEDIA_KEYS, closest
from multiemo.errors import ManifestError
from multiemo.labels import find_label
from multiemo.labels import label_set as labels_of
from multiemo.types import DIMENSIONS, Clip

_CONTENT = frozenset(("text", *MEDIA_KEYS))
_NUMBERS = ("start", "end", *DIMENSIONS)


@dataclass(frozen=True, slots=True)
class ClipColumns:
    """Which column holds which key of a clip, and what is the same for all.

    Args:
        adapter: name of the corpus adapter, for messages.
        named: {key of a clip: column}.
        corpus, language, label_set: of every clip.
        cropped: the pictures are face crops.
        allowed: the labels of the set.
        became: told of every label that is met, and of what it becomes.
    """

    adapter: str
    named: Mapping[str, str]
    corpus: str
    language: str | None
    label_set: str | None
    cropped: bool
    allowed: tuple[str, ...]
    became: Became

    def check(self, present: Sequence[str], where: object) -> None:
        """Every named column is there.

        Args:
            present: the columns that ``where`` has.

        Raises:
            ManifestError: one is not; the message lists those that are.
        """
        for key, column in self.named.items():
            if column not in present:
                raise ManifestError(
                    f"{self.adapter}: {where} has no column {column!r} (asked for by {key}={column}); "
                    f"{closest(column, present)}its columns: {', '.join(present)}"
                )

    def clip(self, cells: Mapping[str, str], default_id: str) -> Clip | str:
        """The clip of a row, or why there is none.

        Labels are brought to the names of the label set, see :func:`multiemo.labels.find_label`.

        Args:
            cells: {key of a clip: cell}, absent ones left out.
            default_id: where no column of ids is named.
        """
        values: dict[str, Any] = dict(cells)
        trouble = _numbers(values) or self._label(values)
        if not values.keys() & _CONTENT:
            trouble = "has neither text nor media"
        if trouble:
            return trouble
        values.setdefault("id", default_id)
        if self.cropped and ("video" in values or "image" in values):
            values["cropped"] = True
        return Clip(corpus=self.corpus, language=self.language, label_set=self.label_set, **values)

    def _label(self, values: dict[str, Any]) -> str | None:
        if "label" not in values:
            return None
        label = find_label(values["label"], self.allowed)
        self.became(values["label"], label)
        if label is None:
            return f"label {values['label']!r} is not one of {', '.join(self.allowed)}"
        values["label"] = label
        return None


def columns_of(
    adapter: str,
    *,
    corpus: str,
    language: str | None,
    label_set: str | None,
    cropped: bool,
    columns: Mapping[str, str | None],
    became: Became,
) -> ClipColumns:
    """The mapping that the options of an adapter describe.

    Args:
        columns: {key of a clip: column, or ``None`` where none was named}.
        became: told of every label that is met, and of what it becomes.

    Raises:
        ManifestError: no column of content is named, ``label`` without ``label_set``, or ``cropped`` without pictures.
        ConfigError: an unknown label set.
    """
    named = {key: column for key, column in columns.items() if column is not None}
    if not named.keys() & _CONTENT:
        raise ManifestError(
            f"{adapter}: no content; name the column of text, audio, video or image, like text=utterance"
        )
    if ("label" in named) != (label_set is not None):
        raise ManifestError(f"{adapter}: label and label_set belong together, like label=emotion label_set=ekman7")
    if cropped and not named.keys() & {"video", "image"}:
        raise ManifestError(f"{adapter}: cropped=true, but no pictures; name their column, like image=file")
    allowed = labels_of(label_set, where=f"{adapter}: label_set") if label_set is not None else ()
    return ClipColumns(adapter, named, corpus, language, label_set, cropped, allowed, became)


def _numbers(values: dict[str, Any]) -> str | None:
    for key in _NUMBERS:
        if key in values:
            try:
                values[key] = float(values[key])
            except ValueError:
                return f"{key} is {values[key]!r}, not a number"
    return None
