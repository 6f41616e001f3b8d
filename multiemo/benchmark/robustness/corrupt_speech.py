"""Speech made worse: noise, other people talking, overload, a telephone line.

Levels of speech and noise are those of ITU-T P.56, as in the noisy corpora of Hirsch and Pearce (2000): the speech
counts by its active level, pauses left out, and the noise by its root mean square.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torchaudio import functional

from multiemo.arrays import Floats
from multiemo.inputs.material import Audio

#: People who talk at once in the babble; with six to eight of them no single one can be followed any more.
TALKERS = 8
#: ITU-T P.56 (2011), method B: time constant of the envelope and hangover (seconds), margin of the threshold (dB).
ENVELOPE = 0.03
HANGOVER = 0.2
MARGIN = 15.9
_THRESHOLDS = 2.0 ** -np.arange(1, 17)
#: The narrow band of the telephone network, Hz, and its sample rate (ITU-T G.712), levels of a sample (ITU-T G.711).
BAND = (300.0, 3400.0)
LINE_RATE = 8000
LINE_LEVELS = 256
#: Samples of one packet at ``LINE_RATE``: 20 ms.
PACKET = 160
#: Quality factors of the two halves of a fourth-order Butterworth filter.
_BUTTERWORTH = (0.5412, 1.3066)
_SHARP = 64


@dataclass(frozen=True, slots=True)
class Sound(Audio):
    """What is heard of one clip, and whom it can be mixed with.

    Args:
        samples, rate: see :class:`multiemo.inputs.material.Audio`.
        others: voices of other people, at the same rate, none of them silent; for the babble.
    """

    others: tuple[Floats, ...] = ()


def white_noise(sound: Sound, snr: float, draw: Generator) -> Sound:
    """Gaussian noise of equal power at all frequencies.

    Args:
        sound: the clip.
        snr: active speech level over the level of the noise, dB; infinite leaves the clip as it is.
        draw: source of randomness.
    """
    return _mixed(sound, draw.standard_normal(len(sound.samples)), snr)


def babble(sound: Sound, snr: float, draw: Generator) -> Sound:
    """Other people talking: ``TALKERS`` voices of equal level, each begun somewhere and repeated.

    Where there are fewer voices than that, some are heard twice, from different places.

    Args:
        sound: the clip, with the voices of others.
        snr: active speech level over the level of the babble, dB; infinite leaves the clip as it is.
        draw: source of randomness.

    Raises:
        ValueError: there are no other voices.
    """
    if not sound.others:
        raise ValueError("babble needs the voices of other people; there are none")
    length = len(sound.samples)
    chosen = draw.permutation(len(sound.others))
    talk = np.zeros(length)
    for number in range(TALKERS):
        voice = sound.others[chosen[number % len(chosen)]].astype(np.float64)
        first = int(draw.integers(len(voice)))
        talk += voice[(first + np.arange(length)) % len(voice)] / _rms(voice)
    return _mixed(sound, talk, snr)


def clipping(sound: Sound, headroom: float, draw: Generator) -> Sound:
    """Overload: everything beyond a level is cut off flat.

    The energy is restored afterwards, so that the distortion is measured and not a lower level.

    Args:
        sound: the clip.
        headroom: from the active speech level up to the level at which samples are cut, dB (peaks of speech lie about
            12 to 18 dB up); infinite leaves the clip as it is.
        draw: not used.
    """
    level = active_level(sound.samples, sound.rate)
    if not math.isfinite(level) or math.isinf(headroom):
        return sound
    limit = 10 ** ((level + headroom) / 20)
    cut = np.clip(sound.samples, -limit, limit)
    return replace(sound, samples=(cut * (_rms(sound.samples) / _rms(cut))).astype(np.float32))


def telephone(sound: Sound, lost: float, draw: Generator) -> Sound:
    """A narrow-band telephone line: 300 to 3400 Hz at 8 kHz, mu-law samples, lost packets of 20 ms silent.

    Args:
        sound: the clip.
        lost: share of the packets that are lost, 0..1; with 0 it is a good line, not the clip as it was.
        draw: source of randomness.
    """
    length = len(sound.samples)
    if length == 0:
        return sound
    wave = torch.from_numpy(np.ascontiguousarray(sound.samples, dtype=np.float32))
    edge = BAND[1] / (min(LINE_RATE, sound.rate) / 2)
    line = functional.resample(wave, sound.rate, LINE_RATE, lowpass_filter_width=_SHARP, rolloff=min(edge, 0.99))
    for quality in _BUTTERWORTH:
        line = functional.highpass_biquad(line, LINE_RATE, BAND[0], quality)
    coded = functional.mu_law_encoding(line.clamp(-1, 1), LINE_LEVELS)
    heard = functional.mu_law_decoding(coded, LINE_LEVELS)
    arrived = draw.random(math.ceil(len(heard) / PACKET)) >= lost
    heard = heard * torch.from_numpy(arrived.repeat(PACKET)[: len(heard)])
    back = functional.resample(heard, LINE_RATE, sound.rate, lowpass_filter_width=_SHARP).numpy()
    samples = np.zeros(length, dtype=np.float32)
    samples[: len(back)] = np.clip(back[:length], -1, 1)
    return replace(sound, samples=samples)


def active_level(samples: NDArray[Any], rate: int) -> float:
    """Active speech level (ITU-T P.56, method B): the level over the time in which somebody speaks.

    Speech is active where its envelope lies above a threshold, and ``HANGOVER`` longer; the threshold is the one that
    lies ``MARGIN`` under the level that results, interpolated between powers of two.

    Args:
        samples: ``[N]`` within -1..1.
        rate: Hz.

    Returns:
        dB relative to a root mean square of 1; minus infinity for silence, the plain level for a clip that is too short
        or too quiet to have an envelope.

    Example:
        >>> tone = np.sin(2 * np.pi * 100 * np.arange(16000) / 16000)
        >>> round(active_level(np.concatenate([tone, np.zeros(32000)]), 16000), 1)
        -4.1
    """
    plain = _rms(samples)
    if plain == 0.0:
        return -math.inf
    decay = math.exp(-1 / (ENVELOPE * rate))
    envelope = functional.lfilter(
        torch.from_numpy(np.abs(samples.astype(np.float64))),
        torch.tensor([1.0, -2 * decay, decay**2], dtype=torch.float64),
        torch.tensor([(1 - decay) ** 2, 0.0, 0.0], dtype=torch.float64),
        clamp=False,
    ).numpy()
    places = np.arange(len(samples))
    hangover = math.ceil(HANGOVER * rate)
    levels, gaps = [], []
    for threshold in _THRESHOLDS:
        last = np.maximum.accumulate(np.where(envelope >= threshold, places, -hangover - 1))
        active = int((places - last <= hangover).sum())
        if active:
            levels.append(20 * math.log10(plain) + 10 * math.log10(len(samples) / active))
            gaps.append(levels[-1] - 20 * math.log10(threshold))
    if not levels:
        return 20 * math.log10(plain)
    return float(np.interp(MARGIN, np.maximum.accumulate(gaps), levels))


def _mixed(sound: Sound, noise: NDArray[np.float64], snr: float) -> Sound:
    """The clip with the noise ``snr`` dB under its active level; turned down where the sum would leave -1..1."""
    level = active_level(sound.samples, sound.rate)
    if not math.isfinite(level) or math.isinf(snr):
        return sound
    pauses = level - 20 * math.log10(_rms(sound.samples))
    mixed = functional.add_noise(
        torch.from_numpy(sound.samples.astype(np.float64)), torch.from_numpy(noise), torch.tensor(snr - pauses)
    ).numpy()
    return replace(sound, samples=(mixed / max(1.0, float(np.abs(mixed).max()))).astype(np.float32))


def _rms(samples: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
