"""The faces that a span of a film shows: who is there, whose face is used, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from multiemo.arrays import Array, Pixels
from multiemo.preprocess.faces.active_speaker import ActiveSpeaker, Movement, who_speaks
from multiemo.preprocess.faces.crops import MIN_SHARE, why_none, why_unsteady
from multiemo.preprocess.faces.detection import Face
from multiemo.preprocess.faces.linking import at_once, thin
from multiemo.preprocess.faces.quality import FLOOR, Quality, left_out, why_unusable
from multiemo.types import Absent, FaceSpec


@dataclass(frozen=True, slots=True)
class Sighting:
    """A face at one moment.

    Args:
        time: seconds.
        face: where it was.
        crop: ``[S, S, 3]`` uint8 RGB, aligned.
        quality: of the crop.
        carried: followed there since the last detection, not detected itself.
    """

    time: float
    face: Face
    crop: Pixels
    quality: Quality
    carried: bool


@dataclass(frozen=True, slots=True)
class Person:
    """One of the people in a span.

    Args:
        id: 1, 2, ... in the order in which they were first seen; the same over the whole film.
        crops: ``[F, 3, S, S]`` uint8 RGB, aligned, in order of time; at most ``FaceSpec.frames``, evenly spread.
        times: ``[F]`` seconds from the span's start.
        boxes: ``[F, 4]`` x0, y0, x1, y1 in pixels of the frames.
        seen: share of the pictures looked at in which this face was found, 0..1.
        quality: median score of the crops, 0..1.
        speaking: correlation of mouth and voice, -1..1; ``None`` where it was not measured.
    """

    id: int
    crops: Tensor
    times: Array
    boxes: Array
    seen: float
    quality: float
    speaking: float | None = None


@dataclass(frozen=True, slots=True)
class SpanFaces:
    """The faces of a span.

    Args:
        people: everybody whose face can be used, the largest and steadiest first.
        person: id of the one that was chosen.
        why: how the choice was made.
        faces: how many faces are seen at once at most, usable or not.
        notes: what the user may want to know, one line each.
    """

    people: list[Person]
    person: int
    why: str
    faces: int
    notes: list[str] = field(default_factory=list)

    @property
    def chosen(self) -> Person:
        """The person that was chosen."""
        return next(p for p in self.people if p.id == self.person)

    @property
    def crops(self) -> Tensor:
        """``[F, 3, S, S]`` uint8 of the chosen person."""
        return self.chosen.crops

    @property
    def times(self) -> Array:
        """``[F]`` seconds from the span's start, of the chosen person's crops."""
        return self.chosen.times

    @property
    def boxes(self) -> Array:
        """``[F, 4]`` of the chosen person's crops, pixels of the frames."""
        return self.chosen.boxes

    @property
    def quality(self) -> float:
        """Median score of the chosen person's crops, 0..1."""
        return self.chosen.quality


@dataclass(frozen=True, slots=True)
class SpanSightings:
    """What a tracker saw in a span.

    Args:
        start: of the span, seconds.
        looked: pictures in which faces were looked for.
        sightings: {id: in order of time}.
        movements: {id: of the mouth}.
        too_small: side of the largest face that was too small to take, as a share of the picture's shorter side.
    """

    start: float
    looked: int
    sightings: Mapping[int, Sequence[Sighting]]
    movements: Mapping[int, Sequence[Movement]]
    too_small: float


def choose(seen: SpanSightings, spec: FaceSpec, voice: tuple[Array, Array] | None) -> SpanFaces | Absent:
    """The faces of a span and the one to use: of several, the one that speaks, else the largest and steadiest.

    Args:
        seen: in the span.
        spec: what the encoder wants.
        voice: times in seconds and level of the voice (decibels or probability), or ``None``.

    Returns:
        The faces, or :class:`~multiemo.types.Absent` with the reason.
    """
    if not seen.looked:
        return Absent("there are no video frames to look for a face in")
    if not seen.sightings:
        return Absent(why_none(seen.too_small, spec.min_face, seen.looked))
    ranked = sorted(seen.sightings, key=lambda i: -_weight(seen.sightings[i]))
    steady = [i for i in ranked if len(seen.sightings[i]) >= MIN_SHARE * seen.looked]
    if not steady:
        return Absent(why_unsteady(max(len(s) for s in seen.sightings.values()), seen.looked))
    usable = {i: good for i in steady if (good := [s for s in seen.sightings[i] if s.quality.score >= FLOOR])}
    if not usable:
        return Absent(why_unusable([s.quality for s in seen.sightings[steady[0]]]))
    speaker = _speaker(seen, list(usable), voice)
    people = [_person(i, good, seen, spec.frames, speaker) for i, good in usable.items()]
    main, why = people[0].id, "only face"
    if len(people) > 1:
        main, why = people[0].id, "largest and steadiest"
    if speaker is not None:
        main, why = (main, f"{why}; {speaker.why}") if speaker.person is None else (speaker.person, speaker.why)
    faces = at_once([s.time for s in sightings] for sightings in seen.sightings.values())
    return SpanFaces(people, main, why, faces, _notes(seen, main, len(usable[main]), faces, speaker))


def _weight(sightings: Sequence[Sighting]) -> float:
    """How large and steady a face is, as the training path weighs it; unusable crops do not count."""
    return sum(s.face.side**2 * s.face.score for s in sightings if s.quality.score >= FLOOR)


def _speaker(seen: SpanSightings, ids: Sequence[int], voice: tuple[Array, Array] | None) -> ActiveSpeaker | None:
    if voice is None or len(ids) < 2:
        return None
    return who_speaks({i: seen.movements.get(i, ()) for i in ids}, *voice)


def _person(number: int, good: list[Sighting], seen: SpanSightings, most: int, speaker: ActiveSpeaker | None) -> Person:
    chosen = thin(good, most)
    crops = np.stack([s.crop for s in chosen]).transpose(0, 3, 1, 2)
    return Person(
        id=number,
        crops=torch.from_numpy(np.ascontiguousarray(crops)),
        times=np.array([max(0.0, s.time - seen.start) for s in chosen]),
        boxes=np.array([s.face.box for s in chosen]),
        seen=len(seen.sightings[number]) / seen.looked,
        quality=float(np.median([s.quality.score for s in chosen])),
        speaking=None if speaker is None else speaker.scores.get(number),
    )


def _notes(seen: SpanSightings, main: int, usable: int, faces: int, speaker: ActiveSpeaker | None) -> list[str]:
    """In the training path's words where the case is the same."""
    notes, sightings = [], seen.sightings[main]
    if faces > 1 and speaker is not None and speaker.person is not None:
        notes.append(f"{faces} faces found; the one whose {speaker.why} was used")
    elif faces > 1:
        notes.append(f"{faces} faces found; the largest and steadiest was used")
    if len(sightings) < seen.looked:
        notes.append(f"the face was found in {len(sightings)} of {seen.looked} frames")
    if usable < len(sightings):
        notes.append(left_out([s.quality for s in sightings], usable))
    return notes
