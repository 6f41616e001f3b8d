"""Computational sequences of CMU-MultimodalSDK: the ``.csd`` files of CMU-MOSI and CMU-MOSEI.

An HDF5 file with one group, called after what it holds (``All Labels``, ``words``, ``COVAREP``, ``FACET 4.2`` ...), in
it ``data/VIDEO/features`` ``[n, dim]`` and ``data/VIDEO/intervals`` ``[n, 2]`` in seconds; after the SDK's alignment
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

#: What a group's name begins with -> what it holds; of several for one modality the first of these is taken.
_HOLDS = {
    "all labels": "labels", "opinion segment labels": "labels", "words": "words", "glove": "text", "covarep": "speech",
    "opensmile": "speech", "facet 4.2": "face", "facet_4.2": "face", "openface": "face", "facet": "face",
}  # fmt: skip
#: The order of the columns of CMU-MOSEI's labels after the sentiment.
EMOTIONS = ("happy", "sad", "angry", "surprised", "disgusted", "fearful")
_KEY = re.compile(r"(.*)\[(\d+)\]")
#: A pause in the words.
_PAUSE = "sp"
#: Segments a file of features.
_SHARD = 256


@dataclass(frozen=True, slots=True)
class Sequences:
    """The files of a folder.

    Args:
        labels: the file with the segments.
        others: {``words`` or a modality: file}.
    """

    labels: Path
    others: Mapping[str, Path]


def find_sequences(root: Path, skip: Skip) -> Sequences | None:
    """The computational sequences below ``root``; ``None`` where no labels are among them.

    Raises:
        ManifestError: a file cannot be read, or h5py, which reads them, is not installed.
    """
    found: dict[str, tuple[int, Path]] = {}
    for path in walk(root, (".csd",)):
        with ExitStack() as stack:
            name = _Sequence(path, stack).name.lower()
        rank = next((rank for rank, start in enumerate(_HOLDS) if name.startswith(start)), None)
        kind = None if rank is None else list(_HOLDS.values())[rank]
        if kind is None or rank is None:
            skip(relative(path, root), f"holds {name!r}, which is neither labels, words nor features that are known")
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
    """The segments, with their words and features; these are written below ``made()``.

    A word or a row of features belongs to the segment that its middle lies in. Values that are not finite become 0, a
    row of zeros in the face is a frame without one and is taken out. The published part is read from the SDK's
    ``cmu_mosei_std_folds.py`` (``cmu_mosi_std_folds.py``) where that lies below ``root``.
    """
    part_of = _folds(root)
    notes: Counter[str] = Counter()
    with ExitStack() as stack:
        labels = _Sequence(sequences.labels, stack)
        others = {kind: _Sequence(path, stack) for kind, path in sequences.others.items()}
        words = others.pop("words", None)
        segments = list(_segments(labels))
        for first in range(0, len(segments), _SHARD):
            shard = segments[first : first + _SHARD]
            features = {m: _features(data, m, shard, made, first, notes) for m, data in others.items()}
            for one in shard:
                yield PickledSegment(
                    id=f"{one.video}{MARK}{one.number}",
                    part=part_of.get(one.video),
                    text=None if words is None else _words(words, one),
                    annotation="",
                    score=one.values[0],
                    scores={},
                    features={m: refs[one] for m, refs in features.items() if one in refs},
                    start=one.start,
                    end=one.end,
                )
    if not part_of:
        skip(str(root), "cmu_mosei_std_folds.py (cmu_mosi_std_folds.py) is not there, so no clip has a published part")
    for note, count in notes.items():
        skip(str(root), f"{count} {note}")


def present_emotions(sequences: Sequences) -> dict[tuple[str, str], tuple[str, ...]]:
    """{(video, segment): the emotions above 0}; empty where the labels are sentiment alone."""
    with ExitStack() as stack:
        rows = list(_segments(_Sequence(sequences.labels, stack)))
    return {
        (one.video, str(one.number)): tuple(label for label, v in zip(EMOTIONS, one.values[1:], strict=True) if v > 0)
        for one in rows
        if len(one.values) == 1 + len(EMOTIONS)
    }


@dataclass(frozen=True, slots=True)
class _Span:
    """A row of the labels."""

    video: str
    number: int
    start: float
    end: float
    values: tuple[float, ...]


class _Sequence:
    """An open file.

    Args:
        path: the file.
        stack: closes it.

    Raises:
        ManifestError: it is not a computational sequence, or h5py is not installed.
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
        """``[n, dim]`` features and ``[n, 2]`` intervals of one entry; the last one is kept.

        Raises:
            ManifestError: they are of another form.
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

    def within(self, one: _Span) -> np.ndarray:
        """The rows of features whose middle lies in a segment."""
        if one.video in self.keys:
            features, intervals = self.rows(one.video)
            middle = intervals.mean(axis=1)
            chosen: np.ndarray = features[(middle >= one.start) & (middle < one.end)]
            return chosen
        key = f"{one.video}[{one.number}]"
        return self.rows(key)[0] if key in self.keys else np.empty((0, 0))


def _segments(labels: _Sequence) -> Iterator[_Span]:
    """Segments in the order of their videos' names and their times, numbered in it unless their names number them."""
    for key in sorted(labels.keys, key=lambda key: (_place(key)[0], _place(key)[1] or 0)):
        video, number = _place(key)
        features, intervals = labels.rows(key)
        if number is not None and len(features) != 1:
            raise ManifestError(f"{labels.path}: {key}: has {len(features)} rows of labels, not one")
        for count, row in enumerate(np.argsort(intervals[:, 0], kind="stable")):
            start, end = (float(time) for time in intervals[row])
            values = tuple(float(value) for value in features[row])
            yield _Span(video, count if number is None else number, max(start, 0.0), end, values)


def _place(key: str) -> tuple[str, int | None]:
    match = _KEY.fullmatch(key)
    return (match[1], int(match[2])) if match else (key, None)


def _words(data: _Sequence, one: _Span) -> str | None:
    cells = data.within(one).ravel()
    said = [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell) for cell in cells]
    return " ".join(word for word in said if word != _PAUSE) or None


def _features(
    data: _Sequence, modality: str, shard: list[_Span], made: Callable[[], Path], first: int, notes: Counter[str]
) -> dict[_Span, FeatureRef]:
    """Write the features of some segments; where they are, without those that have none."""
    file = made() / "csd" / f"{modality}-{first // _SHARD:04d}.safetensors"
    arrays: dict[str, np.ndarray] = {}
    places: dict[_Span, FeatureRef] = {}
    for one in shard:
        values = without_empty(data.within(one).astype(np.float32), modality, notes)
        if values is None:
            notes[f"clips have no {modality}: the sequence has nothing in their time"] += 1
            continue
        name = f"{one.video}{MARK}{one.number}"
        arrays[name] = values
        places[one] = FeatureRef(str(file), name)
    save_features(arrays, file)
    return places


def _folds(root: Path) -> dict[str, str]:
    """{video: part} from the SDK's list of folds, which is read and not run."""
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
