"""Map the columns of a data set to the keys of clips, as described by the options of ``hfdataset``."""

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
    """The mapping from columns to the keys of a clip, and the values common to all clips.

    Args:
        adapter: name of the corpus adapter, for messages.
        named: {key of a clip: column}.
        corpus, language, label_set: values of every clip.
        cropped: whether the pictures are face crops.
        allowed: the labels of the label set.
        became: called with every label and its mapped label.
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
        """Check that all named columns exist.

        Args:
            present: the columns of the file.
            where: the file, for the message.

        Raises:
            ManifestError: a column is missing; the message lists the existing columns.
        """
        for key, column in self.named.items():
            if column not in present:
                raise ManifestError(
                    f"{self.adapter}: {where} has no column {column!r} (named by {key}={column}); "
                    f"{closest(column, present)}its columns: {', '.join(present)}"
                )

    def clip(self, cells: Mapping[str, str], default_id: str) -> Clip | str:
        """Return the clip of a row, or the reason why the row is left out.

        Labels are mapped to the label set by :func:`multiemo.labels.find_label`.

        Args:
            cells: {key of a clip: cell}, without absent values.
            default_id: id of the clip if no column of ids is named.
        """
        values: dict[str, Any] = dict(cells)
        problem = _numbers(values) or self._label(values)
        if not values.keys() & _CONTENT:
            problem = "has neither text nor media"
        if problem:
            return problem
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
    """Return the mapping described by the options of an adapter.

    Args:
        adapter: name of the corpus adapter, for messages.
        corpus: corpus name of every clip.
        language: language of every clip.
        label_set: label set of every clip.
        cropped: whether the pictures are face crops.
        columns: {key of a clip: column, or ``None`` if none is named}.
        became: called with every label and its mapped label.

    Raises:
        ManifestError: no column of content is named, ``label`` is given without ``label_set`` (or the reverse), or
            ``cropped`` without pictures.
        ConfigError: the label set is unknown.
    """
    named = {key: column for key, column in columns.items() if column is not None}
    if not named.keys() & _CONTENT:
        raise ManifestError(
            f"{adapter}: no column of content is named; name the one of text, audio, video or image, like "
            "text=utterance"
        )
    if ("label" in named) != (label_set is not None):
        raise ManifestError(f"{adapter}: give label and label_set together, like label=emotion label_set=ekman7")
    if cropped and not named.keys() & {"video", "image"}:
        raise ManifestError(f"{adapter}: cropped=true needs pictures; name their column, like image=file")
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
