"""What the other segments of an input say about a voice: the baseline of its cues."""

from __future__ import annotations

from collections.abc import Mapping

from multiemo.inputs import Input
from multiemo.predict.segmentation.stream import Segment
from multiemo.preprocess.voice.baseline import VoiceBaseline
from multiemo.preprocess.voice.cues import MeasuredVoice, voice_cues
from multiemo.types import PROSODY_CHANNELS, Modality, SpeechSpec, WaveformSpec


class Companions:
    """Collects the voice cues of every segment, a few numbers each.

    Args:
        inputs: {modality: input} of the model.
    """

    def __init__(self, inputs: Mapping[Modality, Input]) -> None:
        spec = inputs["speech"].spec if "speech" in inputs else None
        self._spec = spec if isinstance(spec, SpeechSpec | WaveformSpec) and spec.prosody else None
        self._cues: dict[tuple[float, float], tuple[str | None, MeasuredVoice]] = {}

    def add(self, segment: Segment) -> None:
        """Add a segment of the input."""
        if self._spec is not None and "speech" in segment.inputs:
            cues = voice_cues(segment.inputs["speech"][:, -len(PROSODY_CHANNELS) :], self._spec.hop)
            if cues.known("pitch_level"):
                self._cues[segment.start, segment.end] = (segment.speaker, cues)

    def baseline(self, segment: Segment) -> VoiceBaseline | None:
        """The voice in the other segments of the same speaker; ``None`` if they are too few or too short.

        If the source of the words names no speakers, all voices of the input count as one.
        """
        others = [
            cues
            for place, (speaker, cues) in self._cues.items()
            if place != (segment.start, segment.end) and speaker == segment.speaker
        ]
        whose = "the rest of this input" if segment.speaker is None else "this speaker's own"
        return VoiceBaseline.fitted(others, whose)
