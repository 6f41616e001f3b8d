"""Selection of faces in a span of a film: who is visible, whose face is used, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from multiemo.arrays import Array, Pixels
from multiemo.preprocess.faces.active_speaker import ActiveSpeaker, Movement, who_speaks
from multiemo.preprocess.faces.crops import MIN_SHARE, why_no_face, why_unsteady
from multiemo.preprocess.faces.detection import Face
from multiemo.preprocess.faces.linking import most_at_once, subsample
from multiemo.preprocess.faces.quality import MIN_QUALITY, Quality, unused_note, why_unusable
from multiemo.types import Absent, FaceSpec


@dataclass(frozen=True, slots=True)
class Sighting:
    """A face at one moment.

    Args:
        time: seconds.
        face: location of the face.
        crop: ``[S, S, 3]`` uint8 RGB, aligned.
        quality: quality of the crop.
        carried: whether the face was tracked there since the last detection instead of being detected.
    """

    time: float
    face: Face
    crop: Pixels
    quality: Quality
    carried: bool


@dataclass(frozen=True, slots=True)
class Person:
    """A person in a span.

    Args:
        id: 1, 2, ... in the order of first appearance; stable over the whole film.
        crops: ``[F, 3, S, S]`` uint8 RGB, aligned, in order of time; at most ``FaceSpec.frames``, evenly spaced.
        times: ``[F]`` seconds from the start of the span.
        boxes: ``[F, 4]`` x0, y0, x1, y1 in pixels of the frames.
        seen: share of the examined pictures in which this face was found, 0..1.
        quality: median score of the crops, 0..1.
        speaking: correlation of mouth and voice, -1..1; ``None`` if it was not measured.
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
        person: id of the chosen person.
        why: explanation of the choice.
        faces: largest number of faces seen at the same time, usable or not.
        notes: remarks for the user, one line each.
    """

    people: list[Person]
    person: int
    why: str
    faces: int
    notes: list[str] = field(default_factory=list)

    @property
    def chosen(self) -> Person:
        """The chosen person."""
        return next(p for p in self.people if p.id == self.person)

    @property
    def crops(self) -> Tensor:
        """Crops ``[F, 3, S, S]`` uint8 of the chosen person."""
        return self.chosen.crops

    @property
    def times(self) -> Array:
        """Times ``[F]`` of the chosen person's crops, seconds from the start of the span."""
        return self.chosen.times

    @property
    def boxes(self) -> Array:
        """Boxes ``[F, 4]`` of the chosen person's face, pixels of the frames."""
        return self.chosen.boxes

    @property
    def quality(self) -> float:
        """Median score of the chosen person's crops, 0..1."""
        return self.chosen.quality


@dataclass(frozen=True, slots=True)
class SpanSightings:
    """Everything that a tracker observed in a span.

    Args:
        start: start of the span, seconds.
        searched: number of pictures that were examined.
        sightings: {id: sightings in order of time}.
        movements: {id: movements of the mouth}.
        too_small: side of the largest face that was too small, as a share of the picture's shorter side.
    """

    start: float
    searched: int
    sightings: Mapping[int, Sequence[Sighting]]
    movements: Mapping[int, Sequence[Movement]]
    too_small: float


def choose(seen: SpanSightings, spec: FaceSpec, voice: tuple[Array, Array] | None) -> SpanFaces | Absent:
    """Choose a face in a span: if several are usable, the one that speaks, otherwise the largest and steadiest.

    Args:
        seen: observations in the span.
        spec: input specification of the encoder.
        voice: times in seconds, and level of the voice (decibels or probability), or ``None``.

    Returns:
        The faces, or :class:`~multiemo.types.Absent` with the reason.
    """
    if not seen.searched:
        return Absent("there are no video frames to look for a face in")
    if not seen.sightings:
        return Absent(why_no_face(seen.too_small, spec.min_face, seen.searched))
    ranked = sorted(seen.sightings, key=lambda i: -_weight(seen.sightings[i]))
    steady = [i for i in ranked if len(seen.sightings[i]) >= MIN_SHARE * seen.searched]
    if not steady:
        return Absent(why_unsteady(max(len(s) for s in seen.sightings.values()), seen.searched))
    usable = {i: good for i in steady if (good := [s for s in seen.sightings[i] if s.quality.score >= MIN_QUALITY])}
    if not usable:
        return Absent(why_unusable([s.quality for s in seen.sightings[steady[0]]]))
    speaker = _speaker(seen, list(usable), voice)
    people = [_person(i, good, seen, spec.frames, speaker) for i, good in usable.items()]
    main, why = people[0].id, "only face"
    if len(people) > 1:
        main, why = people[0].id, "largest and steadiest"
    if speaker is not None:
        main, why = (main, f"{why}; {speaker.why}") if speaker.person is None else (speaker.person, speaker.why)
    faces = most_at_once([s.time for s in sightings] for sightings in seen.sightings.values())
    return SpanFaces(people, main, why, faces, _notes(seen, main, len(usable[main]), faces, speaker))


def _weight(sightings: Sequence[Sighting]) -> float:
    """Size and steadiness of a face, as weighted in training. Unusable crops do not count."""
    return sum(s.face.side**2 * s.face.score for s in sightings if s.quality.score >= MIN_QUALITY)


def _speaker(seen: SpanSightings, ids: Sequence[int], voice: tuple[Array, Array] | None) -> ActiveSpeaker | None:
    if voice is None or len(ids) < 2:
        return None
    return who_speaks({i: seen.movements.get(i, ()) for i in ids}, *voice)


def _person(number: int, good: list[Sighting], seen: SpanSightings, most: int, speaker: ActiveSpeaker | None) -> Person:
    chosen = subsample(good, most)
    crops = np.stack([s.crop for s in chosen]).transpose(0, 3, 1, 2)
    return Person(
        id=number,
        crops=torch.from_numpy(np.ascontiguousarray(crops)),
        times=np.array([max(0.0, s.time - seen.start) for s in chosen]),
        boxes=np.array([s.face.box for s in chosen]),
        seen=len(seen.sightings[number]) / seen.searched,
        quality=float(np.median([s.quality.score for s in chosen])),
        speaking=None if speaker is None else speaker.scores.get(number),
    )


def _notes(seen: SpanSightings, main: int, usable: int, faces: int, speaker: ActiveSpeaker | None) -> list[str]:
    """Remarks for the user, in the same words as in training where the case is the same."""
    notes, sightings = [], seen.sightings[main]
    if faces > 1 and speaker is not None and speaker.person is not None:
        notes.append(f"{faces} faces found; the one whose {speaker.why} was used")
    elif faces > 1:
        notes.append(f"{faces} faces found; the largest and steadiest was used")
    if len(sightings) < seen.searched:
        notes.append(f"the face was found in {len(sightings)} of {seen.searched} frames")
    if usable < len(sightings):
        notes.append(unused_note([s.quality for s in sightings], usable))
    return notes
