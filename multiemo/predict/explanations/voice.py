"""Pitch and level of a voice over time, for the plot."""

from __future__ import annotations

import numpy as np
import torch

from multiemo.inputs.material import Audio
from multiemo.predict.explanations.records import VoiceTrack
from multiemo.preprocess.voice.prosody import prosody
from multiemo.types import PROSODY_CHANNELS

#: Seconds between values.
STEP = 0.02
#: Frequency to which the semitones of the prosody track refer, Hz.
_REFERENCE = 55.0
_QUIETEST = -99.0


def voice_track(sound: Audio, start: float) -> VoiceTrack | None:
    """Measure pitch and level of a span.

    Args:
        sound: the sound of the span.
        start: start of the span in the input, seconds.

    Returns:
        The track; ``None`` if the sound is shorter than two values.
    """
    if len(sound.samples) < 2 * STEP * sound.rate:
        return None
    with torch.inference_mode():
        track = prosody(torch.from_numpy(np.ascontiguousarray(sound.samples)), sound.rate, hop=STEP)
    columns = dict(zip(PROSODY_CHANNELS, track.T.tolist(), strict=True))
    pitch = [
        round(_REFERENCE * 2 ** (f0 / 12), 1) if voicing > 0.5 else None
        for f0, voicing in zip(columns["f0"], columns["voicing"], strict=True)
    ]
    level = [round(max(value, _QUIETEST), 1) for value in columns["energy"]]
    return VoiceTrack(start=start, step=STEP, pitch=pitch, level=level)
