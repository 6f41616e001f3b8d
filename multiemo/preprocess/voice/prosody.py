"""The prosody track: how something is said, as one row of physical measures every 10 ms.

Batched torch operations from the waveform on, identical on CPU and GPU, without a loop over frames. Columns, in the
order of :data:`PROSODY_CHANNELS`:

===========  ============  ===========================================================================================
f0           semitones     re 55 Hz; interpolated linearly across unvoiced frames, constant beyond the first and last
                           voiced frame, and 0 throughout if nothing is voiced
voicing      0..1          above 0.5 where the pitch tracker's best path is voiced
energy       dBFS          root mean square of 25 ms, not below -80
tilt         dB/octave     slope of the third-octave band levels from 100 Hz to 5 kHz (or to the band edge)
harmonicity  dB            harmonics-to-noise ratio by autocorrelation (Boersma 1993), -20..40
jitter       percent       mean absolute difference of successive periods over the mean period; 0 where unvoiced
shimmer      percent       the same of successive periods' RMS amplitudes; 0 where unvoiced
rate         per second    density of syllable nuclei (energy peaks in voiced stretches; after de Jong & Wempe 2009)
                           in a Gaussian window of 0.5 s standard deviation
delta_f0     semitones/s   slope of F0 over five frames; 0 if any of them is unvoiced
flux         dB            root mean square change of the third-octave band levels from the previous frame
h1_h2        dB            level of the first harmonic minus that of the second; 0 where unvoiced
===========  ============  ===========================================================================================
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from multiemo.preprocess.voice.pitch import F0_MIN, Pitch, analyse_frames, frame_count, track_pitch
from multiemo.types import PROSODY_CHANNELS

__all__ = ["PROSODY_CHANNELS", "prosody"]

#: Reference of F0 in semitones, Hz.
F0_REFERENCE = 55.0
#: Lowest level, dBFS.
ENERGY_FLOOR = -80.0
#: Window of the level, seconds.
ENERGY_WINDOW = 0.025
#: Range of the third-octave bands, Hz.
BAND_RANGE = (100.0, 5000.0)
#: Syllable nuclei: maximum within +-60 ms that exceeds the minimum within 120 ms on both sides by 2 dB.
NUCLEUS_REACH, NUCLEUS_DIP, NUCLEUS_PROMINENCE = 0.06, 0.12, 2.0
#: Standard deviation of the window of the syllable rate, seconds.
RATE_SIGMA = 0.5
#: For jitter and shimmer: number of compared periods, samples per period, and largest shift between two, in samples.
CYCLES, CYCLE_SAMPLES, CYCLE_SHIFT = 5, 48, 4


def prosody(wave: Tensor, sample_rate: int, *, hop: float = 0.01, lengths: Tensor | None = None) -> Tensor:
    """Measure the prosody of clips.

    Args:
        wave: ``[B, N]`` or ``[N]`` float, -1..1.
        sample_rate: sample rate, Hz; at least 8 kHz (telephone).
        hop: seconds between rows.
        lengths: ``[B]`` real samples of each clip; all by default. Later samples are ignored, and later rows are zero.

    Returns:
        ``[B, T, P]`` or ``[T, P]`` float32 with ``T = N // (hop * sample_rate) + 1``. Row t is centred on ``t * hop``.
        The columns are :data:`PROSODY_CHANNELS`. Finite for finite input.

    Example:
        >>> t = torch.arange(16000) / 16000
        >>> track = prosody(torch.sin(2 * math.pi * 220.0 * t), 16000)
        >>> tuple(track.shape), round(float(track[50, 0]), 2)
        ((101, 11), 24.0)
    """
    if wave.ndim == 1:
        return prosody(wave.unsqueeze(0), sample_rate, hop=hop, lengths=lengths).squeeze(0)
    wave = wave.float()
    step = round(hop * sample_rate)
    count = frame_count(wave.shape[-1], step)
    if lengths is None:
        lengths = torch.full((wave.shape[0],), wave.shape[-1], device=wave.device)
    wave = wave.masked_fill(torch.arange(wave.shape[-1], device=wave.device) >= lengths.unsqueeze(-1), 0.0)
    mask = torch.arange(count, device=wave.device) < (lengths // step + 1).unsqueeze(-1)

    frames = analyse_frames(wave, sample_rate, step)
    pitch = track_pitch(frames, mask)
    voiced = pitch.f0 > 0
    semitones = _interpolate(12 * torch.log2(pitch.f0.clamp_min(F0_MIN / 2) / F0_REFERENCE), voiced)
    energy = rms_db(wave, sample_rate, step).masked_fill(~mask, ENERGY_FLOOR)
    bands = _band_levels(frames.power, sample_rate)
    jitter, shimmer = _perturbation(wave, pitch, sample_rate, step)
    columns = {
        "f0": semitones,
        "voicing": pitch.voicing,
        "energy": energy,
        "tilt": bands @ _slope_weights(bands.shape[-1]).to(bands) * 3.0,
        "harmonicity": pitch.harmonicity,
        "jitter": jitter,
        "shimmer": shimmer,
        "rate": _syllable_rate(energy, voiced, mask, hop),
        "delta_f0": _slope(semitones, voiced, hop),
        "flux": F.pad((bands[:, 1:] - bands[:, :-1]).square().mean(-1).sqrt(), (1, 0)),
        "h1_h2": _first_harmonics(frames.power, pitch, sample_rate),
    }
    return torch.stack([columns[name] for name in PROSODY_CHANNELS], -1).masked_fill(~mask.unsqueeze(-1), 0.0)


def rms_db(wave: Tensor, sample_rate: int, step: int) -> Tensor:
    """Level over centred 25 ms windows (as ``librosa.feature.rms``).

    Args:
        wave: ``[B, N]`` samples.
        sample_rate: sample rate, Hz.
        step: samples between windows.

    Returns:
        ``[B, T]``, dBFS.
    """
    size = 2 * round(ENERGY_WINDOW * sample_rate / 2)
    squares = F.pad(wave.square(), (size // 2, size // 2)).unsqueeze(1)
    mean = F.avg_pool1d(squares, size, step).squeeze(1)
    return 10 * torch.log10(mean.clamp_min(10 ** (ENERGY_FLOOR / 10)))


def _interpolate(values: Tensor, known: Tensor) -> Tensor:
    """Interpolate unknown values ``[B, T]`` linearly, and extend the ends as constants; 0 if none is known."""
    steps = values.shape[1]
    t = torch.arange(steps, device=values.device).expand_as(values)
    before = torch.where(known, t, -1).cummax(1).values
    after = torch.where(known, t, steps).flip(1).cummin(1).values.flip(1)
    left = values.gather(1, torch.where(before < 0, after, before).clamp_max(steps - 1))
    right = values.gather(1, torch.where(after >= steps, before, after).clamp_min(0))
    share = (t - before).to(values) / (after - before).clamp_min(1)
    result = torch.where(before < 0, right, torch.where(after >= steps, left, left + share * (right - left)))
    return torch.where(known.any(1, keepdim=True), result, 0.0)


def _slope(semitones: Tensor, voiced: Tensor, hop: float) -> Tensor:
    """Least-squares slope over five frames, semitones per second."""
    weights = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0], device=semitones.device) / (10 * hop)
    slope = F.pad(semitones, (2, 2)).unfold(-1, 5, 1) @ weights
    inside = F.pad(voiced, (2, 2)).unfold(-1, 5, 1).all(-1)
    return torch.where(inside, slope, 0.0)


@lru_cache(maxsize=8)
def _band_matrix(bins: int, sample_rate: int) -> Tensor:
    """Third-octave bands with triangular skirts, ``[bins, bands]`` (each at least one bin wide)."""
    top = min(BAND_RANGE[1], 0.475 * sample_rate)
    count = math.floor(3 * math.log2(top / BAND_RANGE[0])) + 1
    frequency = torch.linspace(0, sample_rate / 2, bins)
    position = 3 * torch.log2(frequency.clamp_min(1.0) / BAND_RANGE[0])
    skirts = (1 - (position.unsqueeze(-1) - torch.arange(count)).abs()).clamp_min(0)
    return skirts / skirts.sum(0, keepdim=True).clamp_min(1e-6)


@lru_cache(maxsize=8)
def _slope_weights(bands: int) -> Tensor:
    """Least-squares slope over band numbers, ``[bands]``."""
    x = torch.arange(bands) - (bands - 1) / 2
    return x / x.square().sum()


def _band_levels(power: Tensor, sample_rate: int) -> Tensor:
    """Third-octave levels, dB with a floor, ``[B, T, bands]``."""
    return 10 * torch.log10(power @ _band_matrix(power.shape[-1], sample_rate).to(power) + 1e-5)


def _first_harmonics(power: Tensor, pitch: Pitch, sample_rate: int) -> Tensor:
    """Level of the first harmonic minus that of the second, dB, each from a parabola through three bins."""
    width = sample_rate / 2 / (power.shape[-1] - 1)
    last = power.shape[-1] - 1

    def level(frequency: Tensor) -> Tensor:
        middle = (frequency / width).round().long().unsqueeze(-1)
        a, b, c = (10 * torch.log10(power.gather(-1, (middle + d).clamp(0, last)) + 1e-8) for d in (-1, 0, 1))
        offset = ((a - c) / (2 * (a - 2 * b + c)).clamp_max(-1e-3)).clamp(-1.0, 1.0)
        return (b - 0.25 * (a - c) * offset).squeeze(-1)

    difference = (level(pitch.f0) - level(2 * pitch.f0)).clamp(-60.0, 60.0)
    return torch.where(pitch.f0 > 0, difference, 0.0)


def _perturbation(wave: Tensor, pitch: Pitch, sample_rate: int, step: int) -> tuple[Tensor, Tensor]:
    """Jitter and shimmer, percent, each ``[B, T]``.

    Five periods around a frame are resampled at 48 points each. The shift at which a period best matches the next
    (cross-correlation with a parabola through the peak) gives the difference of its length from the tracked period.
    """
    voiced = pitch.f0 > 0
    n, reach = CYCLE_SAMPLES, CYCLE_SHIFT
    period = sample_rate / pitch.f0.clamp_min(F0_MIN)
    total = CYCLES * n + 2 * reach
    phase = (torch.arange(total, device=wave.device) - (total - 1) / 2) / n
    margin = math.ceil(total / n * sample_rate / F0_MIN / 2) + 1
    centre = torch.arange(period.shape[1], device=wave.device) * step + margin
    place = centre.unsqueeze(-1) + period.unsqueeze(-1) * phase
    low = place.floor()
    index = low.long().flatten(1)
    around = F.pad(wave, (margin, margin + 1))
    drawn = torch.lerp(around.gather(1, index), around.gather(1, index + 1), (place - low).flatten(1))
    drawn = drawn.view(*place.shape)
    cycles = drawn[..., reach : total - reach].view(*period.shape, CYCLES, n)
    # Each period except the first, at every shift: [..., CYCLES - 1, 2 * reach + 1, n], without copying.
    candidates = drawn[..., n:].unfold(-1, n + 2 * reach, n).unfold(-1, n, 1)
    match = (candidates * cycles[..., :-1, :].unsqueeze(-2)).sum(-1)
    match = match / candidates.square().sum(-1).sqrt().clamp_min(1e-6)
    best = match[..., 1:-1].argmax(-1, keepdim=True) + 1
    a, b, c = (match.gather(-1, best + d).squeeze(-1) for d in (-1, 0, 1))
    shift = (best.squeeze(-1) - reach + ((a - c) / (2 * (a - 2 * b + c)).clamp_max(-1e-9)).clamp(-0.5, 0.5)) / n
    jitter = 100 * (shift[..., 1:] - shift[..., :-1]).abs().mean(-1)
    amplitude = cycles.square().mean(-1).sqrt()
    shimmer = 100 * (amplitude[..., 1:] - amplitude[..., :-1]).abs().mean(-1) / amplitude.mean(-1).clamp_min(1e-5)
    return torch.where(voiced, jitter, 0.0), torch.where(voiced, shimmer, 0.0)


def _syllable_rate(energy: Tensor, voiced: Tensor, mask: Tensor, hop: float) -> Tensor:
    """Syllable nuclei per second, ``[B, T]``."""
    smooth = _gaussian((energy - ENERGY_FLOOR) * mask, 0.02 / hop)
    reach, dip = round(NUCLEUS_REACH / hop), round(NUCLEUS_DIP / hop)
    height = F.max_pool1d(smooth, 2 * reach + 1, 1, reach)
    least = -F.max_pool1d(F.pad(-smooth, (dip, dip)), dip + 1, 1)
    valley = torch.maximum(least[:, : smooth.shape[1]], least[:, dip:])
    nucleus = (smooth >= height) & (smooth - valley >= NUCLEUS_PROMINENCE) & voiced & mask
    sigma = RATE_SIGMA / hop
    inside = _gaussian(mask.to(energy), sigma)
    return _gaussian(nucleus.to(energy), sigma) / inside.clamp_min(0.1) / hop


def _gaussian(x: Tensor, sigma: float) -> Tensor:
    """Smooth ``[B, T]`` along time, with zeros outside."""
    reach = math.ceil(2.5 * sigma)
    t = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (t / sigma).square())
    return F.conv1d(x.unsqueeze(1), (kernel / kernel.sum()).view(1, 1, -1), padding=reach).squeeze(1)
