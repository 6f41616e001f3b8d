"""Faces: aligned crops of the main person in a film or a still."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from multiemo.inputs.base import Input, InputOf, of_type
from multiemo.inputs.material import ClipMaterial, FacePositions, Pictures, PreparedInput, Request
from multiemo.preprocess.faces.crops import NO_FACE, FacePreprocessor
from multiemo.preprocess.faces.tracking import FaceTracker
from multiemo.registry import inputs
from multiemo.types import Absent, Clip, FaceSpec, InputSpec, Modality

#: Advice appended when a still shows no face.
_CROPPED_ADVICE = '; if the whole picture is a face crop, say so: --cropped, or "cropped": true in a manifest row'
#: Side of the crops that classic baselines describe, in pixels.
DESCRIBED_SIDE = 48


@inputs.register("face")
class FaceInput(InputOf[Pictures]):
    """Aligned face crops ``[F, 3, S, S]`` uint8 RGB.

    Args:
        modality: modality of the encoder.
        preprocessor: converts pictures to the crops of one person.
    """

    spec_type = FaceSpec
    raw = Pictures
    title: ClassVar[str] = "pictures"
    decodes = True
    spec: FaceSpec

    def __init__(self, modality: Modality, preprocessor: FacePreprocessor) -> None:
        self.modality, self.preprocessor, self.spec = modality, preprocessor, preprocessor.spec
        self.request = Request(fps=self.spec.fps, max_frames=self.spec.frames)

    @classmethod
    def from_spec(cls, modality: Modality, spec: InputSpec) -> Input:
        """As :meth:`Input.from_spec`, of a :class:`~multiemo.types.FaceSpec`."""
        return cls(modality, FacePreprocessor(of_type(spec, FaceSpec)))

    @classmethod
    def source(cls, clip: Clip, modality: Modality) -> str | Absent:
        """The path of the video or image."""
        return clip.video or clip.image or Absent("the row has neither video nor image")

    @classmethod
    def row_keys(cls, modality: Modality) -> str:
        """As :meth:`Input.row_keys`."""
        return "video or image"

    def fingerprint(self, clip: Clip) -> dict[str, object]:
        """The spec, and whether the pictures are crops already."""
        values = super().fingerprint(clip)
        return {**values, "cropped": True} if clip.cropped else values

    def take(self, material: ClipMaterial) -> Pictures | Absent:
        """The decoded pictures."""
        return material.pictures or Absent(material.why_not("video"))

    def make(self, raw: Pictures) -> PreparedInput | Absent:
        """The crops of the main face and its positions in the pictures."""
        track = self.preprocessor(raw.frames, raw.times, raw.cropped)
        if isinstance(track, Absent):
            return Absent(NO_FACE, _CROPPED_ADVICE) if raw.still and track.reason == NO_FACE else track
        return PreparedInput(track.crops, track.notes, FacePositions(track.times, track.boxes))

    def tracker(self) -> FaceTracker:
        """A tracker that uses the detector of this input."""
        return FaceTracker(self.spec, detector=self.preprocessor.detector)

    def baseline_input(self) -> Input:
        """The same input with crops of a fixed size."""
        return FaceInput(self.modality, FacePreprocessor(replace(self.spec, size=DESCRIBED_SIDE)))
