"""What the other segments of an input say about a voice: the baseline of the rules for its tone."""

from __future__ import annotations

import math
from collections.abc import Mapping

from multiemo.inputs import Input
from multiemo.predict.segmentation.stream import Segment
from multiemo.preprocess.voice.cues import VoiceCues, voice_cues
from multiemo.rules.deviations import CueBaseline
from multiemo.types import PROSODY_CHANNELS, Modality, SpeechSpec, WaveformSpec

#: Fewest other segments with a voice that make a baseline.
_FEWEST = 3


class Companions:
    """Collects the voice cues of every segment, a few numbers each.

    Args:
        inputs: {modality: input} of the model.
    """

    def __init__(self, inputs: Mapping[Modality, Input]) -> None:
        spec = inputs["speech"].spec if "speech" in inputs else None
        self._spec = spec if isinstance(spec, SpeechSpec | WaveformSpec) and spec.prosody else None
        self._cues: dict[tuple[float, float], tuple[str | None, VoiceCues]] = {}

    def add(self, segment: Segment) -> None:
        """Add a segment of the input."""
        if self._spec is not None and "speech" in segment.inputs:
            cues = voice_cues(segment.inputs["speech"][:, -len(PROSODY_CHANNELS) :], self._spec.hop)
            if math.isfinite(cues.values["pitch"]):
                self._cues[segment.start, segment.end] = (segment.speaker, cues)

    def baseline(self, segment: Segment) -> CueBaseline | None:
        """The voice in the other segments of the same speaker; ``None`` if there are too few.

        If the source of the words names no speakers, all voices of the input count as one.
        """
        others = [
            cues
            for place, (speaker, cues) in self._cues.items()
            if place != (segment.start, segment.end) and speaker == segment.speaker
        ]
        if len(others) < _FEWEST:
            return None
        whose = "this input" if segment.speaker is None else "this speaker"
        return CueBaseline.of([cues.values for cues in others], whose=whose)
