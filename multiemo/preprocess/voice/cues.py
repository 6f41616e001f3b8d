"""Cues of the voice: a prosody track reduced to the measures in which phonetics describes a voice.

Robust statistics (medians and percentiles) of the frames in which the measure means something: pitch and voice quality
of the voiced frames, rate of the frames with speech. This is the only place that computes them; rules, baselines and
explanations read them from here.

The choice follows reviews of vocal emotion (Banse & Scherer 1996, "Acoustic profiles in vocal emotion expression";
Juslin & Laukka 2003, "Communication of emotions in vocal expression and music performance"; Scherer 2003, "Vocal
communication of emotion") and the functionals of GeMAPS (Eyben et al. 2016, "The Geneva minimalistic acoustic parameter
set").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from multiemo.arrays import Array
from multiemo.preprocess.voice.prosody import F0_REFERENCE
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
class ProsodyCue:
    """One cue of the voice.

    Args:
        name: name in English ("pitch range").
        unit: unit of its value.
        high, low: words for a value above and below the usual.
        spread: usual standard deviation between utterances of one speaker, in ``unit`` (semitones for Hz): mean over
            the speakers 1 to 12 of RAVDESS (speech, eight emotions).
        meaning: how it is measured.
    """

    name: str
    unit: str
    high: str
    low: str
    spread: float
    meaning: str


#: {id: cue}, in the order in which cues are listed.
VOICE_CUES: dict[str, ProsodyCue] = {
    "pitch_level": ProsodyCue("pitch level", "Hz", "high voice", "low voice", 5.1, "median F0 of voiced frames"),
    "pitch_range": ProsodyCue(
        "pitch range", "semitones", "wide pitch range", "narrow pitch range", 4.0, "10th to 90th percentile of F0"
    ),
    "pitch_movement": ProsodyCue(
        "pitch movement",
        "semitones/s",
        "lively melody",
        "flat melody",
        8.8,
        "mean absolute slope of F0 in voiced frames",
    ),
    "pitch_slope": ProsodyCue(
        "pitch slope", "semitones/s", "rising pitch", "falling pitch", 3.0, "least-squares slope of F0 over the clip"
    ),
    "loudness": ProsodyCue("loudness", "dBFS", "loud", "quiet", 8.6, "median level of voiced frames"),
    "loudness_range": ProsodyCue(
        "loudness range",
        "dB",
        "large changes of loudness",
        "even loudness",
        2.0,
        "10th to 90th percentile of the level of voiced frames",
    ),
    "speaking_rate": ProsodyCue(
        "speaking rate", "syllables/s", "fast", "slow", 0.69, "density of syllable nuclei in frames with speech"
    ),
    "pauses": ProsodyCue(
        "pauses",
        "%",
        "many pauses",
        "few pauses",
        5.7,
        "share of pauses of at least 0.25 s between the first and the last speech",
    ),
    "brightness": ProsodyCue(
        "brightness",
        "dB/octave",
        "bright, tense voice",
        "dull, relaxed voice",
        2.9,
        "median spectral slope of voiced frames; nearer zero is brighter and tenser",
    ),
    "breathiness": ProsodyCue(
        "breathiness", "dB", "breathy voice", "pressed voice", 3.4, "median of the first harmonic less the second"
    ),
    "roughness": ProsodyCue(
        "roughness", "%", "rough voice", "smooth voice", 1.6, "mean of the medians of jitter and shimmer"
    ),
    "jitter": ProsodyCue(
        "jitter", "%", "irregular periods", "regular periods", 0.48, "median irregularity of periods in voiced frames"
    ),
    "shimmer": ProsodyCue(
        "shimmer",
        "%",
        "irregular amplitude",
        "regular amplitude",
        2.7,
        "median irregularity of amplitudes in voiced frames",
    ),
    "clarity": ProsodyCue(
        "clarity",
        "dB",
        "clear voice",
        "hoarse or breathy voice",
        2.0,
        "median harmonics-to-noise ratio of voiced frames",
    ),
    "articulation": ProsodyCue(
        "articulation",
        "dB",
        "crisp articulation",
        "slack articulation",
        0.37,
        "mean change of the spectrum between frames with speech",
    ),
}
#: {id: channel} of the cues whose mean over all frames is meaningful.
FRAME_CHANNELS = {
    "pitch_level": "f0",
    "loudness": "energy",
    "speaking_rate": "rate",
    "brightness": "tilt",
    "articulation": "flux",
}
#: {id: channel} of the cues that are the median of a channel over the voiced frames.
_MEDIANS = {
    "pitch_level": "f0",
    "loudness": "energy",
    "brightness": "tilt",
    "breathiness": "h1_h2",
    "clarity": "harmonicity",
    "jitter": "jitter",
    "shimmer": "shimmer",
}


@dataclass(frozen=True, slots=True)
class MeasuredVoice:
    """The cues of one clip.

    Args:
        values: {id of :data:`VOICE_CUES`: value}, pitch level in semitones re 55 Hz; NaN where it cannot be measured.
        seconds: length of the track.
        speech: seconds with speech.
        voiced: seconds of voiced speech.
        over_frames: {id: mean over all frames, voiced or not}, of the cues that are defined there.
    """

    values: Mapping[str, float]
    seconds: float = 0.0
    speech: float = 0.0
    voiced: float = 0.0
    over_frames: Mapping[str, float] = field(default_factory=dict)

    def known(self, id: str) -> bool:
        """Whether a cue could be measured."""
        return not math.isnan(self.values[id])

    def shown(self, id: str) -> float | None:
        """The value of a cue in its unit; ``None`` if it could not be measured."""
        value = self.values[id]
        if math.isnan(value):
            return None
        return float(F0_REFERENCE * 2 ** (value / 12)) if VOICE_CUES[id].unit == "Hz" else value


#: The cues of a clip without a voice.
NO_VOICE = MeasuredVoice(dict.fromkeys(VOICE_CUES, math.nan))


def voice_cues(track: Tensor, hop: float = 0.01) -> MeasuredVoice:
    """Measure the cues of one clip.

    Args:
        track: ``[T, P]`` of :func:`~multiemo.preprocess.voice.prosody.prosody`, without padding.
        hop: seconds between rows.

    Returns:
        The cues. Without voiced sound those of pitch, level and quality are NaN; in silence all are.

    Example:
        >>> import torch
        >>> from multiemo.preprocess.voice.prosody import prosody
        >>> t = torch.arange(16000) / 16000
        >>> found = voice_cues(prosody(0.5 * torch.sin(2 * math.pi * 220.0 * t), 16000))
        >>> [round(found.values[id], 1) for id in ("pitch_level", "pitch_range", "loudness")]
        [24.0, 0.0, -9.0]
    """
    rows = track.detach().cpu().double().numpy()
    columns = dict(zip(PROSODY_CHANNELS, rows.T, strict=True))
    energy = columns["energy"]
    voiced = columns["voicing"] > 0.5
    loud = _speech(energy, voiced)
    voiced = voiced & loud
    values = dict.fromkeys(VOICE_CUES, math.nan)
    if loud.any():
        values["speaking_rate"] = float(columns["rate"][loud].mean())
        values["pauses"] = _pauses(loud, hop)
        # The onset of a sound after silence is no articulation, so only frames that follow speech count.
        inner = columns["flux"][1:][loud[1:] & loud[:-1]]
        values["articulation"] = float(inner.mean()) if len(inner) else math.nan
    if voiced.sum() * hop >= LEAST_VOICED:
        f0 = columns["f0"][voiced]
        values |= {id: float(np.median(columns[name][voiced])) for id, name in _MEDIANS.items()}
        values |= {
            "pitch_range": _spread(f0),
            "pitch_movement": float(np.abs(columns["delta_f0"][voiced]).mean()),
            "pitch_slope": float(np.polyfit(np.flatnonzero(voiced) * hop, f0, 1)[0]),
            "loudness_range": _spread(energy[voiced]),
            "roughness": (values["jitter"] + values["shimmer"]) / 2,
        }
    over_frames = {id: float(columns[name].mean()) for id, name in FRAME_CHANNELS.items()} if len(rows) else {}
    return MeasuredVoice(values, len(rows) * hop, float(loud.sum() * hop), float(voiced.sum() * hop), over_frames)


def _speech(energy: Array, voiced: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which frames ``[T]`` have speech: loud enough for this clip, in a clip with any voiced sound."""
    if not voiced.any():
        return np.zeros(len(energy), dtype=bool)
    return np.asarray(energy >= np.percentile(energy, 99) - SPEECH_RANGE)


def _spread(values: Array) -> float:
    low, high = np.percentile(values, RANGE_PERCENTILES)
    return float(high - low)


def _pauses(loud: NDArray[np.bool_], hop: float) -> float:
    """Share of pauses between the first and the last frame with speech, percent."""
    frames = np.flatnonzero(loud)
    gaps = np.diff(frames) - 1
    return float(100 * gaps[gaps * hop >= SHORTEST_PAUSE].sum() / (frames[-1] - frames[0] + 1))
