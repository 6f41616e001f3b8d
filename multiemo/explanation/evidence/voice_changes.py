"""Changes of one cue of the voice, as candidates for the smallest change that changes the label."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from multiemo.explanation.evidence.base import InputChange
from multiemo.explanation.evidence.voice_views import DB_TO_LOG_POWER, Neutral
from multiemo.preprocess.voice.cues import CUES_BY_ID, voice_cues
from multiemo.preprocess.voice.prosody import ENERGY_FLOOR
from multiemo.types import PROSODY_CHANNELS

#: Sizes of the changes, in usual standard deviations of the cue between utterances of one speaker.
SIZES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
_COLUMN = {name: i for i, name in enumerate(PROSODY_CHANNELS)}
_EDITED = "in the measured track, not in the recording"


#: Tempo and its inverse, and level in dB, of changed recordings, smallest first.
_TEMPI, _LEVELS_DB = (1.1, 1.2, 1.35, 1.5), (3.0, 6.0, 12.0, 18.0)
#: Window and hop of the phase vocoder, seconds.
_WINDOW, _HOP = 0.064, 0.016


def wave_changes(wave: Tensor, sample_rate: int, levels: bool) -> Iterator[InputChange]:
    """Changed recordings, smallest first: another tempo by a phase vocoder, and another level.

    Pitch is left alone: shifting it moves the formants, too, so the result would be another person's voice.

    Args:
        wave: ``[N, 1]`` samples.
        sample_rate: sample rate, Hz.
        levels: whether the encoder can notice the level, which it cannot if clips are normalised.
    """
    for i, (tempo, level) in enumerate(zip(_TEMPI, _LEVELS_DB, strict=True)):
        for share, words in ((1 / tempo, "slower"), (tempo, "faster")):
            x = _stretched(wave[:, 0], sample_rate, share).unsqueeze(1)
            change = f"speech {tempo:g} times {words}, by a phase vocoder"
            yield InputChange("speaking rate", change, x, _all(x), float(i + 1), round(share, 4), "times")
        for gain, words in ((-level, "quieter"), (level, "louder")) if levels else ():
            x = wave * 10 ** (gain / 20)
            yield InputChange("loudness", f"loudness {level:g} dB {words}", x, _all(x), float(i + 1), gain, "dB")


def _all(x: Tensor) -> Tensor:
    return torch.ones(len(x), dtype=torch.bool, device=x.device)


def _stretched(wave: Tensor, sample_rate: int, tempo: float) -> Tensor:
    """``[N]`` at another tempo and the same pitch."""
    from torchaudio.functional import phase_vocoder

    size, hop = round(_WINDOW * sample_rate), round(_HOP * sample_rate)
    window = torch.hann_window(size, device=wave.device)
    padded = F.pad(wave, (0, max(0, size - len(wave))))
    spectrum = torch.stft(padded, size, hop, window=window, pad_mode="constant", return_complex=True)
    advance = torch.linspace(0, torch.pi * hop, spectrum.shape[0], device=wave.device).unsqueeze(1)
    slower = phase_vocoder(spectrum, tempo, advance)
    return torch.istft(slower, size, hop, window=window, length=max(size, round(len(wave) / tempo)))


@dataclass(frozen=True, slots=True)
class _Edit:
    """How one cue is changed by an amount: returns the input, or ``None`` if the amount is impossible."""

    id: str
    unit: str
    more: str
    less: str
    apply: Callable[[Neutral, float], Tensor | None]


def cue_changes(neutral: Neutral, hop: float) -> Iterator[InputChange]:
    """Changed inputs, smallest first: pitch, loudness and rate higher or lower, the pitch range wider or narrower.

    Args:
        neutral: the input.
        hop: seconds between rows.
    """
    first = neutral.prosody or 0
    cues = voice_cues(neutral.x[:, first:], hop)
    for size in SIZES:
        for edit in _edits(neutral):
            for sign in (-1, 1):
                if edit.id not in cues.values:
                    continue
                cue = CUES_BY_ID[edit.id]
                amount = size * cue.spread
                x = edit.apply(neutral, sign * amount / _unit_size(edit.id, cues.values[edit.id]))
                if x is None:
                    continue
                words = f"{cue.name} {amount:.3g} {edit.unit} {edit.more if sign > 0 else edit.less}, {_EDITED}"
                yield InputChange(cue.name, words, x, _all(x), size, round(sign * amount, 4), edit.unit)


def _unit_size(id: str, value: float) -> float:
    """What an amount is divided by: the value itself for cues that are scaled."""
    return max(value, 1e-3) if id in ("pitch_range", "speaking_rate") else 1.0


def _edits(neutral: Neutral) -> tuple[_Edit, ...]:
    edits = (
        _Edit("pitch_level", "semitones", "higher", "lower", _shift_pitch),
        _Edit("pitch_range", "semitones", "wider", "narrower", _scale_range),
        _Edit("loudness", "dB", "louder", "quieter", _shift_level),
        _Edit("speaking_rate", "syllables/s", "faster", "slower", _change_tempo),
        _Edit("brightness", "dB/octave", "brighter", "duller", _shift_tilt),
    )
    # The samples that an encoder reads beside its prosody keep their tempo.
    return edits if neutral.mels else tuple(e for e in edits if e.id not in ("speaking_rate", "loudness"))


def _prosody(neutral: Neutral, name: str) -> int:
    return (neutral.prosody or 0) + _COLUMN[name]


def _shift_pitch(neutral: Neutral, semitones: float) -> Tensor:
    x = neutral.x.clone()
    x[:, _prosody(neutral, "f0")] += semitones
    return x


def _scale_range(neutral: Neutral, share: float) -> Tensor | None:
    """Scale deviations of F0 from its mean, and its slope, by ``1 + share``."""
    if share < -1:
        return None
    x = neutral.x.clone()
    f0 = _prosody(neutral, "f0")
    mean = x[:, f0].mean()
    x[:, f0] = mean + (1 + share) * (x[:, f0] - mean)
    x[:, _prosody(neutral, "delta_f0")] *= 1 + share
    return x


def _shift_level(neutral: Neutral, decibels: float) -> Tensor | None:
    """Shift the level of the track and of the mel bands; not above full scale."""
    x = neutral.x.clone()
    energy = _prosody(neutral, "energy")
    if float(x[:, energy].max()) + decibels > 0:
        return None
    x[:, energy] = (x[:, energy] + decibels).clamp_min(ENERGY_FLOOR)
    x[:, : neutral.prosody or 0] += DB_TO_LOG_POWER * decibels
    return x


def _shift_tilt(neutral: Neutral, slope: float) -> Tensor:
    """Tilt the track and, if there are any, the mel bands, as the augmentation in training does."""
    x = neutral.x.clone()
    x[:, _prosody(neutral, "tilt")] += slope
    bands = neutral.prosody or 0
    if neutral.mels and bands:
        x[:, :bands] += DB_TO_LOG_POWER * 8 * slope * torch.linspace(-0.5, 0.5, bands, device=x.device)
    return x


def _change_tempo(neutral: Neutral, share: float) -> Tensor | None:
    """Change the tempo by ``1 + share``, by interpolation between rows."""
    speed = 1 + share
    if not 0.5 <= speed <= 2:
        return None
    count = max(2, round(len(neutral.x) / speed))
    x = F.interpolate(neutral.x.T.unsqueeze(0), size=count, mode="linear", align_corners=True)[0].T.contiguous()
    for name in ("rate", "delta_f0"):
        x[:, _prosody(neutral, name)] *= speed
    return x
