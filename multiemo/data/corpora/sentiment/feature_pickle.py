"""Feature pickles in the format of MMSA (Yu et al. 2020, ACL; Mao et al. 2022, ACL demo, arXiv:2203.12441).

``{"train" | "valid" | "test": {"id", "raw_text", "text", "audio", "vision", "audio_lengths", "vision_lengths",
"annotations", "regression_labels", ...}}``: each has one entry per clip, features are ``[clips, T, dim]`` padded with
zeros. The arrays are written to safetensors files, and each clip refers to its own array.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from multiemo.data.corpora.source import Skip
from multiemo.data.features.pickles import read_pickle
from multiemo.errors import ManifestError
from multiemo.files import draft
from multiemo.types import FeatureRef

#: Name of a part in the pickles -> part.
PARTS = {"train": "train", "valid": "val", "val": "val", "dev": "val", "test": "test"}
#: Separates video and clip in an id.
MARK = "$_$"

_FEATURES = {"text": "text", "speech": "audio", "face": "vision"}
_SUFFIXES = {"text": "_T", "speech": "_A", "face": "_V"}
_USED = frozenset(
    ("raw_text", "text_bert", "audio_lengths", "vision_lengths", "annotations", "regression_labels")
).union(_FEATURES.values(), (f"regression_labels{suffix}" for suffix in _SUFFIXES.values()))
#: Number of clips per file. The header of a file is parsed for every clip, so one file per corpus would be slow.
_CLIPS_PER_FILE = 256


@dataclass(frozen=True, slots=True)
class PickledSegment:
    """One clip of a feature pickle.

    Args:
        id: ``video$_$clip``.
        part: ``train``, ``val`` or ``test``; ``None`` if unknown.
        text: text of the clip, or ``None``.
        annotation: the published polarity as a word, or ``""``.
        score: sentiment on the scale of the corpus.
        scores: {modality: sentiment judged from that modality alone}, if annotated.
        features: {modality: absolute path and key}.
        start, end: span in the video in seconds, if the media are not cut to the clip.
    """

    id: str
    part: str | None
    text: str | None
    annotation: str
    score: float
    scores: Mapping[str, float]
    features: Mapping[str, FeatureRef]
    start: float | None = None
    end: float | None = None


def read_segments(path: Path, made: Callable[[], Path], skip: Skip) -> Iterator[PickledSegment]:
    """Read the clips of a feature pickle; their features are written below ``made()``.

    Padding is removed: the rows beyond the published lengths (``audio_lengths``, ``vision_lengths``, the mask in
    ``text_bert``), else the zero rows at both ends. A row of zeros in ``vision`` is a frame without a face and is
    always removed. Non-finite values become 0, as in MMSA's loader (COVAREP has ``-inf``).

    Args:
        path: the pickle; read by :func:`~multiemo.data.features.pickles.read_pickle`, which executes nothing in it.
        made: returns the folder for extracted features.
        skip: called for clips that are left out, and for empty modalities and non-finite values.

    Raises:
        ManifestError: the file is not such a pickle, its columns differ in length, or the features cannot be written.
    """
    tree = read_pickle(path)
    parts = {name: part for name, part in PARTS.items() if isinstance(tree, dict) and isinstance(tree.get(name), dict)}
    if not parts:
        found = ", ".join(map(str, list(tree)[:6])) if isinstance(tree, dict) else type(tree).__name__
        raise ManifestError(f"{path}: is not a feature pickle: expected the parts train, valid and test; found {found}")
    folder = made() / path.stem
    seen: set[str] = set()
    for name, part in parts.items():
        yield from _part(_Block(path, name, tree.pop(name)), part, folder, skip, seen)


class _Block:
    """One part of a pickle: columns of equal length.

    Args:
        path, name: the file and the part, for messages.
        columns: {column: one entry per clip}.
    """

    def __init__(self, path: Path, name: str, columns: Mapping[str, Any]) -> None:
        self.where = f"{path.name} {name}"
        missing = [key for key in ("id", "regression_labels") if key not in columns]
        if missing:
            raise ManifestError(f"{path}: part {name} lacks {missing[0]!r}; it has: {', '.join(map(str, columns))}")
        self.clips = len(columns["id"])
        for key, column in columns.items():
            if key in _USED and (not isinstance(column, Sequence | np.ndarray) or len(column) != self.clips):
                raise ManifestError(f"{path}: part {name} has {self.clips} ids, but a different number of {key!r}")
        self._columns = columns

    def __contains__(self, key: str) -> bool:
        return key in self._columns

    def text(self, key: str, row: int) -> str:
        """Return a cell as text; empty if the column is missing or the cell is not text."""
        cell = self._columns[key][row] if key in self._columns else ""
        return str(cell).strip() if isinstance(cell, str) else ""

    def number(self, key: str, row: int) -> float:
        """Return a cell, or an array with one element, as a number; NaN if it is not a number."""
        try:
            return float(np.asarray(self._columns[key][row], dtype=np.float64).reshape(()))
        except (TypeError, ValueError):
            return float("nan")

    def array(self, key: str, row: int) -> np.ndarray:
        """Return the features of one clip, ``[T, dim]`` float32.

        Raises:
            ManifestError: they have another shape or are not numbers.
        """
        values: np.ndarray | None = None
        try:
            with np.errstate(over="ignore"):
                values = np.array(self._columns[key][row], dtype=np.float32, ndmin=2)
        except (TypeError, ValueError):
            pass
        if values is None or values.ndim != 2:
            raise ManifestError(f"{self.where}: {key} of clip {self.text('id', row)!r} is not [T, dim] numbers")
        return values

    def length(self, modality: str, row: int, padded: int) -> int | None:
        """Return the number of rows of a clip without padding, or ``None`` if it was not published."""
        if modality == "text":
            tokens = np.asarray(self._columns["text_bert"][row]) if "text_bert" in self._columns else np.empty(0)
            length = float(tokens[1].sum()) if tokens.shape == (3, padded) else float("nan")
        else:
            key = f"{_FEATURES[modality]}_lengths"
            length = self.number(key, row) if key in self._columns else float("nan")
        return int(length) if 0 <= length <= padded else None


def _part(block: _Block, part: str, folder: Path, skip: Skip, seen: set[str]) -> Iterator[PickledSegment]:
    notes: Counter[str] = Counter()
    for first in range(0, block.clips, _CLIPS_PER_FILE):
        rows: list[int] = []
        for row in range(first, min(first + _CLIPS_PER_FILE, block.clips)):
            name = block.text("id", row)
            if not all(name.partition(MARK)):
                skip(f"{block.where} row {row + 1}", f"id {name!r} is not like video{MARK}clip")
            elif name in seen:
                skip(f"{block.where} row {row + 1}", f"id {name!r} occurs a second time")
            else:
                seen.add(name)
                rows.append(row)
        features = {
            modality: _write(block, modality, rows, folder / f"{part}-{modality}-{first // _CLIPS_PER_FILE:04d}", notes)
            for modality, key in _FEATURES.items()
            if key in block
        }
        for row in rows:
            yield PickledSegment(
                id=block.text("id", row),
                part=part,
                text=block.text("raw_text", row) or None,
                annotation=block.text("annotations", row),
                score=block.number("regression_labels", row),
                scores={
                    modality: block.number(f"regression_labels{suffix}", row)
                    for modality, suffix in _SUFFIXES.items()
                    if f"regression_labels{suffix}" in block
                },
                features={m: refs[row] for m, refs in features.items() if row in refs},
            )
    for note, count in notes.items():
        skip(block.where, f"{count} {note}")


def _write(block: _Block, modality: str, rows: list[int], stem: Path, notes: Counter[str]) -> dict[int, FeatureRef]:
    """Write the features of some clips; return {row: reference} for those that have features."""
    file = stem.with_name(f"{stem.name}.safetensors")
    arrays: dict[str, np.ndarray] = {}
    places: dict[int, FeatureRef] = {}
    for row in rows:
        name = block.text("id", row)
        values = _finite(block.array(_FEATURES[modality], row), _FEATURES[modality], notes)
        values = _without_padding(values, modality, block.length(modality, row, len(values)))
        if not values.any():
            notes[f"clips have no {modality}: every row of {_FEATURES[modality]} is zero"] += 1
            continue
        arrays[name] = values
        places[row] = FeatureRef(str(file), name)
    save_features(arrays, file)
    return places


def _finite(values: np.ndarray, what: str, notes: Counter[str]) -> np.ndarray:
    bad = ~np.isfinite(values)
    if bad.any():
        values[bad] = 0
        notes[f"values of {what} are not finite numbers; they were set to 0"] += int(bad.sum())
    return values


def without_empty(values: np.ndarray, modality: str, notes: Counter[str]) -> np.ndarray | None:
    """Replace non-finite values by 0, and remove frames without a face from face features.

    Args:
        values: ``[T, dim]`` without padding; modified in place.
        modality: the modality of the features.
        notes: counts the non-finite values.

    Returns:
        ``[T', dim]``, or ``None`` if nothing is left.
    """
    values = _finite(values, modality, notes)
    values = values[values.any(axis=1)] if modality == "face" else values
    return values if values.any() else None


def save_features(arrays: Mapping[str, np.ndarray], file: Path) -> None:
    """Write arrays to one safetensors file; without arrays, no file is written.

    Raises:
        ManifestError: the file cannot be written.
    """
    if not arrays:
        return
    size = sum(values.nbytes for values in arrays.values())
    with draft(file, size=size, error=ManifestError) as made:
        save_file({name: np.ascontiguousarray(values) for name, values in arrays.items()}, made)


def _without_padding(values: np.ndarray, modality: str, length: int | None) -> np.ndarray:
    """Remove padding, which is at the end or at the start.

    Example:
        >>> _without_padding(np.array([[0], [1], [0], [2], [0]]), "speech", None).ravel().tolist()
        [1, 0, 2]
        >>> _without_padding(np.array([[0], [1], [0], [2], [0]]), "speech", 5).ravel().tolist()
        [0, 1, 0, 2, 0]
        >>> _without_padding(np.array([[0], [1], [0], [2], [0]]), "face", None).ravel().tolist()
        [1, 2]
    """
    if length is not None:
        at_start = values[length:].any() and not values[: len(values) - length].any()
        values = values[len(values) - length :] if at_start else values[:length]
    filled = np.flatnonzero(values.any(axis=1))
    if modality == "face" or not len(filled):
        return values[filled]
    return values if length is not None else values[filled[0] : filled[-1] + 1]
