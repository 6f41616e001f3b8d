"""The usual voice of the training clips, stored with a model so that an explanation can compare a voice with it."""

from __future__ import annotations

import numpy as np

from multiemo.preprocess.voice.baseline import VoiceBaseline
from multiemo.preprocess.voice.cues import voice_cues
from multiemo.runs.batches import Part
from multiemo.types import PROSODY_CHANNELS, SpeechSpec, WaveformSpec

#: Whose values they are, as a sentence names them.
TRAINING_CLIPS = "the training clips"
#: Most clips that are measured, evenly spaced over the part.
_MOST_CLIPS = 2000


def training_voice(part: Part) -> VoiceBaseline | None:
    """Measure the cues of the training clips. This uses no labels.

    Args:
        part: preprocessed training part.

    Returns:
        The baseline; ``None`` if the part has no speech input, the input has no prosody channels, or too little of it
        is voiced.
    """
    spec = part.dataset.inputs["speech"].spec if "speech" in part.dataset.inputs else None
    if not isinstance(spec, SpeechSpec | WaveformSpec) or not spec.prosody:
        return None
    spoken = part.rows_with(("speech",), labelled=False)
    kept = sorted({spoken[i] for i in np.linspace(0, len(spoken) - 1, _MOST_CLIPS).astype(int)}) if spoken else []
    tracks = (part.dataset[i].inputs["speech"][:, -len(PROSODY_CHANNELS) :] for i in kept)
    return VoiceBaseline.fitted([voice_cues(track.float(), spec.hop) for track in tracks], TRAINING_CLIPS)
