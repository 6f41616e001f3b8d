"""Speech by rules: tone analysis against a baseline, without training."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from multiemo.encoders.common.tensor_rules import TensorRules
from multiemo.preprocess.voice.cues import VOICE_CUES, voice_cues
from multiemo.registry import Positive, Size, encoders
from multiemo.rules.findings import Findings
from multiemo.rules.speech import read_tone
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

    def __init__(self, *, sample_rate: Size = 16000, max_seconds: Positive = 30.0, trim: float = 40.0) -> None:
        super().__init__(tuple(VOICE_CUES))
        self.input_spec = SpeechSpec(sample_rate=sample_rate, n_mels=0, max_seconds=max_seconds, trim=trim)

    def measure(self, x: Tensor) -> Mapping[str, float]:
        """As :meth:`TensorRules.measure`, of a prosody track ``[T, P]``."""
        return voice_cues(x, self.input_spec.hop).values

    def find(self, x: Tensor) -> Findings:
        """As :meth:`TensorRules.find`, of a prosody track ``[T, P]``."""
        cues = voice_cues(x, self.input_spec.hop)
        return read_tone(cues.values, self.baseline(), voiced=cues.voiced)
