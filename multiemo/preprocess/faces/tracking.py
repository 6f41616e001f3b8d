"""Faces over time: detected on a schedule, followed by optical flow in between.

The whole picture is searched now and then; known faces are looked for where they are more often, which costs a quarter
(:mod:`~multiemo.preprocess.faces.local_search`), and followed from picture to picture
(:mod:`~multiemo.preprocess.faces.optical_flow`).

Frames come in one by one and need not be kept. What is handed out for a span is what
:class:`~multiemo.preprocess.faces.crops.FacePreprocessor` makes of the same frames, at a fraction of the cost: the same
detector, the same joining of detections, the same choice, the same crops.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from multiemo.arrays import Array, Pixels
from multiemo.preprocess.faces.active_speaker import Movement, mouth_motion
from multiemo.preprocess.faces.crops import crop_face
from multiemo.preprocess.faces.detection import Detector, Face, make_detector
from multiemo.preprocess.faces.frames import Frame
from multiemo.preprocess.faces.linking import MEMORY, match
from multiemo.preprocess.faces.local_search import LARGEST, detect_near
from multiemo.preprocess.faces.optical_flow import View, follow, is_cut, likeness, moved_face
from multiemo.preprocess.faces.quality import face_quality
from multiemo.preprocess.faces.selection import Person, Sighting, SpanFaces, SpanSightings, choose
from multiemo.types import Absent, FaceSpec

__all__ = ["FaceTracker", "Person", "SpanFaces"]

#: Seconds between two searches of the whole picture, where somebody is in it.
EVERY = 2.0
#: Longest time between them where nobody is in it, seconds.
IDLE = 1.0
#: Time after which known faces are looked for where they are, seconds.
REFRESH = 0.5
#: Shortest time between a detection and one that the schedule does not ask for, seconds.
RETRY = 0.2
#: A followed face that is less like the one detected (correlation of patches) has drifted.
DRIFTED = 0.5
#: Faces this much alike are one person, wherever they are.
ALIKE = 0.85
#: How far a timestamp may lie before the time at which a picture is wanted, seconds.
_ON_TIME = 0.002


@dataclass(slots=True)
class _Track:
    """One person: where the face is, and what was seen of it.

    Args:
        id: 1, 2, ...
        face: where it was last.
        time: when it was last there, seconds.
        patch: the face as it was last.
        model: the face as it was detected last.
        live: it is in the picture.
        cut: the scene has changed since it was seen, so that places mean nothing.
        confirmed: it was detected more than once.
    """

    id: int
    face: Face
    time: float
    patch: Pixels
    model: Pixels
    live: bool = True
    cut: bool = False
    confirmed: bool = False
    sightings: deque[Sighting] = field(default_factory=deque)
    movements: deque[Movement] = field(default_factory=deque)

    def detected(self, face: Face, view: View, time: float) -> None:
        """Take over what the detector says."""
        self.face, self.time, self.live, self.cut = face, time, True, False
        self.patch = self.model = view.patch(face)
        self.confirmed = True

    def missed(self) -> None:
        """The detector does not see the face; one that it saw only once was carried in vain."""
        self.live = False
        while not self.confirmed and self.sightings and self.sightings[-1].carried:
            self.sightings.pop()

    def forget(self, before: float) -> None:
        """Drop what lies before a time."""
        while self.sightings and self.sightings[0].time < before:
            self.sightings.popleft()
        while self.movements and self.movements[0].end < before:
            self.movements.popleft()


class FaceTracker:
    """Follows every face of a film; see :meth:`between` for what comes out.

    The whole picture is searched every ``every`` seconds, after a cut, and when a face is lost or has drifted; faces
    that are known are looked for where they are every :data:`REFRESH` seconds, a new one soon after it was found. In
    between they move by optical flow. A face that the detector does not find any more is gone; a person who is back
    within ``MEMORY`` seconds keeps the number. While fewer than two people are in the picture, only the frames of
    which crops are taken are looked at.

    Args:
        spec: what the encoder wants; ``spec.fps`` is how often crops are taken.
        every: seconds between searches of the whole picture; 0 detects in every frame.
        detector: the one that the spec names, where it has been made before.

    Raises:
        ConfigError: the spec names a detector that does not exist.
    """

    def __init__(self, spec: FaceSpec, *, every: float = EVERY, detector: Detector | None = None) -> None:
        self.spec, self.every = spec, every
        self.detector = detector or make_detector(
            spec.detector, size=spec.detector_size, min_score=spec.min_score, min_face=spec.min_face
        )
        self._ids = itertools.count(1)
        self._view: View | None = None
        self._time = -math.inf
        self._tracks: list[_Track] = []
        self._looks: deque[float] = deque()
        self._small: deque[tuple[float, float]] = deque()
        self._next_look = self._next_detection = self._next_search = self._last_detection = -math.inf

    def add(self, frame: Frame, time: float) -> None:
        """Take the next frame.

        Args:
            frame: of the film.
            time: seconds; a frame that is not later than the one before it is left out.
        """
        live = [track for track in self._tracks if track.live]
        detect = self.every == 0 or time >= self._next_detection
        look = time >= self._next_look - _ON_TIME
        if time <= self._time or not (detect or look or len(live) > 1):
            return
        view = View.of(frame)
        if self._view is not None and is_cut(self._view, view):
            for track in live:
                track.live, track.cut = False, True
            self._hurry(time)
        elif self._view is not None:
            self._carry(view, live, frame, time)
        if detect := detect or time >= self._next_detection:
            self._detect(frame, view, time)
        if look:
            self._look(frame, time, carried=not detect)
        self._view, self._time = view, time

    def between(self, start: float, end: float, voice: tuple[Array, Array] | None = None) -> SpanFaces | Absent:
        """The faces of a span, and the one to use.

        Args:
            start, end: seconds; of a still, both 0.
            voice: times (seconds, as those of the frames) and level (decibels or probability) of the voice, ``[K]``
                each; tells who of several people speaks.

        Returns:
            The faces, or :class:`~multiemo.types.Absent` with the reason.
        """
        low, high = self._window(start, end)
        seen = SpanSightings(
            start=start,
            looked=sum(low <= time < high for time in self._looks),
            sightings={
                track.id: inside
                for track in self._tracks
                if (inside := [s for s in track.sightings if low <= s.time < high])
            },
            movements={t.id: [m for m in t.movements if low <= m.begin and m.end < high] for t in self._tracks},
            too_small=max((share for time, share in self._small if low <= time < high), default=0.0),
        )
        return choose(seen, self.spec, voice)

    def forget(self, before: float) -> None:
        """Drop what was seen before a time, all but the last picture; later spans must not begin before it.

        Args:
            before: seconds.
        """
        before = min(before, self._looks[-1]) if self._looks else before
        while self._looks and self._looks[0] < before - _ON_TIME:
            self._looks.popleft()
        while self._small and self._small[0][0] < before - _ON_TIME:
            self._small.popleft()
        for track in self._tracks:
            track.forget(before - _ON_TIME)
        self._tracks = [t for t in self._tracks if t.live or t.sightings or self._time - t.time <= MEMORY]

    def _window(self, start: float, end: float) -> tuple[float, float]:
        """The times that belong to a span; where no picture begins in it, those of the picture that is shown."""
        low, high = start - _ON_TIME, max(end - _ON_TIME, start + _ON_TIME)
        if not any(low <= time < high for time in self._looks):
            shown = max((time for time in self._looks if time < low and start - time <= MEMORY), default=low)
            low = min(low, shown)
        return low, high

    def _hurry(self, time: float) -> None:
        """Search the whole picture as soon as may be."""
        self._next_search = self._next_detection = min(self._next_search, max(time, self._last_detection + RETRY))

    def _carry(self, view: View, live: list[_Track], frame: Frame, time: float) -> None:
        """Move the faces of the last frame to where they are in this one."""
        if self._view is None:
            return
        for track, face in zip(live, follow(self._view, view, [t.face for t in live]), strict=True):
            if face is None or not _inside(face, frame):
                track.live = False
                self._hurry(time)
                continue
            patch = view.patch(face)
            track.movements.append(Movement(self._time, time, mouth_motion(track.patch, patch)))
            track.face, track.patch = face, patch
            if likeness(track.model, patch) < DRIFTED:
                track.live = False
                self._hurry(time)
            else:
                track.time = time

    def _detect(self, frame: Frame, view: View, time: float) -> None:
        """Find the faces and say which are known."""
        picture = frame.rgb(self.spec.detector_size)
        scale = max(frame.height, frame.width) / max(picture.shape[:2])
        live = [moved_face(track.face, _scaling(1 / scale)) for track in self._tracks if track.live]
        near = detect_near(self.detector, picture, live) if live and time < self._next_search else None
        searched = near is None
        found = [moved_face(face, _scaling(scale)) for face in near or self.detector.detect(picture)]
        shorter = min(frame.height, frame.width)
        large = [face for face in found if face.side >= self.spec.min_face * shorter]
        if found and not large:
            self._small.append((time, max(face.side for face in found) / shorter))
        self._plan([face.side / scale for face in large], time, searched=searched)
        known = dict(self._recognise(large, view, time))
        for track in self._tracks:
            if track.live and track.id not in known.values():
                track.missed()
        tracks = {track.id: track for track in self._tracks}
        for f, face in enumerate(large):
            if f in known:
                tracks[known[f]].detected(face, view, time)
            else:
                patch = view.patch(face)
                self._tracks.append(_Track(next(self._ids), face, time, patch, patch))
                self._next_detection = min(self._next_detection, time + RETRY)

    def _plan(self, sides: list[float], time: float, *, searched: bool) -> None:
        """Say when to detect next; ``sides`` are those of the faces in the picture that the detector was handed."""
        self._last_detection = time
        fit = bool(sides) and max(sides) <= LARGEST
        if searched:
            self._next_search = time - _ON_TIME + (self.every if sides else min(self.every, IDLE))
        self._next_detection = min(self._next_search, time - _ON_TIME + REFRESH)
        if not fit:
            self._next_detection = self._next_search

    def _recognise(self, faces: list[Face], view: View, time: float) -> Iterator[tuple[int, int]]:
        """Pairs of a face's index and the id of the track that it belongs to: by place, then by looks."""
        recent = [t for t in self._tracks if time - t.time <= MEMORY]
        placed = [t for t in recent if not t.cut]
        joined = match([t.face for t in placed], faces)
        yield from ((f, placed[t].id) for t, f in joined.items())
        taken = {placed[t].id for t in joined}
        rest = [t for t in recent if t.id not in taken]
        for f, face in enumerate(faces):
            if f in joined.values() or not rest:
                continue
            patch = view.patch(face)
            alike, best = max(((likeness(t.model, patch), t) for t in rest), key=lambda pair: pair[0])
            if alike >= ALIKE:
                rest.remove(best)
                yield f, best.id

    def _look(self, frame: Frame, time: float, *, carried: bool) -> None:
        """Take a crop of every face."""
        step = 1.0 / self.spec.fps
        self._next_look = (math.floor((time + _ON_TIME) / step) + 1) * step
        self._looks.append(time)
        live = [track for track in self._tracks if track.live]
        if not live:
            return
        picture = frame.rgb()
        for track in live:
            crop = crop_face(picture, track.face, self.spec.size)
            track.sightings.append(Sighting(time, track.face, crop, face_quality(crop, track.face), carried))


def _scaling(factor: float) -> Array:
    return np.array([[factor, 0.0, 0.0], [0.0, factor, 0.0]])


def _inside(face: Face, frame: Frame) -> bool:
    """Whether the middle of a face is in the picture."""
    x, y = face.center
    return 0 <= x < frame.width and 0 <= y < frame.height
