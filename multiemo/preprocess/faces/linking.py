"""Detected faces joined over the frames of a film: tracks, how many there are at once, and a few of their sightings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeAlias, TypeVar

from multiemo.arrays import Array
from multiemo.preprocess.faces.detection import Face

T = TypeVar("T")

#: A face that has not been seen for this long (seconds) is a new one when it comes back.
MEMORY = 2.0
#: A face moves at most this many times its own size between two frames, and grows or shrinks at most by GROWTH.
REACH = 1.0
GROWTH = 2.0

#: A face over time: the number of each frame, and the face in it.
Track: TypeAlias = list[tuple[int, Face]]


def link(found: Sequence[Sequence[Face]], times: Array) -> list[Track]:
    """Join detections that can be the same face in consecutive frames, nearest first.

    Args:
        found: the faces of each frame.
        times: ``[F]`` seconds of each frame.

    Returns:
        Tracks, in the order in which they begin.

    Example:
        >>> import numpy as np
        >>> a, b = Face((0, 0, 10, 10), 0.9), Face((1, 0, 11, 10), 0.9)
        >>> [[i for i, _ in track] for track in link([[a], [b], []], np.array([0.0, 0.25, 0.5]))]
        [[0, 1]]
    """
    tracks: list[Track] = []
    for number, faces in enumerate(found):
        open_tracks = [t for t in tracks if times[number] - times[t[-1][0]] <= MEMORY]
        joined = match([track[-1][1] for track in open_tracks], faces)
        for t, f in joined.items():
            open_tracks[t].append((number, faces[f]))
        taken = set(joined.values())
        tracks.extend([(number, face)] for f, face in enumerate(faces) if f not in taken)
    return tracks


def match(known: Sequence[Face], found: Sequence[Face]) -> dict[int, int]:
    """Which of the found faces can be which known one, nearest first.

    Args:
        known: faces where they were last seen.
        found: faces of a later picture.

    Returns:
        {index in ``known``: index in ``found``}; none is used twice.

    Example:
        >>> a, b = Face((0, 0, 10, 10), 0.9), Face((50, 0, 60, 10), 0.9)
        >>> match([a], [b, Face((1, 0, 11, 10), 0.8)])
        {0: 1}
    """
    pairs = sorted(
        (distance, k, f)
        for k, old in enumerate(known)
        for f, new in enumerate(found)
        if (distance := _distance(old, new)) <= REACH
    )
    joined: dict[int, int] = {}
    taken: set[int] = set()
    for _, k, f in pairs:
        if k not in joined and f not in taken:
            joined[k] = f
            taken.add(f)
    return joined


def _distance(a: Face, b: Face) -> float:
    """How far apart two boxes are, in face sizes; infinite where the sizes do not fit."""
    small, large = sorted((max(a.side, 1e-6), max(b.side, 1e-6)))
    if large / small > GROWTH:
        return math.inf
    return math.dist(a.center, b.center) / large


def at_once(tracks: Iterable[Iterable[Hashable]]) -> int:
    """Faces seen at once at most; one that leaves and comes back is not counted twice.

    Args:
        tracks: for each face, the frames in which it was seen, by number or time.
    """
    return max(Counter(frame for track in tracks for frame in track).values(), default=0)


def thin(track: Sequence[T], most: int) -> list[T]:
    """At most ``most`` of a track's sightings, each from the middle of its share of them.

    Example:
        >>> thin("abcdef", 3)
        ['b', 'd', 'f']
    """
    count = len(track)
    return list(track) if count <= most else [track[int((i + 0.5) * count / most)] for i in range(most)]
