"""Synthesise a voice with a source-filter model: glottal pulses with jitter and shimmer, filtered by moving formants.

The source is the KLGLOTT88 flow derivative (Klatt & Klatt 1990, JASA 87(2)). The vocal tract is a cascade of four
second-order resonances (Fant 1960; Klatt 1980) with the vowel targets of Peterson & Barney, scaled by the speaker's
vocal-tract length. Filtering is done on overlapping short-time spectra, so that a clip takes a few array operations.
The speech is syllable-like and not intelligible. It conveys prosody and voice quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.synthetic.cues import VOICE, VOWELS, VoiceCue

#: Sample rate, Hz.
RATE = 16000
_WINDOW = 512
_HOP = 128
_STEP = 80  # samples between points of the slow tracks (5 ms)
_TILT_FROM = 500.0  # Hz; pivot of the spectral slope
_BANDWIDTHS = np.array([70.0, 100.0, 150.0, 250.0])
_VOWELS = np.array([(*f, 3500.0) for f in VOWELS.values()])
#: Noise of consonants: (centre Hz, width Hz, level). Fricatives, then bursts.
_NOISES = np.array([(5200.0, 1600.0, 0.20), (3200.0, 1200.0, 0.22), (1500.0, 1500.0, 0.12), (4000.0, 2500.0, 0.14)])


@dataclass(frozen=True, slots=True)
class SyntheticSpeaker:
    """The constant features of one speaker's voice.

    Args:
        f0: habitual F0, Hz.
        tract: formant scale; 1 is an average man, about 1.17 an average woman.
        rate: syllables per second.
        f0_range: standard deviation of F0 within an utterance, semitones.
        tilt: habitual spectral slope relative to that of the source, dB per octave.
        loudness: habitual level relative to the average speaker, dB.
        breath: habitual aspiration noise, share of the voiced amplitude.
        noise: level of the room noise relative to full scale, dB (negative).
    """

    f0: float
    tract: float
    rate: float
    f0_range: float
    tilt: float
    loudness: float
    breath: float
    noise: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> SyntheticSpeaker:
        """Draw a random speaker. Half have a longer, half a shorter vocal tract."""
        short = rng.random() < 0.5
        return cls(
            f0=float(np.exp(rng.normal(np.log(205 if short else 118), 0.08))),
            tract=float(rng.normal(1.16 if short else 1.0, 0.03)),
            rate=float(rng.normal(6.0, 0.3)),
            f0_range=float(rng.uniform(1.6, 2.2)),
            tilt=float(rng.normal(0.0, 0.6)),
            loudness=float(rng.normal(0.0, 1.2)),
            breath=float(rng.uniform(0.01, 0.05)),
            noise=float(rng.uniform(-58.0, -46.0)),
        )


@dataclass(frozen=True, slots=True)
class SyntheticVoice:
    """A synthesised utterance.

    Args:
        samples: ``[N]`` float32 within -1..1 at 16 kHz.
        opening: ``[N / 80]`` mouth opening every 5 ms, 0..1.
    """

    samples: NDArray[np.float32]
    opening: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Syllables:
    """The timing of the syllables, seconds.

    Args:
        start: ``[S]`` start of each syllable.
        length: ``[S]`` duration of each syllable.
        total: duration of the utterance.
    """

    start: Array
    length: Array
    total: float


def blend(emotion: str, strength: float) -> VoiceCue:
    """Interpolate between the cues of neutral (``strength`` 0) and those of ``emotion`` (``strength`` 1).

    Example:
        >>> blend("sad", 0.0) == VOICE["neutral"]
        True
        >>> blend("fearful", 0.5).f0_shift
        3.25
    """
    calm, full = VOICE["neutral"], VOICE[emotion]
    names = [f.name for f in fields(VoiceCue)]
    mixed = {n: getattr(calm, n) + strength * (getattr(full, n) - getattr(calm, n)) for n in names}
    if strength in (0.0, 1.0):
        return full if strength else calm
    return replace(calm, **mixed)


def speak(
    syllables: Sequence[int], tones: Sequence[int], speaker: SyntheticSpeaker, cue: VoiceCue, rng: np.random.Generator,
    *, longest: float = 3.0,
) -> SyntheticVoice:  # fmt: skip
    """Synthesise one utterance.

    Args:
        syllables: one integer per syllable, which selects its vowel and consonant.
        tones: one number per syllable: 0 none, 1 high, 2 rising, 3 low, 4 falling (lexical tones of Chinese).
        speaker: the constant features of the voice.
        cue: the effect of the emotion, from :func:`blend`.
        rng: random number generator.
        longest: maximum duration, seconds. Later syllables are left out.

    Returns:
        The waveform and the mouth opening.
    """
    timing = _time(len(syllables), speaker, cue, rng, longest)
    count = int(timing.total * RATE) // _STEP
    times: Array = np.arange(count, dtype=np.float64) * (_STEP / RATE)
    envelope = _envelope(timing, cue, times, rng)
    f0 = _pitch(timing, np.asarray(tones[: len(timing.start)]), speaker, cue, times, rng)
    kinds = np.asarray(syllables[: len(timing.start)])
    samples = count * _STEP
    gain = np.interp(np.arange(samples), np.arange(count) * _STEP, envelope)
    source = _glottis(np.interp(np.arange(samples), np.arange(count) * _STEP, f0), cue, rng)
    breath = (cue.breath + speaker.breath) * rng.standard_normal(samples)
    voiced = _tract((source + breath) * gain, kinds, timing, speaker, cue)
    level = 10 ** ((cue.intensity + speaker.loudness + rng.normal(0, 1.0)) / 20)
    voiced *= 0.075 * level / max(float(np.sqrt(np.mean(voiced[gain > 0.3] ** 2))), 1e-9)
    noises = _consonants(kinds, timing, samples, rng) * 0.5 * level
    room = 10 ** (speaker.noise / 20) * _coloured(samples, rng)
    wave = np.tanh(voiced + noises + room).astype(np.float32)
    first = _VOWELS[kinds % len(_VOWELS), 0] / 730.0
    height = np.interp(times, timing.start + 0.5 * timing.length, first)
    return SyntheticVoice(wave, np.clip(envelope * height, 0, 1).astype(np.float32))


def _time(n: int, speaker: SyntheticSpeaker, cue: VoiceCue, rng: np.random.Generator, longest: float) -> _Syllables:
    """Place syllables on the time axis, with pauses and phrase-final lengthening."""
    lengths = rng.normal(1.0, 0.14, n).clip(0.6, 1.5) / (speaker.rate * cue.rate)
    lengths[-1:] *= 1.3
    pauses = np.where(rng.random(n) < cue.pause, rng.uniform(0.12, 0.3, n), 0.0)
    lead, tail = rng.uniform(0.08, 0.2, 2)
    start = lead + np.concatenate([[0.0], np.cumsum(lengths + pauses)[:-1]])
    keep = max(1, int(np.sum(start + lengths + tail <= longest)))
    total = max(1.4, float(start[keep - 1] + lengths[keep - 1] + tail))
    return _Syllables(start[:keep], lengths[:keep], total)


def _envelope(timing: _Syllables, cue: VoiceCue, times: Array, rng: np.random.Generator) -> Array:
    """Return the amplitude envelope of the voiced sound: each syllable rises within the attack, sustains and falls."""
    since = times[:, None] - (timing.start + 0.18 * timing.length)[None]
    left = (timing.start + timing.length)[None] - times[:, None]
    rise = np.clip(since / cue.attack, 0, 1)
    fall = np.clip(left / (0.25 * timing.length)[None], 0, 1)
    stress = rng.uniform(0.7, 1.0, len(timing.start))
    return np.asarray((np.sin(0.5 * np.pi * np.minimum(rise, fall)) * stress).max(axis=1))


def _pitch(
    timing: _Syllables, tones: NDArray[np.int64], speaker: SyntheticSpeaker, cue: VoiceCue, times: Array,
    rng: np.random.Generator,
) -> Array:  # fmt: skip
    """Return F0 in Hz: level + slope + accents of the syllables + lexical tone + tremor."""
    middle = timing.start + 0.5 * timing.length
    accents = rng.normal(0, 1, len(middle)) * speaker.f0_range * cue.f0_range
    high = np.array([0.0, 1.2, 0.0, -1.4, 0.6])[tones]
    slope = np.array([0.0, 0.0, 9.0, 0.0, -9.0])[tones]
    nearest = np.abs(times[:, None] - middle[None]).argmin(axis=1)
    local = np.clip(times - middle[nearest], -0.15, 0.15) * slope[nearest] * min(cue.f0_range, 1.2)
    tremor = cue.tremor * np.sin(2 * np.pi * (6.5 * times + rng.random()))
    drift = cue.contour * (times - 0.5 * timing.total)
    semitones = cue.f0_shift + drift + np.interp(times, middle, accents + high) + local + tremor
    return np.asarray(speaker.f0 * np.exp2(np.clip(semitones, -9, 16) / 12))


def _glottis(f0: Array, cue: VoiceCue, rng: np.random.Generator) -> Array:
    """Return the KLGLOTT88 flow derivative at F0 (``[N]`` Hz), with cycles perturbed in length and amplitude."""
    cycles = np.cumsum(f0 / RATE).astype(np.int64)
    wobble = 1 + cue.jitter * rng.standard_normal(cycles[-1] + 2)
    phase = np.cumsum(f0 * wobble[cycles] / RATE)
    shimmer = 1 + 3 * cue.jitter * rng.standard_normal(int(phase[-1]) + 2)
    quotient = float(np.clip(0.6 - 0.04 * cue.tilt, 0.4, 0.8))
    t = (phase % 1.0) / quotient
    pulse = np.where(t < 1, 2 * t - 3 * t**2, 0.0)
    return np.asarray(pulse * shimmer[phase.astype(np.int64)])


def _tract(
    source: Array, kinds: NDArray[np.int64], timing: _Syllables, speaker: SyntheticSpeaker, cue: VoiceCue
) -> Array:
    """Filter the source by formants that move between vowel targets, and by the spectral slope."""
    frames = 1 + (len(source) + _WINDOW) // _HOP
    centres = (np.arange(frames) * _HOP - _WINDOW / 2) / RATE
    targets = _VOWELS[kinds % len(_VOWELS)] * speaker.tract * cue.formants
    middle = timing.start + 0.6 * timing.length
    formants = np.stack([np.interp(centres, middle, targets[:, k]) for k in range(4)], axis=1)
    hz = np.fft.rfftfreq(2 * _WINDOW, 1 / RATE)
    squared = hz[None] ** 2
    response = np.ones((frames, len(hz)))
    for k in range(4):
        centre = formants[:, k : k + 1] ** 2
        response *= centre / np.sqrt((centre - squared) ** 2 + squared * _BANDWIDTHS[k] ** 2)
    octaves = np.log2(np.maximum(hz, 60.0) / _TILT_FROM).clip(-1.0, 3.5)
    response *= 10 ** ((speaker.tilt + cue.tilt) * octaves / 20)[None]
    return _filtered(source, response)


def _filtered(signal: Array, response: Array) -> Array:
    """Filter a signal: multiply its short-time spectra by ``response`` (``[frames, bins]``) and overlap-add."""
    window = np.hanning(_WINDOW + 1)[:-1]
    frames = len(response)
    padded = np.pad(signal, (_WINDOW, frames * _HOP + _WINDOW - len(signal)))
    cut = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[: frames * _HOP : _HOP]
    spectra = np.fft.rfft(cut * window, 2 * _WINDOW, axis=1) * response
    # The filter is zero-phase, so it rings in both directions: leave half a window on either side.
    pieces = np.roll(np.fft.irfft(spectra, axis=1), _WINDOW // 2, axis=1)
    out = np.zeros(frames * _HOP + 2 * _WINDOW)
    parts = 2 * _WINDOW // _HOP
    for k in range(parts):  # frames that are `parts` apart do not overlap
        row = pieces[k::parts].reshape(-1)
        room = out[k * _HOP : k * _HOP + len(row)]
        room += row[: len(room)]
    return out[3 * _WINDOW // 2 :][: len(signal)] * (2 * _HOP / _WINDOW)


def _consonants(kinds: NDArray[np.int64], timing: _Syllables, samples: int, rng: np.random.Generator) -> Array:
    """Return short shaped noise before each vowel. About a third of the syllables have none."""
    out = np.zeros(samples)
    for kind, start, length in zip(kinds // len(_VOWELS), timing.start, timing.length, strict=True):
        if kind % 6 > 3:
            continue
        centre, width, level = _NOISES[kind % 6]
        n = max(64, int((0.22 if kind % 6 < 2 else 0.1) * length * RATE))
        hz = np.fft.rfftfreq(n, 1 / RATE)
        shape = np.exp(-(((hz - centre) / width) ** 2))
        noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * shape, n) * np.hanning(n) * level
        first = int(start * RATE)
        out[first : first + n] += noise[: max(0, samples - first)]
    return out


def _coloured(samples: int, rng: np.random.Generator) -> Array:
    """Return room noise of unit power that falls by 3 dB per octave."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 8))
    noise = np.fft.irfft(spectrum, samples)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))
