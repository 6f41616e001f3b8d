"""Cues of the voice in human terms: pitch level, loudness, speaking rate and so on, and their usual values.

Each cue is one figure of the prosody track of a clip. The choice follows reviews of vocal emotion (Banse & Scherer
1996, "Acoustic profiles in vocal emotion expression"; Juslin & Laukka 2003, "Communication of emotions in vocal
expression and music performance"; Scherer 2003, "Vocal communication of emotion") and the functionals of GeMAPS (Eyben
et al. 2016, "The Geneva minimalistic acoustic parameter set").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from multiemo.preprocess.voice.prosody import F0_REFERENCE
from multiemo.records import Record, record
from multiemo.types import PROSODY_CHANNELS

#: Percentiles between which ranges are measured, as in GeMAPS.
_LOW, _HIGH = 0.2, 0.8
#: Shortest stretch without voice that counts as a pause, seconds. Stops and voiceless fricatives are shorter.
PAUSE_SECONDS = 0.2
#: Fewer voiced seconds than this have no cues.
LEAST_VOICED_SECONDS = 0.1
#: A baseline needs at least this many clips, and this many seconds of voice.
LEAST_CLIPS, LEAST_SECONDS = 3, 3.0
#: Weight of the usual spread of a cue in that of a baseline, in clips.
_PRIOR_CLIPS = 5
#: Deviations from which a cue is worth a word, and a strong word, in standard deviations.
NOTABLE, STRONG = 1.0, 2.0

#: {id of a cue: value}.
CueValues: TypeAlias = dict[str, float]


@dataclass(frozen=True, slots=True)
class ProsodyCue:
    """One cue of the voice.

    Args:
        id: stable name ("pitch_range").
        name: name in English ("pitch range").
        unit: unit of its value.
        high, low: words for a value above and below the usual.
        spread: usual standard deviation between utterances of one speaker, in ``unit`` (semitones for Hz): mean over
            the speakers 1 to 12 of RAVDESS (speech, eight emotions).
        computed: how it is computed from the prosody track.
        source: publication that names it as a cue of emotion.
    """

    id: str
    name: str
    unit: str
    high: str
    low: str
    spread: float
    computed: str
    source: str


_SCHERER, _JUSLIN, _GEMAPS = "Banse & Scherer 1996", "Juslin & Laukka 2003", "Eyben et al. 2016"

#: The cues, in the order in which they are listed.
CUES: tuple[ProsodyCue, ...] = (
    ProsodyCue("pitch_level", "pitch level", "Hz", "high voice", "low voice", 4.9, "mean of f0 where voiced", _SCHERER),
    ProsodyCue(
        "pitch_range",
        "pitch range",
        "semitones",
        "wide pitch range",
        "narrow pitch range",
        2.2,
        "20th to 80th percentile of f0 where voiced",
        _GEMAPS,
    ),
    ProsodyCue(
        "pitch_movement",
        "pitch movement",
        "semitones/s",
        "lively melody",
        "flat melody",
        8.7,
        "mean absolute delta_f0 where voiced",
        _JUSLIN,
    ),
    ProsodyCue("loudness", "loudness", "dBFS", "loud", "quiet", 8.4, "mean of energy where voiced", _SCHERER),
    ProsodyCue(
        "loudness_range",
        "loudness range",
        "dB",
        "large changes of loudness",
        "even loudness",
        2.0,
        "20th to 80th percentile of energy where voiced",
        _JUSLIN,
    ),
    ProsodyCue("speaking_rate", "speaking rate", "syllables/s", "fast", "slow", 0.8, "mean of rate", _JUSLIN),
    ProsodyCue(
        "pauses",
        "pauses",
        "%",
        "many pauses",
        "few pauses",
        7.6,
        "share of time in stretches of at least 0.2 s without voice, between voiced frames",
        _JUSLIN,
    ),
    ProsodyCue(
        "brightness",
        "brightness",
        "dB/octave",
        "bright, tense voice",
        "dull, relaxed voice",
        2.8,
        "mean of tilt where voiced",
        "Scherer 2003",
    ),
    ProsodyCue(
        "breathiness", "breathiness", "dB", "breathy voice", "pressed voice", 3.2, "mean of h1_h2 where voiced", _GEMAPS
    ),
    ProsodyCue(
        "roughness",
        "roughness",
        "%",
        "rough voice",
        "smooth voice",
        1.3,
        "mean of jitter and shimmer where voiced",
        _JUSLIN,
    ),
    ProsodyCue(
        "clarity",
        "clarity",
        "dB",
        "clear voice",
        "hoarse or breathy voice",
        1.8,
        "mean of harmonicity where voiced",
        _GEMAPS,
    ),
    ProsodyCue(
        "articulation", "articulation", "dB", "crisp articulation", "slack articulation", 0.5, "mean of flux", _SCHERER
    ),
)
#: {id: cue}.
CUES_BY_ID: Mapping[str, ProsodyCue] = {cue.id: cue for cue in CUES}
#: {id: channel} of the cues whose mean over all frames is meaningful.
_FRAME_CHANNELS = {
    "pitch_level": "f0",
    "loudness": "energy",
    "speaking_rate": "rate",
    "brightness": "tilt",
    "articulation": "flux",
}
_COLUMN = {name: i for i, name in enumerate(PROSODY_CHANNELS)}


@dataclass(frozen=True, slots=True)
class VoiceCues:
    """The cues of one clip.

    Args:
        values: {id: value}; pitch level in semitones re 55 Hz. Empty without voice.
        seconds: voiced seconds that they rest on.
        over_frames: {id: mean over all frames, voiced or not}, of the cues that are defined there.
    """

    values: CueValues
    seconds: float
    over_frames: CueValues = field(default_factory=dict)

    def shown(self, cue: ProsodyCue) -> float | None:
        """The value of a cue in its unit; ``None`` if it is undefined."""
        value = self.values.get(cue.id)
        if value is None or cue.unit != "Hz":
            return value
        return float(F0_REFERENCE * 2 ** (value / 12))


def voice_cues(track: Tensor, hop: float) -> VoiceCues:
    """Measure the cues of one clip.

    Args:
        track: ``[T, P]`` prosody track (:func:`multiemo.preprocess.voice.prosody.prosody`).
        hop: seconds between rows.

    Example:
        >>> from multiemo.preprocess.voice.prosody import prosody
        >>> t = torch.arange(16000) / 16000
        >>> tone = sum(torch.sin(2 * torch.pi * 220 * k * t) / k for k in range(1, 9)) / 9
        >>> cues = voice_cues(prosody(tone, 16000), 0.01)
        >>> round(cues.shown(CUES_BY_ID["pitch_level"])), round(cues.values["pitch_range"], 1)
        (220, 0.0)
    """
    channel = {name: track[:, i].float() for name, i in _COLUMN.items()}
    voiced = channel["voicing"] > 0.5
    seconds = float(voiced.sum()) * hop
    if seconds < LEAST_VOICED_SECONDS:
        return VoiceCues({}, seconds)

    def mean(name: str) -> float:
        return float(channel[name][voiced].mean())

    def spread(name: str) -> float:
        low, high = torch.quantile(channel[name][voiced], torch.tensor([_LOW, _HIGH], device=track.device))
        return float(high - low)

    return VoiceCues(
        {
            "pitch_level": mean("f0"),
            "pitch_range": spread("f0"),
            "pitch_movement": float(channel["delta_f0"][voiced].abs().mean()),
            "loudness": mean("energy"),
            "loudness_range": spread("energy"),
            "speaking_rate": float(channel["rate"].mean()),
            "pauses": 100 * _pause_share(voiced, hop),
            "brightness": mean("tilt"),
            "breathiness": mean("h1_h2"),
            "roughness": (mean("jitter") + mean("shimmer")) / 2,
            "clarity": mean("harmonicity"),
            "articulation": float(channel["flux"].mean()),
        },
        seconds,
        {id: float(channel[name].mean()) for id, name in _FRAME_CHANNELS.items()},
    )


def _pause_share(voiced: Tensor, hop: float) -> float:
    """Share of the time from the first to the last voiced frame that lies in pauses."""
    places = voiced.nonzero().squeeze(1)
    gaps = places.diff() - 1
    long = gaps[gaps >= round(PAUSE_SECONDS / hop)]
    return float(long.sum()) / float(places[-1] - places[0] + 1)


@record
class VoiceBaseline(Record):
    """The usual values of cues: of one speaker, or of the clips that a model was trained on.

    Args:
        whose: whose values they are, as it follows "above" ("this speaker's own").
        mean: {id of a cue: mean between clips}; pitch level in semitones re 55 Hz.
        spread: {id of a cue: standard deviation between clips}.
        clips: number of clips; 0 if unknown.
        seconds: voiced seconds in them; 0 if unknown.
        of_frames: mean and spread are those of single frames, voiced or not, instead of clips.
    """

    whose: str
    mean: CueValues
    spread: CueValues
    clips: int
    seconds: float
    of_frames: bool = False

    @classmethod
    def fitted(cls, clips: Sequence[VoiceCues], whose: str) -> VoiceBaseline | None:
        """Fit a baseline to clips; ``None`` if they are too few or too short.

        The spread between few clips is uncertain, so the usual spread of :data:`CUES` counts as five clips
        (the scaled inverse chi-squared prior of a variance).

        Args:
            clips: cues of other clips than the one that is described.
            whose: as in the class.
        """
        usable = [clip for clip in clips if clip.values]
        seconds = sum(clip.seconds for clip in usable)
        if len(usable) < LEAST_CLIPS or seconds < LEAST_SECONDS:
            return None
        mean, spread = {}, {}
        for cue in CUES:
            values = torch.tensor([clip.values[cue.id] for clip in usable], dtype=torch.float64)
            squares = float((values - values.mean()).square().sum())
            prior = _PRIOR_CLIPS * cue.spread**2
            mean[cue.id] = float(values.mean())
            spread[cue.id] = ((prior + squares) / (_PRIOR_CLIPS + len(usable) - 1)) ** 0.5
        return cls(whose=whose, mean=mean, spread=spread, clips=len(usable), seconds=round(seconds, 2))

    @classmethod
    def of_statistics(cls, mean: Tensor, std: Tensor) -> VoiceBaseline:
        """The baseline that an encoder's statistics of single training frames give, of the cues defined in all frames.

        Args:
            mean: ``[P]`` mean of each prosody channel.
            std: ``[P]`` standard deviation of each channel.
        """
        column = {id: _COLUMN[name] for id, name in _FRAME_CHANNELS.items()}
        return cls(
            whose="the mean of the training frames",
            mean={id: float(mean[i]) for id, i in column.items()},
            spread={id: max(float(std[i]), 1e-6) for id, i in column.items()},
            clips=0,
            seconds=0.0,
            of_frames=True,
        )

    def deviation(self, cue: ProsodyCue, cues: VoiceCues) -> float | None:
        """The value of a cue in standard deviations from the mean; ``None`` if either is unknown."""
        value = (cues.over_frames if self.of_frames else cues.values).get(cue.id)
        if value is None or cue.id not in self.mean:
            return None
        return (value - self.mean[cue.id]) / self.spread[cue.id]


def describe_cue(cue: ProsodyCue, cues: VoiceCues, baseline: VoiceBaseline | None) -> str:
    """One cue in words, such as "wide pitch range: 8.1 semitones, 2.1 sd above this speaker's own".

    Args:
        cue: the cue.
        cues: the cues of a clip, among which it is defined.
        baseline: usual values; without them the value is given alone.
    """
    shown = cues.shown(cue)
    value = "undefined" if shown is None else f"{shown:.3g} {cue.unit}"
    deviation = None if baseline is None else baseline.deviation(cue, cues)
    if deviation is None or baseline is None:
        return f"{cue.name} {value}"
    name = cue.name
    if abs(deviation) >= NOTABLE:
        name = ("very " if abs(deviation) >= STRONG else "") + (cue.high if deviation > 0 else cue.low)
        name = name if cue.name in name else f"{cue.name}: {name}"
    side = "above" if deviation > 0 else "below"
    return f"{name}, {value}, {abs(deviation):.1f} sd {side} {baseline.whose}"
