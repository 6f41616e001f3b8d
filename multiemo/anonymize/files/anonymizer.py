"""Protect one file of any kind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from multiemo.anonymize.faces.finding import face_detector
from multiemo.anonymize.files.film import write_film
from multiemo.anonymize.files.kinds import FileKind
from multiemo.anonymize.files.picture import write_picture
from multiemo.anonymize.files.sound import write_sound
from multiemo.anonymize.files.transcript import write_transcript
from multiemo.anonymize.records import AnonymizedFile
from multiemo.anonymize.settings import Settings
from multiemo.anonymize.voice.protection import VoiceProtection
from multiemo.anonymize.words.masking import Masker
from multiemo.preprocess.faces.detection import Detector
from multiemo.progress import Progress
from multiemo.transcripts import read_transcript


@dataclass
class Anonymizer:
    """Writes protected copies of files.

    Args:
        settings: how everything is protected.
        progress: receives the number of frames of films.
    """

    settings: Settings
    progress: Progress

    def __post_init__(self) -> None:
        self.masker = Masker(self.settings.words)
        self._voice = VoiceProtection(self.settings.voice, self.settings.mcadams, self.settings.semitones)

    @cached_property
    def detector(self) -> Detector:
        """The face detector."""
        return face_detector(self.settings.detector)

    def write(
        self, source: Path, out: Path, kind: FileKind, *, names: tuple[str, str], cropped: bool
    ) -> AnonymizedFile:
        """Write a protected copy of a file.

        Args:
            source: the original.
            out: the file to write; its ending determines the format.
            kind: what the original is.
            names: of the original and of the copy, for the report.
            cropped: pictures are face crops and are covered as a whole.

        Raises:
            MediaError: the original cannot be read, or the copy cannot be written.
        """
        about = {"source": names[0], "out": names[1], "kind": kind}
        whole = True if cropped and self.settings.faces != "keep" else None
        if kind == "transcript":
            transcript = read_transcript(source)
            masked = write_transcript(transcript, out, self.masker)
            return AnonymizedFile.of(about, masked=masked, notes=list(transcript.notes))
        if kind == "sound":
            sound = write_sound(source, out, self._voice)
            return AnonymizedFile.of(
                about, seconds=sound.seconds, channels=self._changed(sound.channels), notes=sound.notes
            )
        if kind == "picture":
            counts, notes = write_picture(
                source, out, detector=self.detector, method=self.settings.faces, cropped=cropped
            )
            return AnonymizedFile.of(about, faces=counts, whole_picture=whole, notes=notes)
        film = write_film(
            source,
            out,
            detector=self.detector,
            method=self.settings.faces,
            voice=self._voice,
            cropped=cropped,
            progress=self.progress,
        )
        return AnonymizedFile.of(
            about,
            seconds=film.seconds,
            faces=film.faces,
            whole_picture=whole,
            channels=self._changed(film.channels),
            notes=film.notes,
        )

    def _changed(self, channels: int) -> int | None:
        return channels if channels and self.settings.voice != "keep" else None
