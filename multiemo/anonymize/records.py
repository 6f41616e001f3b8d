"""What ``multiemo anonymize`` reports."""

from __future__ import annotations

from typing import Literal

from multiemo.anonymize.settings import FaceMethod, VoiceMethod, WordMethod
from multiemo.records import Record, record


@record
class FaceCounts(Record):
    """Faces in one film or picture.

    Args:
        frames: number of frames.
        frames_found: frames in which the detector found a face.
        frames_carried: frames in which it found none, and a region was carried over from frames nearby.
        frames_without: frames in which nothing was covered.
        faces: number of detections in all frames together.
        most_at_once: largest number of faces found in one frame.
    """

    frames: int
    frames_found: int
    frames_carried: int
    frames_without: int
    faces: int
    most_at_once: int


@record
class AnonymizedFile(Record):
    """One file that was written.

    Args:
        source: the original, as it was given: a path, or a path relative to the manifest's folder.
        out: the file that was written, relative to the output folder; the path itself for a single file.
        kind: ``film``, ``sound``, ``picture`` or ``transcript``.
        seconds: duration; absent for pictures and transcripts.
        faces: counts of faces, for films and pictures whose faces were not kept.
        whole_picture: the pictures are face crops and were covered as a whole.
        channels: number of channels of sound whose voices were changed.
        masked: {kind of word: number masked}, for transcripts.
        notes: what was left out or could not be read, one line each.
    """

    source: str
    out: str
    kind: Literal["film", "sound", "picture", "transcript"]
    seconds: float | None = None
    faces: FaceCounts | None = None
    whole_picture: bool | None = None
    channels: int | None = None
    masked: dict[str, int] | None = None
    notes: list[str]


@record
class AnonymizeReport(Record):
    """All files that were written, and the settings.

    Args:
        faces, voice, words: how each was protected.
        detector: name of the face detector.
        mcadams: McAdams coefficient; absent with another method.
        semitones: shift of the voice; absent with another method.
        files: one entry for each file, in the order of the input.
        rows: number of rows of the new manifest; absent without a manifest.
        masked: {kind of word: number masked} in the texts of the manifest.
        left_out: ids of rows that have nothing but precomputed features and were left out.
        notes: remarks, one line each.
    """

    faces: FaceMethod
    detector: str
    voice: VoiceMethod
    mcadams: float | None = None
    semitones: float | None = None
    words: WordMethod
    files: list[AnonymizedFile]
    rows: int | None = None
    masked: dict[str, int] | None = None
    left_out: list[str] | None = None
    notes: list[str]
