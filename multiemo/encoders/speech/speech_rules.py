"""Speech by rules: tone analysis against a baseline, without training."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from multiemo.encoders.common.tensor_rules import TensorRules
from multiemo.preprocess.voice.cues import VOICE_CUES, voice_cues
from multiemo.registry import Positive, Size, encoders
from multiemo.rules.findings import Findings
from multiemo.rules.speech import ToneBaseline, read_tone
from multiemo.types import SpeechSpec


@encoders.register("speech_rules", modality="speech")
class SpeechRulesEncoder(TensorRules):
    """What the rules of :mod:`multiemo.rules.speech` find in a voice, with a head of their own.

    Pitch, range, contour, level, rate, pauses, tension and roughness are compared with their mean over the training
    clips, in standard deviations. Measuring that baseline uses no labels.

    Args:
        sample_rate: sample rate of the sound, Hz.
        max_seconds: longest speech that is read, from its beginning.
        trim: both ends are cut where they are this many dB below the clip's loudest 25 ms (0.1 s is kept);
            0 cuts nothing.
    """

    modality = "speech"
    input_spec: SpeechSpec
    mean: Tensor
    sd: Tensor
    measured: Tensor

    def __init__(self, *, sample_rate: Size = 16000, max_seconds: Positive = 30.0, trim: float = 40.0) -> None:
        super().__init__()
        self.input_spec = SpeechSpec(sample_rate=sample_rate, n_mels=0, max_seconds=max_seconds, trim=trim)
        self.register_buffer("mean", torch.full((len(VOICE_CUES),), math.nan))
        self.register_buffer("sd", torch.full((len(VOICE_CUES),), math.nan))
        self.register_buffer("measured", torch.zeros(2))

    def fit_statistics(self, inputs: Iterable[Tensor]) -> None:
        """Measure the baseline on the prosody tracks ``[T, P]`` of the training clips."""
        clips = [voice_cues(track, self.input_spec.hop) for track in inputs]
        baseline = ToneBaseline.of([clip.values for clip in clips], seconds=sum(clip.speech for clip in clips))
        for buffer, values in ((self.mean, baseline.mean), (self.sd, baseline.sd)):
            buffer.copy_(torch.tensor([values.get(cue, math.nan) for cue in VOICE_CUES]))
        self.measured.copy_(torch.tensor([baseline.clips, baseline.seconds]))

    def baseline(self) -> ToneBaseline:
        """What voices are compared with; without cues before :meth:`fit_statistics`."""
        mean, sd = (
            {cue: value for cue, value in zip(VOICE_CUES, buffer.tolist(), strict=True) if math.isfinite(value)}
            for buffer in (self.mean, self.sd)
        )
        clips, seconds = self.measured.tolist()
        return ToneBaseline(mean, sd, int(clips), seconds)

    def find(self, x: Tensor) -> Findings:
        """As :meth:`TensorRules.find`, of a prosody track ``[T, P]``."""
        cues = voice_cues(x, self.input_spec.hop)
        return read_tone(cues.values, self.baseline(), voiced=cues.voiced)
