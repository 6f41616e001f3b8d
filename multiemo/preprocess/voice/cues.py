"""Voice cues: a prosody track reduced to the measures in which phonetics describes a voice.

Robust statistics (medians and percentiles) of the frames in which the measure means something: pitch and voice quality
of the voiced frames, level and rate of the frames with speech. This is the only place that computes them; rules,
baselines and explanations read them from here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from multiemo.arrays import Array
from multiemo.types import PROSODY_CHANNELS

#: A frame has speech if its level is at most this many dB below the 99th percentile of the clip (de Jong & Wempe 2009,
#: "Praat script to detect syllable nuclei and measure speech rate automatically", Behavior Research Methods 41).
SPEECH_RANGE = 25.0
#: Shortest gap between frames with speech that is a pause, seconds (Goldman-Eisler 1968, "Psycholinguistics").
SHORTEST_PAUSE = 0.25
#: Least voiced sound, in seconds, of which pitch and voice quality are stated.
LEAST_VOICED = 0.1
#: The percentiles between which ranges are measured.
RANGE_PERCENTILES = (10.0, 90.0)


@dataclass(frozen=True, slots=True)
class VoiceMeasure:
    """One measure of a voice.

    Args:
        unit: unit of its values.
        meaning: how it is measured.
    """

    unit: str
    meaning: str


#: {name: what it is}, in the order of :meth:`VoiceCues.vector`.
VOICE_CUES: dict[str, VoiceMeasure] = {
    "pitch": VoiceMeasure("semitones re 55 Hz", "median F0 of voiced frames"),
    "pitch_range": VoiceMeasure("semitones", "10th to 90th percentile of F0"),
    "pitch_slope": VoiceMeasure("semitones/s", "least-squares slope of F0 over the clip"),
    "level": VoiceMeasure("dBFS", "median level of voiced frames"),
    "level_range": VoiceMeasure("dB", "10th to 90th percentile of the level of voiced frames"),
    "rate": VoiceMeasure("syllables/s", "density of syllable nuclei in frames with speech"),
    "pauses": VoiceMeasure("percent", "share of pauses of at least 0.25 s between the first and the last speech"),
    "tilt": VoiceMeasure("dB/octave", "median spectral slope of voiced frames; nearer zero is brighter and tenser"),
    "h1_h2": VoiceMeasure("dB", "median of the first harmonic less the second; low is pressed, high is breathy"),
    "harmonicity": VoiceMeasure("dB", "median harmonics-to-noise ratio of voiced frames"),
    "jitter": VoiceMeasure("percent", "median irregularity of periods in voiced frames"),
    "shimmer": VoiceMeasure("percent", "median irregularity of amplitudes in voiced frames"),
}


@dataclass(frozen=True, slots=True)
class VoiceCues:
    """The cues of one clip.

    Args:
        values: {name of :data:`VOICE_CUES`: value in its unit}; NaN where it cannot be measured.
        seconds: length of the track.
        speech: seconds with speech.
        voiced: seconds of voiced speech.
    """

    values: Mapping[str, float]
    seconds: float
    speech: float
    voiced: float

    def vector(self) -> Tensor:
        """The values ``[K]`` float32, in the order of :data:`VOICE_CUES`; NaN where unknown."""
        return torch.tensor([self.values[name] for name in VOICE_CUES], dtype=torch.float32)


def voice_cues(track: Tensor, hop: float = 0.01) -> VoiceCues:
    """Measure the cues of one clip.

    Args:
        track: ``[T, P]`` of :func:`~multiemo.preprocess.voice.prosody.prosody`, without padding.
        hop: seconds between rows.

    Returns:
        The cues. Without voiced sound those of pitch, level and quality are NaN; in silence all are.

    Example:
        >>> from multiemo.preprocess.voice.prosody import prosody
        >>> t = torch.arange(16000) / 16000
        >>> cues = voice_cues(prosody(0.5 * torch.sin(2 * math.pi * 220.0 * t), 16000))
        >>> round(cues.values["pitch"], 1), round(cues.values["pitch_range"], 1), round(cues.values["level"], 1)
        (24.0, 0.0, -9.0)
    """
    rows = track.detach().cpu().double().numpy()
    columns = dict(zip(PROSODY_CHANNELS, rows.T, strict=True))
    energy = columns["energy"]
    voiced = columns["voicing"] > 0.5
    loud = _speech(energy, voiced)
    voiced = voiced & loud
    values = dict.fromkeys(VOICE_CUES, math.nan)
    if loud.any():
        values["rate"] = float(columns["rate"][loud].mean())
        values["pauses"] = _pauses(loud, hop)
    if voiced.sum() * hop >= LEAST_VOICED:
        f0, level = columns["f0"][voiced], energy[voiced]
        values |= {
            "pitch": float(np.median(f0)),
            "pitch_range": _spread(f0),
            "pitch_slope": float(np.polyfit(np.flatnonzero(voiced) * hop, f0, 1)[0]),
            "level": float(np.median(level)),
            "level_range": _spread(level),
        }
        values |= {
            name: float(np.median(columns[name][voiced]))
            for name in ("tilt", "h1_h2", "harmonicity", "jitter", "shimmer")
        }
    return VoiceCues(values, len(rows) * hop, float(loud.sum() * hop), float(voiced.sum() * hop))


def _speech(energy: Array, voiced: Array) -> Array:
    """Which frames ``[T]`` have speech: loud enough for this clip, in a clip with any voiced sound."""
    if not voiced.any():
        return np.zeros(len(energy), dtype=bool)
    return np.asarray(energy >= np.percentile(energy, 99) - SPEECH_RANGE)


def _spread(values: Array) -> float:
    low, high = np.percentile(values, RANGE_PERCENTILES)
    return float(high - low)


def _pauses(loud: Array, hop: float) -> float:
    """Share of pauses between the first and the last frame with speech, percent."""
    frames = np.flatnonzero(loud)
    gaps = np.diff(frames) - 1
    return float(100 * gaps[gaps * hop >= SHORTEST_PAUSE].sum() / (frames[-1] - frames[0] + 1))
