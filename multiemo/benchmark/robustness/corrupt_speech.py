"""Corruptions of speech: white noise, babble, clipping and a telephone line.

Levels are defined as in ITU-T P.56 and in the noisy corpora of Hirsch and Pearce (2000): the level of speech is its
active level, without pauses; the level of noise is its root mean square.
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

#: Number of simultaneous talkers in the babble; with six to eight, no single talker can be followed.
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
#: Length of a packet: 20 ms, in samples at ``LINE_RATE``.
PACKET = 160
#: Quality factors of the two halves of a fourth-order Butterworth filter.
_BUTTERWORTH = (0.5412, 1.3066)
#: Width of the resampling filter (zero crossings): wide, for a sharp edge of the band.
_FILTER_WIDTH = 64


@dataclass(frozen=True, slots=True)
class Sound(Audio):
    """The sound of one clip, and the voices for its babble.

    Args:
        samples, rate: see :class:`multiemo.inputs.material.Audio`.
        others: voices of other people, at the same rate, none of them silent.
    """

    others: tuple[Floats, ...] = ()


def white_noise(sound: Sound, snr: float, draw: Generator) -> Sound:
    """Add white Gaussian noise.

    Args:
        sound: the clip.
        snr: active speech level over the level of the noise, dB; infinity does not change the clip.
        draw: source of randomness.
    """
    return _mixed(sound, draw.standard_normal(len(sound.samples)), snr)


def babble(sound: Sound, snr: float, draw: Generator) -> Sound:
    """Add babble: ``TALKERS`` voices of equal level, each repeated from a random position.

    If there are fewer voices, some are used more than once, from different positions.

    Args:
        sound: the clip, with the voices of other people.
        snr: active speech level over the level of the babble, dB; infinity does not change the clip.
        draw: source of randomness.

    Raises:
        ValueError: the clip has no voices of other people.
    """
    if not sound.others:
        raise ValueError("babble needs the voices of other people; there are none")
    length = len(sound.samples)
    chosen = draw.permutation(len(sound.others))
    mixture = np.zeros(length)
    for number in range(TALKERS):
        voice = sound.others[chosen[number % len(chosen)]].astype(np.float64)
        first = int(draw.integers(len(voice)))
        mixture += voice[(first + np.arange(length)) % len(voice)] / _rms(voice)
    return _mixed(sound, mixture, snr)


def clipping(sound: Sound, headroom: float, draw: Generator) -> Sound:
    """Clip the samples at a level, as an overloaded recording does.

    The energy is restored afterwards, so the curve measures the distortion and not a lower level.

    Args:
        sound: the clip.
        headroom: clipping level above the active speech level, dB (peaks of speech are about 12 to 18 dB above it);
            infinity does not change the clip.
        draw: not used.
    """
    level = active_level(sound.samples, sound.rate)
    if not math.isfinite(level) or math.isinf(headroom):
        return sound
    limit = 10 ** ((level + headroom) / 20)
    cut = np.clip(sound.samples, -limit, limit)
    return replace(sound, samples=(cut * (_rms(sound.samples) / _rms(cut))).astype(np.float32))


def telephone(sound: Sound, lost: float, draw: Generator) -> Sound:
    """Pass the sound through a narrow-band telephone line: 300 to 3400 Hz at 8 kHz, mu-law coded.

    Lost packets of 20 ms become silence.

    Args:
        sound: the clip.
        lost: share of lost packets, 0..1; with 0 the sound still passes through the line.
        draw: source of randomness.
    """
    length = len(sound.samples)
    if length == 0:
        return sound
    wave = torch.from_numpy(np.ascontiguousarray(sound.samples, dtype=np.float32))
    edge = BAND[1] / (min(LINE_RATE, sound.rate) / 2)
    line = functional.resample(wave, sound.rate, LINE_RATE, lowpass_filter_width=_FILTER_WIDTH, rolloff=min(edge, 0.99))
    for quality in _BUTTERWORTH:
        line = functional.highpass_biquad(line, LINE_RATE, BAND[0], quality)
    coded = functional.mu_law_encoding(line.clamp(-1, 1), LINE_LEVELS)
    decoded = functional.mu_law_decoding(coded, LINE_LEVELS)
    arrived = draw.random(math.ceil(len(decoded) / PACKET)) >= lost
    decoded = decoded * torch.from_numpy(arrived.repeat(PACKET)[: len(decoded)])
    back = functional.resample(decoded, LINE_RATE, sound.rate, lowpass_filter_width=_FILTER_WIDTH).numpy()
    samples = np.zeros(length, dtype=np.float32)
    samples[: len(back)] = np.clip(back[:length], -1, 1)
    return replace(sound, samples=samples)


def active_level(samples: NDArray[Any], rate: int) -> float:
    """Active speech level (ITU-T P.56, method B): the level over the time in which somebody speaks.

    Speech is active while its envelope is above a threshold, and for ``HANGOVER`` after that. The threshold is the one
    that is ``MARGIN`` below the resulting level, interpolated between powers of two.

    Args:
        samples: ``[N]`` within -1..1.
        rate: Hz.

    Returns:
        dB relative to a root mean square of 1; minus infinity for silence; the level of the whole clip if it is too
        short or too quiet for an envelope.

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
    """Add noise ``snr`` dB below the active level of the clip; the sum is scaled down if it exceeds -1..1."""
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
