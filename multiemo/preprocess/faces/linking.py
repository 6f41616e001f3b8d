"""Linking of detected faces over the frames of a film to tracks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeAlias, TypeVar

from multiemo.arrays import Array
from multiemo.preprocess.faces.detection import Face

T = TypeVar("T")

#: A face that returns after more than this many seconds counts as a new one.
MAX_GAP_SECONDS = 2.0
#: Largest movement between two frames, in sizes of the face, and largest factor by which its size changes.
MAX_SHIFT = 1.0
MAX_GROWTH = 2.0

#: A face over time: (frame number, face in that frame) pairs.
Track: TypeAlias = list[tuple[int, Face]]


def link_faces(found: Sequence[Sequence[Face]], times: Array) -> list[Track]:
    """Link detections of consecutive frames that may be the same face, nearest first.

    Args:
        found: faces of each frame.
        times: ``[F]`` seconds of each frame.

    Returns:
        The tracks, in the order in which they begin.

    Example:
        >>> import numpy as np
        >>> a, b = Face((0, 0, 10, 10), 0.9), Face((1, 0, 11, 10), 0.9)
        >>> [[i for i, _ in track] for track in link_faces([[a], [b], []], np.array([0.0, 0.25, 0.5]))]
        [[0, 1]]
    """
    tracks: list[Track] = []
    for number, faces in enumerate(found):
        open_tracks = [t for t in tracks if times[number] - times[t[-1][0]] <= MAX_GAP_SECONDS]
        joined = match_faces([track[-1][1] for track in open_tracks], faces)
        for t, f in joined.items():
            open_tracks[t].append((number, faces[f]))
        taken = set(joined.values())
        tracks.extend([(number, face)] for f, face in enumerate(faces) if f not in taken)
    return tracks


def match_faces(known: Sequence[Face], found: Sequence[Face]) -> dict[int, int]:
    """Match found faces to known ones, nearest first.

    Args:
        known: faces where they were last seen.
        found: faces of a later picture.

    Returns:
        {index in ``known``: index in ``found``}. No index occurs twice.

    Example:
        >>> a, b = Face((0, 0, 10, 10), 0.9), Face((50, 0, 60, 10), 0.9)
        >>> match_faces([a], [b, Face((1, 0, 11, 10), 0.8)])
        {0: 1}
    """
    pairs = sorted(
        (distance, k, f)
        for k, old in enumerate(known)
        for f, new in enumerate(found)
        if (distance := _distance(old, new)) <= MAX_SHIFT
    )
    joined: dict[int, int] = {}
    taken: set[int] = set()
    for _, k, f in pairs:
        if k not in joined and f not in taken:
            joined[k] = f
            taken.add(f)
    return joined


def _distance(a: Face, b: Face) -> float:
    """Distance of two boxes in face sizes; infinite if their sizes differ too much."""
    small, large = sorted((max(a.side, 1e-6), max(b.side, 1e-6)))
    if large / small > MAX_GROWTH:
        return math.inf
    return math.dist(a.center, b.center) / large


def most_at_once(tracks: Iterable[Iterable[Hashable]]) -> int:
    """Largest number of faces seen at the same time. A face that leaves and returns is counted once.

    Args:
        tracks: for each face, the frames in which it was seen, as numbers or times.
    """
    return max(Counter(frame for track in tracks for frame in track).values(), default=0)


def subsample(track: Sequence[T], most: int) -> list[T]:
    """At most ``most`` sightings of a track, evenly spaced.

    Example:
        >>> subsample("abcdef", 3)
        ['b', 'd', 'f']
    """
    count = len(track)
    return list(track) if count <= most else [track[int((i + 0.5) * count / most)] for i in range(most)]
