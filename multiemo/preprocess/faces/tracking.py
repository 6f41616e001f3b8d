"""Tracking of faces over time: detected on a schedule, tracked by optical flow in between.

The whole picture is searched rarely. Known faces are searched near their positions more often, at a quarter of the cost
(:mod:`~multiemo.preprocess.faces.local_search`), and tracked from picture to picture
(:mod:`~multiemo.preprocess.faces.optical_flow`).

Frames are added one by one and need not be kept. The result for a span equals that of
:class:`~multiemo.preprocess.faces.crops.FacePreprocessor` for the same frames at a fraction of the cost: the detector,
the linking of detections, the choice and the crops are the same.
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
from multiemo.preprocess.faces.linking import MAX_GAP_SECONDS, match_faces
from multiemo.preprocess.faces.local_search import LARGEST, detect_near
from multiemo.preprocess.faces.optical_flow import View, follow, is_cut, moved_face, patch_correlation
from multiemo.preprocess.faces.quality import face_quality
from multiemo.preprocess.faces.selection import Person, Sighting, SpanFaces, SpanSightings, choose
from multiemo.types import Absent, FaceSpec

__all__ = ["FaceTracker", "Person", "SpanFaces"]

#: Interval between two searches of the whole picture while faces are visible, seconds.
SEARCH_INTERVAL = 2.0
#: Longest such interval while no face is visible, seconds.
IDLE_SEARCH_INTERVAL = 1.0
#: Interval between two searches for known faces near their positions, seconds.
REFRESH_INTERVAL = 0.5
#: Shortest interval between a detection and an unscheduled one, seconds.
RETRY_INTERVAL = 0.2
#: A tracked face has drifted if its patch correlates less than this with the detected one.
MIN_TRACKED_CORRELATION = 0.5
#: Two faces are the same person, wherever they are, if their patches correlate at least this much.
MIN_PERSON_CORRELATION = 0.85
#: Tolerance of a timestamp before the time at which a picture is due, seconds.
_TIME_TOLERANCE = 0.002


@dataclass(slots=True)
class _Track:
    """One person: where the face is, and what was seen of it.

    Args:
        id: 1, 2, ...
        face: last location.
        time: time of the last location, seconds.
        patch: the face as last seen.
        model: the face as last detected.
        live: whether it is in the picture.
        cut: whether the scene has changed since it was seen, so that its location is meaningless.
        confirmed: whether it was detected more than once.
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
        """Update the track with a detection."""
        self.face, self.time, self.live, self.cut = face, time, True, False
        self.patch = self.model = view.patch(face)
        self.confirmed = True

    def missed(self) -> None:
        """End the track after a failed detection. If it was detected only once, its tracked sightings are dropped."""
        self.live = False
        while not self.confirmed and self.sightings and self.sightings[-1].carried:
            self.sightings.pop()

    def forget(self, before: float) -> None:
        """Drop everything before a time, in seconds."""
        while self.sightings and self.sightings[0].time < before:
            self.sightings.popleft()
        while self.movements and self.movements[0].end < before:
            self.movements.popleft()


class FaceTracker:
    """Tracks every face of a film. :meth:`between` returns the results.

    The whole picture is searched every ``every`` seconds, after a cut, and when a face is lost or has drifted. Known
    faces are searched near their positions every :data:`REFRESH_INTERVAL` seconds, a new one soon after it was found.
    In between they are tracked by optical flow. A track ends when the detector no longer finds the face; a person who
    returns within ``MAX_GAP_SECONDS`` keeps the number. While fewer than two people are visible, only frames of which
    crops are taken are processed.

    Args:
        spec: input specification of the encoder; ``spec.fps`` is the rate at which crops are taken.
        every: seconds between searches of the whole picture; 0 detects in every frame.
        detector: the detector that the spec names, if it has already been built.

    Raises:
        ConfigError: the detector in the spec does not exist.
    """

    def __init__(self, spec: FaceSpec, *, every: float = SEARCH_INTERVAL, detector: Detector | None = None) -> None:
        self.spec, self.every = spec, every
        self.detector = detector or make_detector(
            spec.detector, size=spec.detector_size, min_score=spec.min_score, min_face=spec.min_face
        )
        self._ids = itertools.count(1)
        self._view: View | None = None
        self._time = -math.inf
        self._tracks: list[_Track] = []
        self._crop_times: deque[float] = deque()
        self._too_small: deque[tuple[float, float]] = deque()
        self._next_crop = self._next_detection = self._next_search = self._last_detection = -math.inf

    def add(self, frame: Frame, time: float) -> None:
        """Process the next frame.

        Args:
            frame: a frame of the film.
            time: seconds; a frame that is not later than the previous one is ignored.
        """
        live = [track for track in self._tracks if track.live]
        detect = self.every == 0 or time >= self._next_detection
        crop_due = time >= self._next_crop - _TIME_TOLERANCE
        if time <= self._time or not (detect or crop_due or len(live) > 1):
            return
        view = View.of(frame)
        if self._view is not None and is_cut(self._view, view):
            for track in live:
                track.live, track.cut = False, True
            self._search_soon(time)
        elif self._view is not None:
            self._follow(view, live, frame, time)
        if detect := detect or time >= self._next_detection:
            self._detect(frame, view, time)
        if crop_due:
            self._take_crops(frame, time, carried=not detect)
        self._view, self._time = view, time

    def between(self, start: float, end: float, voice: tuple[Array, Array] | None = None) -> SpanFaces | Absent:
        """The faces of a span, and the one to use.

        Args:
            start: start of the span, seconds; 0 for a still.
            end: end of the span, seconds; 0 for a still.
            voice: times (seconds, on the clock of the frames) and level (decibels or probability) of the voice, ``[K]``
                each; used to decide which of several people speaks.

        Returns:
            The faces, or :class:`~multiemo.types.Absent` with the reason.
        """
        low, high = self._window(start, end)
        seen = SpanSightings(
            start=start,
            searched=sum(low <= time < high for time in self._crop_times),
            sightings={
                track.id: inside
                for track in self._tracks
                if (inside := [s for s in track.sightings if low <= s.time < high])
            },
            movements={t.id: [m for m in t.movements if low <= m.begin and m.end < high] for t in self._tracks},
            too_small=max((share for time, share in self._too_small if low <= time < high), default=0.0),
        )
        return choose(seen, self.spec, voice)

    def forget(self, before: float) -> None:
        """Drop everything before a time except the last picture. Later spans must not begin before it.

        Args:
            before: seconds.
        """
        before = min(before, self._crop_times[-1]) if self._crop_times else before
        while self._crop_times and self._crop_times[0] < before - _TIME_TOLERANCE:
            self._crop_times.popleft()
        while self._too_small and self._too_small[0][0] < before - _TIME_TOLERANCE:
            self._too_small.popleft()
        for track in self._tracks:
            track.forget(before - _TIME_TOLERANCE)
        self._tracks = [t for t in self._tracks if t.live or t.sightings or self._time - t.time <= MAX_GAP_SECONDS]

    def _window(self, start: float, end: float) -> tuple[float, float]:
        """The time range of a span. If no picture begins in it, the range is extended to the picture being shown."""
        low, high = start - _TIME_TOLERANCE, max(end - _TIME_TOLERANCE, start + _TIME_TOLERANCE)
        if not any(low <= time < high for time in self._crop_times):
            shown = max(
                (time for time in self._crop_times if time < low and start - time <= MAX_GAP_SECONDS), default=low
            )
            low = min(low, shown)
        return low, high

    def _search_soon(self, time: float) -> None:
        """Schedule a search of the whole picture as soon as possible."""
        self._next_search = self._next_detection = min(
            self._next_search, max(time, self._last_detection + RETRY_INTERVAL)
        )

    def _follow(self, view: View, live: list[_Track], frame: Frame, time: float) -> None:
        """Move the faces of the last frame to their positions in this one."""
        if self._view is None:
            return
        for track, face in zip(live, follow(self._view, view, [t.face for t in live]), strict=True):
            if face is None or not _inside(face, frame):
                track.live = False
                self._search_soon(time)
                continue
            patch = view.patch(face)
            track.movements.append(Movement(self._time, time, mouth_motion(track.patch, patch)))
            track.face, track.patch = face, patch
            if patch_correlation(track.model, patch) < MIN_TRACKED_CORRELATION:
                track.live = False
                self._search_soon(time)
            else:
                track.time = time

    def _detect(self, frame: Frame, view: View, time: float) -> None:
        """Detect faces and match them to the known ones."""
        picture = frame.rgb(self.spec.detector_size)
        scale = max(frame.height, frame.width) / max(picture.shape[:2])
        live = [moved_face(track.face, _scaling(1 / scale)) for track in self._tracks if track.live]
        nearby = detect_near(self.detector, picture, live) if live and time < self._next_search else None
        searched = nearby is None
        found = [moved_face(face, _scaling(scale)) for face in nearby or self.detector.detect(picture)]
        shorter = min(frame.height, frame.width)
        large = [face for face in found if face.side >= self.spec.min_face * shorter]
        if found and not large:
            self._too_small.append((time, max(face.side for face in found) / shorter))
        self._schedule([face.side / scale for face in large], time, searched=searched)
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
                self._next_detection = min(self._next_detection, time + RETRY_INTERVAL)

    def _schedule(self, sides: list[float], time: float, *, searched: bool) -> None:
        """Schedule the next detection. ``sides`` are those of the faces, in pixels of the detector's picture."""
        self._last_detection = time
        fit = bool(sides) and max(sides) <= LARGEST
        if searched:
            self._next_search = (
                time - _TIME_TOLERANCE + (self.every if sides else min(self.every, IDLE_SEARCH_INTERVAL))
            )
        self._next_detection = min(self._next_search, time - _TIME_TOLERANCE + REFRESH_INTERVAL)
        if not fit:
            self._next_detection = self._next_search

    def _recognise(self, faces: list[Face], view: View, time: float) -> Iterator[tuple[int, int]]:
        """Match faces to tracks, by position and then by appearance. Yields (index of the face, id of the track)."""
        recent = [t for t in self._tracks if time - t.time <= MAX_GAP_SECONDS]
        placed = [t for t in recent if not t.cut]
        joined = match_faces([t.face for t in placed], faces)
        yield from ((f, placed[t].id) for t, f in joined.items())
        taken = {placed[t].id for t in joined}
        rest = [t for t in recent if t.id not in taken]
        for f, face in enumerate(faces):
            if f in joined.values() or not rest:
                continue
            patch = view.patch(face)
            alike, best = max(((patch_correlation(t.model, patch), t) for t in rest), key=lambda pair: pair[0])
            if alike >= MIN_PERSON_CORRELATION:
                rest.remove(best)
                yield f, best.id

    def _take_crops(self, frame: Frame, time: float, *, carried: bool) -> None:
        """Take a crop of every visible face."""
        step = 1.0 / self.spec.fps
        self._next_crop = (math.floor((time + _TIME_TOLERANCE) / step) + 1) * step
        self._crop_times.append(time)
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
    """Whether the centre of a face is in the picture."""
    x, y = face.center
    return 0 <= x < frame.width and 0 <= y < frame.height
