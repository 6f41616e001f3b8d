"""Computational sequences of CMU-MultimodalSDK: the ``.csd`` files of CMU-MOSI and CMU-MOSEI.

An HDF5 file with one group, named after its content (``All Labels``, ``words``, ``COVAREP``, ``FACET 4.2`` ...), with
``data/VIDEO/features`` ``[n, dim]`` and ``data/VIDEO/intervals`` ``[n, 2]`` in seconds; after the SDK's alignment
``data/VIDEO[SEGMENT]``. The rows of the labels are the segments: sentiment, and in CMU-MOSEI happy, sad, anger,
surprise, disgust, fear (README of CMU-MultimodalSDK for CMU_MOSEI).
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multiemo.data.corpora.sentiment.feature_pickle import MARK, PARTS, PickledSegment, save_features, without_empty
from multiemo.data.corpora.source import Skip, nearest, read_text, relative, walk
from multiemo.errors import ManifestError
from multiemo.extras import require
from multiemo.types import FeatureRef

#: Prefix of the group's name -> its content; of several sequences of a modality the first in this order is used.
_GROUP_KINDS = {
    "all labels": "labels", "opinion segment labels": "labels", "words": "words", "glove": "text", "covarep": "speech",
    "opensmile": "speech", "facet 4.2": "face", "facet_4.2": "face", "openface": "face", "facet": "face",
}  # fmt: skip
#: Columns of CMU-MOSEI's labels after the sentiment, in order.
EMOTIONS = ("happy", "sad", "angry", "surprised", "disgusted", "fearful")
_KEY = re.compile(r"(.*)\[(\d+)\]")
#: Marks a pause in the words.
_PAUSE = "sp"
#: Number of segments per feature file.
_CLIPS_PER_FILE = 256


@dataclass(frozen=True, slots=True)
class Sequences:
    """The computational sequences of a folder.

    Args:
        labels: the file with the labels, whose rows are the segments.
        others: {``words`` or a modality: file}.
    """

    labels: Path
    others: Mapping[str, Path]


def find_sequences(root: Path, skip: Skip) -> Sequences | None:
    """Find the computational sequences below ``root``; return ``None`` if they do not include the labels.

    Raises:
        ManifestError: a file cannot be read, or h5py is not installed.
    """
    found: dict[str, tuple[int, Path]] = {}
    for path in walk(root, (".csd",)):
        with ExitStack() as stack:
            name = _Sequence(path, stack).name.lower()
        rank = next((rank for rank, start in enumerate(_GROUP_KINDS) if name.startswith(start)), None)
        kind = None if rank is None else list(_GROUP_KINDS.values())[rank]
        if kind is None or rank is None:
            skip(relative(path, root), f"has {name!r}, which is neither labels, words nor known features")
        elif kind in found and found[kind][0] <= rank:
            skip(relative(path, root), f"is left out for {found[kind][1].name}; one sequence a modality is read")
        else:
            if kind in found:
                skip(relative(found[kind][1], root), f"is left out for {path.name}; one sequence a modality is read")
            found[kind] = rank, path
    if "labels" not in found:
        return None
    return Sequences(found["labels"][1], {kind: path for kind, (_, path) in found.items() if kind != "labels"})


def read_sequences(root: Path, sequences: Sequences, made: Callable[[], Path], skip: Skip) -> Iterator[PickledSegment]:
    """Read the segments with their texts and features; the features are written below ``made()``.

    A word or a row of features belongs to the segment that contains the middle of its interval. Non-finite values
    become 0. A row of zeros in face features is a frame without a face and is removed. The published parts are read
    from ``cmu_mosei_std_folds.py`` (``cmu_mosi_std_folds.py``) of the SDK if it is below ``root``.

    Args:
        root: the corpus folder.
        sequences: the files, from :func:`find_sequences`.
        made: returns the folder for extracted features.
        skip: called for everything that is left out.
    """
    part_of = _folds(root)
    notes: Counter[str] = Counter()
    with ExitStack() as stack:
        labels = _Sequence(sequences.labels, stack)
        others = {kind: _Sequence(path, stack) for kind, path in sequences.others.items()}
        words = others.pop("words", None)
        segments = list(_segments(labels))
        for first in range(0, len(segments), _CLIPS_PER_FILE):
            shard = segments[first : first + _CLIPS_PER_FILE]
            features = {m: _features(data, m, shard, made, first, notes) for m, data in others.items()}
            for segment in shard:
                yield PickledSegment(
                    id=f"{segment.video}{MARK}{segment.number}",
                    part=part_of.get(segment.video),
                    text=None if words is None else _words(words, segment),
                    annotation="",
                    score=segment.values[0],
                    scores={},
                    features={m: refs[segment] for m, refs in features.items() if segment in refs},
                    start=segment.start,
                    end=segment.end,
                )
    if not part_of:
        skip(
            str(root), "cmu_mosei_std_folds.py (cmu_mosi_std_folds.py) does not exist, so no clip has a published part"
        )
    for note, count in notes.items():
        skip(str(root), f"{count} {note}")


def present_emotions(sequences: Sequences) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return {(video, segment): the emotions above 0}; empty if the labels are only sentiment."""
    with ExitStack() as stack:
        rows = list(_segments(_Sequence(sequences.labels, stack)))
    return {
        (segment.video, str(segment.number)): tuple(
            label for label, v in zip(EMOTIONS, segment.values[1:], strict=True) if v > 0
        )
        for segment in rows
        if len(segment.values) == 1 + len(EMOTIONS)
    }


@dataclass(frozen=True, slots=True)
class _Span:
    """A segment: one row of the labels."""

    video: str
    number: int
    start: float
    end: float
    values: tuple[float, ...]


class _Sequence:
    """An open ``.csd`` file.

    Args:
        path: the file.
        stack: closes the file.

    Raises:
        ManifestError: the file is not a computational sequence, or h5py is not installed.
    """

    def __init__(self, path: Path, stack: ExitStack) -> None:
        h5py = require("h5py", f"{path}: reading .csd files", error=ManifestError)
        self.path = path
        self._last: tuple[str, tuple[np.ndarray, np.ndarray]] | None = None
        try:
            file = stack.enter_context(h5py.File(path, "r"))
            self.name = str(next(iter(file)))
            self._data: Any = file[self.name]["data"]
            self.keys = frozenset(self._data)
        except (OSError, KeyError, StopIteration, ValueError, TypeError) as error:
            reason = str(error).strip("'\" ").splitlines() or ["it is empty"]
            raise ManifestError(f"{path}: is not a computational sequence ({reason[0]}); fetch it again") from None

    def rows(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the features ``[n, dim]`` and intervals ``[n, 2]`` of one entry; the last result is cached.

        Raises:
            ManifestError: they have other shapes or cannot be read.
        """
        if self._last is None or self._last[0] != key:
            try:
                entry = self._data[key]
                found = np.asarray(entry["features"]), np.asarray(entry["intervals"], dtype=np.float64)
            except (KeyError, TypeError, ValueError, OSError) as error:
                raise ManifestError(f"{self.path}: {key}: features or intervals cannot be read ({error})") from None
            if found[0].ndim != 2 or found[1].shape != (len(found[0]), 2):
                shapes = f"{list(found[0].shape)} and {list(found[1].shape)}"
                raise ManifestError(f"{self.path}: {key}: features and intervals are {shapes}, not [n, dim] and [n, 2]")
            self._last = key, found
        return self._last[1]

    def within(self, segment: _Span) -> np.ndarray:
        """Return the rows of features whose interval has its middle in a segment."""
        if segment.video in self.keys:
            features, intervals = self.rows(segment.video)
            middle = intervals.mean(axis=1)
            chosen: np.ndarray = features[(middle >= segment.start) & (middle < segment.end)]
            return chosen
        key = f"{segment.video}[{segment.number}]"
        return self.rows(key)[0] if key in self.keys else np.empty((0, 0))


def _segments(labels: _Sequence) -> Iterator[_Span]:
    """Yield the segments ordered by video and time, numbered in this order unless their keys contain numbers."""
    for key in sorted(labels.keys, key=lambda key: (_split_key(key)[0], _split_key(key)[1] or 0)):
        video, number = _split_key(key)
        features, intervals = labels.rows(key)
        if number is not None and len(features) != 1:
            raise ManifestError(f"{labels.path}: {key}: has {len(features)} rows of labels, not one")
        for count, row in enumerate(np.argsort(intervals[:, 0], kind="stable")):
            start, end = (float(time) for time in intervals[row])
            values = tuple(float(value) for value in features[row])
            yield _Span(video, count if number is None else number, max(start, 0.0), end, values)


def _split_key(key: str) -> tuple[str, int | None]:
    match = _KEY.fullmatch(key)
    return (match[1], int(match[2])) if match else (key, None)


def _words(data: _Sequence, segment: _Span) -> str | None:
    cells = data.within(segment).ravel()
    words = [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell) for cell in cells]
    return " ".join(word for word in words if word != _PAUSE) or None


def _features(
    data: _Sequence, modality: str, shard: list[_Span], made: Callable[[], Path], first: int, notes: Counter[str]
) -> dict[_Span, FeatureRef]:
    """Write the features of some segments; return {segment: reference} for those that have features."""
    file = made() / "csd" / f"{modality}-{first // _CLIPS_PER_FILE:04d}.safetensors"
    arrays: dict[str, np.ndarray] = {}
    places: dict[_Span, FeatureRef] = {}
    for segment in shard:
        values = without_empty(data.within(segment).astype(np.float32), modality, notes)
        if values is None:
            notes[f"clips have no {modality}: the sequence has nothing in their time"] += 1
            continue
        name = f"{segment.video}{MARK}{segment.number}"
        arrays[name] = values
        places[segment] = FeatureRef(str(file), name)
    save_features(arrays, file)
    return places


def _folds(root: Path) -> dict[str, str]:
    """Return {video: part} from the SDK's list of folds, which is parsed but not executed."""
    listing = nearest(root, "cmu_mosei_std_folds.py", "cmu_mosi_std_folds.py")
    if listing is None:
        return {}
    found: dict[str, str] = {}
    try:
        for line in ast.parse(read_text(listing)).body:
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
                fold = line.targets[0].id.removeprefix("standard_").removesuffix("_fold")
                if fold in PARTS:
                    found.update((video, PARTS[fold]) for video in ast.literal_eval(line.value))
    except (SyntaxError, ValueError, TypeError) as error:
        raise ManifestError(f"{listing}: is not the SDK's list of folds ({error}); fetch it again") from None
    return found
