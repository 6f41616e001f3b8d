"""Sound: speech as log-mel bands and prosody, or as the waveform that pretrained encoders read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from torch import Tensor

from multiemo.arrays import Floats
from multiemo.inputs.base import Input, InputOf, of_type
from multiemo.inputs.material import Audio, ClipMaterial, PreparedInput, Request
from multiemo.preprocess.voice.tensors import SpeechPreprocessor, WaveformPreprocessor
from multiemo.registry import inputs
from multiemo.types import Absent, Clip, InputSpec, Modality, SpeechSpec, WaveformSpec


class ReadsSound(Protocol):
    """A preprocessor of sound, or a substitute for one."""

    @property
    def spec(self) -> SpeechSpec | WaveformSpec:
        """Input specification of the encoder."""
        ...

    def __call__(self, audio: Floats, rate: int) -> Tensor | Absent:
        """Convert ``[N]`` samples at ``rate`` Hz to ``[T, ...]`` float32."""
        ...


class SoundInput(InputOf[Audio]):
    """Common part of both kinds of sound, which differ only in the tensor.

    Args:
        modality: modality of the encoder.
        preprocessor: converts samples to a tensor.
    """

    raw = Audio
    title: ClassVar[str] = "sound"
    decodes = True
    spec: SpeechSpec | WaveformSpec

    def __init__(self, modality: Modality, preprocessor: ReadsSound) -> None:
        self.modality, self.preprocessor, self.spec = modality, preprocessor, preprocessor.spec
        self.request = Request(sample_rate=self.spec.sample_rate)
        self.steps_per_unit = self.spec.rows_per_second

    @classmethod
    def source(cls, clip: Clip, modality: Modality) -> str | Absent:
        """The path of the audio or video file."""
        return clip.audio or clip.video or Absent("the row has neither audio nor video")

    @classmethod
    def row_keys(cls, modality: Modality) -> str:
        """As :meth:`Input.row_keys`."""
        return "audio or video"

    def take(self, material: ClipMaterial) -> Audio | Absent:
        """The decoded sound with its sample rate."""
        return material.audio or Absent(material.why_not("audio"))

    def make(self, raw: Audio) -> PreparedInput | Absent:
        """The tensor, with a note if only the beginning was read."""
        tensor = self.preprocessor(raw.samples, raw.rate)
        if isinstance(tensor, Absent):
            return tensor
        seconds, most = len(raw.samples) / raw.rate, self.spec.max_seconds
        if len(tensor) < self.spec.most_rows or seconds <= most:
            return PreparedInput(tensor)
        note = f"only the first {most:g} s of {seconds:.1f} s of voice were read (encoders.{self.modality}.max_seconds)"
        return PreparedInput(tensor, (note,))

    def cut_note(self, lengths: Sequence[int]) -> str | None:
        """A note with the number of clips that are longer than ``max_seconds``."""
        count = sum(length >= self.spec.most_rows for length in lengths)
        if not count:
            return None
        return (
            f"{self.modality}: only the first {self.spec.max_seconds:g} s are read of {count} of {len(lengths)} clips; "
            f"encoders.{self.modality}.max_seconds sets the limit"
        )

    def baseline_input(self) -> Input:
        """Mel bands and prosody of the same span, whatever the encoder reads."""
        spec = self.spec
        plain = SpeechSpec(sample_rate=spec.sample_rate, max_seconds=spec.max_seconds, trim=spec.trim)
        return SpeechInput(self.modality, SpeechPreprocessor(plain))


@inputs.register("speech")
class SpeechInput(SoundInput):
    """Log-mel bands and prosody channels, ``[T, M + P]`` float32."""

    spec_type = SpeechSpec

    @classmethod
    def from_spec(cls, modality: Modality, spec: InputSpec) -> Input:
        """As :meth:`Input.from_spec`, of a :class:`~multiemo.types.SpeechSpec`."""
        return cls(modality, SpeechPreprocessor(of_type(spec, SpeechSpec)))


@inputs.register("waveform")
class WaveformInput(SoundInput):
    """The samples, ``[N, 1]`` float32, or the samples of each row together with its prosody channels."""

    spec_type = WaveformSpec

    @classmethod
    def from_spec(cls, modality: Modality, spec: InputSpec) -> Input:
        """As :meth:`Input.from_spec`, of a :class:`~multiemo.types.WaveformSpec`."""
        return cls(modality, WaveformPreprocessor(of_type(spec, WaveformSpec)))
