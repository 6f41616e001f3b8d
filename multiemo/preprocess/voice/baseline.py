"""What the cues of a voice are compared with, and the comparison in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from multiemo.preprocess.voice.cues import FRAME_CHANNELS, VOICE_CUES, MeasuredVoice
from multiemo.records import Record, record
from multiemo.types import PROSODY_CHANNELS

#: A baseline needs at least this many clips, and this many seconds of voice.
LEAST_CLIPS, LEAST_SECONDS = 3, 3.0
#: Weight of the usual spread of a cue in that of a baseline, in clips.
_PRIOR_CLIPS = 5
#: Deviations from which a cue is worth a word, and a strong word, in standard deviations.
NOTABLE, STRONG = 1.0, 2.0
_COLUMN = {name: i for i, name in enumerate(PROSODY_CHANNELS)}


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
    mean: dict[str, float]
    spread: dict[str, float]
    clips: int
    seconds: float
    of_frames: bool = False

    @classmethod
    def fitted(cls, clips: Sequence[MeasuredVoice], whose: str) -> VoiceBaseline | None:
        """Fit a baseline to clips; ``None`` if they are too few or too short.

        The spread between few clips is uncertain, so the usual spread of :data:`VOICE_CUES` counts as five clips
        (the scaled inverse chi-squared prior of a variance).

        Args:
            clips: cues of other clips than the one that is described.
            whose: as in the class.
        """
        usable = [clip for clip in clips if clip.known("pitch_level")]
        seconds = sum(clip.voiced for clip in usable)
        if len(usable) < LEAST_CLIPS or seconds < LEAST_SECONDS:
            return None
        mean, spread = {}, {}
        for id, cue in VOICE_CUES.items():
            known = [clip.values[id] for clip in usable if clip.known(id)]
            if not known:
                continue
            values = torch.tensor(known, dtype=torch.float64)
            squares = float((values - values.mean()).square().sum())
            prior = _PRIOR_CLIPS * cue.spread**2
            mean[id] = float(values.mean())
            spread[id] = ((prior + squares) / (_PRIOR_CLIPS + len(known) - 1)) ** 0.5
        return cls(whose=whose, mean=mean, spread=spread, clips=len(usable), seconds=round(seconds, 2))

    @classmethod
    def of_statistics(cls, mean: Tensor, std: Tensor) -> VoiceBaseline:
        """The baseline that an encoder's statistics of single training frames give, of the cues defined in all frames.

        Args:
            mean: ``[P]`` mean of each prosody channel.
            std: ``[P]`` standard deviation of each channel.
        """
        column = {id: _COLUMN[name] for id, name in FRAME_CHANNELS.items()}
        return cls(
            whose="the mean of the training frames",
            mean={id: float(mean[i]) for id, i in column.items()},
            spread={id: max(float(std[i]), 1e-6) for id, i in column.items()},
            clips=0,
            seconds=0.0,
            of_frames=True,
        )

    def deviation(self, id: str, cues: MeasuredVoice) -> float | None:
        """The value of a cue in standard deviations from the mean; ``None`` if either is unknown.

        Args:
            id: id of the cue.
            cues: the cues of a clip.
        """
        value = (cues.over_frames if self.of_frames else cues.values).get(id, math.nan)
        if math.isnan(value) or id not in self.mean:
            return None
        return (value - self.mean[id]) / self.spread[id]


def describe_cue(id: str, cues: MeasuredVoice, baseline: VoiceBaseline | None) -> str:
    """One cue in words, such as "wide pitch range, 8.1 semitones, 2.1 sd above this speaker's own".

    Args:
        id: id of the cue.
        cues: the cues of a clip.
        baseline: usual values; without them the value is given alone.
    """
    cue, shown = VOICE_CUES[id], cues.shown(id)
    value = "undefined" if shown is None else f"{shown:.3g} {cue.unit}"
    deviation = None if baseline is None else baseline.deviation(id, cues)
    if deviation is None or baseline is None:
        return f"{cue.name} {value}"
    name = cue.name
    if abs(deviation) >= NOTABLE:
        name = ("very " if abs(deviation) >= STRONG else "") + (cue.high if deviation > 0 else cue.low)
        name = name if cue.name in name else f"{cue.name}: {name}"
    side = "above" if deviation > 0 else "below"
    return f"{name}, {value}, {abs(deviation):.1f} sd {side} {baseline.whose}"
