"""Find the region of every face in every frame of a film, also where the detector misses it for a moment."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from multiemo.anonymize.faces.covering import Box, enlarged
from multiemo.arrays import Array
from multiemo.preprocess.faces.detection import Detector, Face, make_detector
from multiemo.preprocess.faces.linking import link_faces

#: Longer side of the picture passed to the detector, pixels, and smallest confidence of a face. A missed face is worse
#: than a covered lamp, so they are stricter than for recognition.
DETECTOR_SIZE, MIN_SCORE = 640, 0.3
#: A face is covered for this many seconds before it is first found and after it is last found.
HOLD = 0.5
#: Factor by which a box is enlarged where it was not found but carried over from other frames.
CARRIED = 1.25


def face_detector(name: str) -> Detector:
    """The detector for anonymisation, which finds faces of any size.

    Args:
        name: as in :func:`multiemo.preprocess.faces.detection.make_detector`.

    Raises:
        ConfigError: the detector does not exist.
    """
    return make_detector(name, size=DETECTOR_SIZE, min_score=MIN_SCORE, min_face=0.0)


def regions(found: Sequence[Sequence[Face]], times: Array) -> list[list[Box]]:
    """The boxes to cover in each frame: those found, and those carried over gaps and beyond the ends of each track.

    A gap of up to :data:`multiemo.preprocess.faces.linking.MAX_GAP_SECONDS` is filled by interpolation.

    Args:
        found: faces found in each frame.
        times: ``[F]`` seconds of each frame, ascending.
    """
    boxes: list[list[Box]] = [[face.box for face in faces] for faces in found]
    seconds = times.tolist()
    for track in link_faces(found, times):
        for (before, old), (after, new) in pairwise(track):
            for number in range(before + 1, after):
                share = (seconds[number] - seconds[before]) / max(seconds[after] - seconds[before], 1e-9)
                boxes[number].append(enlarged(_between(old.box, new.box, share), CARRIED))
        (first, start), (last, end) = track[0], track[-1]
        for number in range(bisect_left(seconds, seconds[first] - HOLD), first):
            boxes[number].append(enlarged(start.box, CARRIED))
        for number in range(last + 1, bisect_right(seconds, seconds[last] + HOLD)):
            boxes[number].append(enlarged(end.box, CARRIED))
    return boxes


def _between(a: Box, b: Box, share: float) -> Box:
    x0, y0, x1, y1 = (u + (v - u) * share for u, v in zip(a, b, strict=True))
    return x0, y0, x1, y1
