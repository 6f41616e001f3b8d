"""Fundamental frequency and harmonicity of speech, batched on any device.

Autocorrelation of short windowed frames, corrected for the window, with a best path over candidates: Boersma 1993,
"Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled sound". The
path is found by an associative scan (16 + log2(T / 16) steps instead of T), so there is no loop over frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

#: Range of the fundamental frequency, Hz.
F0_MIN = 60.0
F0_MAX = 700.0
#: K, candidates per frame.
CANDIDATES = 5
# Boersma 1993 and Praat's defaults for a 10 ms time step.
VOICING_THRESHOLD = 0.45
SILENCE_THRESHOLD = 0.03
OCTAVE_COST = 0.01
OCTAVE_JUMP_COST = 0.35
VOICING_CHANGE_COST = 0.14
# A frame below this RMS (-70 dBFS) is unvoiced, even if its last bits are periodic.
RMS_FLOOR = 10 ** (-70 / 20)
# Lags are sampled at least at this rate (Hz), so that a parabola through three of them is accurate to a few cents.
LAG_RATE = 16000
# Sequential steps of the path search. All chunks of a clip are processed in parallel.
CHUNK = 16


@dataclass(frozen=True, slots=True)
class Frames:
    """Analysis of single frames, before neighbouring frames are compared.

    Args:
        f0: ``[B, T, K]`` candidates, Hz; 0 for missing ones.
        strength: ``[B, T, K]`` window-corrected autocorrelation at the candidates, 0..1.
        peak: ``[B, T]`` largest magnitude around the centre of the frame.
        power: ``[B, T, bins]`` power spectrum of the Hann-windowed frame.
    """

    f0: Tensor
    strength: Tensor
    peak: Tensor
    power: Tensor


@dataclass(frozen=True, slots=True)
class Pitch:
    """A pitch track. Every tensor is ``[B, T]``.

    Args:
        f0: Hz; 0 where unvoiced.
        voicing: 0..1; above 0.5 where the best path is voiced.
        harmonicity: harmonics-to-noise ratio, dB, within -20..40.
    """

    f0: Tensor
    voicing: Tensor
    harmonicity: Tensor


def frame_count(samples: int, hop: int) -> int:
    """Number of frames of a signal: one at sample 0 and one every ``hop`` samples, centred.

    Example:
        >>> frame_count(16000, 160)
        101
    """
    return samples // hop + 1


def window_samples(sample_rate: int) -> int:
    """Length of the analysis window in samples: three periods of the lowest pitch, an even number."""
    return 2 * round(1.5 * sample_rate / F0_MIN)


def analyse_frames(wave: Tensor, sample_rate: int, hop: int) -> Frames:
    """Compute the pitch candidates and the spectrum of every frame.

    Args:
        wave: ``[B, N]``, zero beyond a clip's end.
        sample_rate: sample rate, Hz.
        hop: samples between frames.

    Returns:
        :class:`Frames`, with ``T = N // hop + 1``.
    """
    size = window_samples(sample_rate)
    oversample = max(1, math.ceil(LAG_RATE / sample_rate))
    longest = math.ceil(sample_rate / F0_MIN) + 2
    n_fft = _fast_length(size + longest)
    window = torch.hann_window(size, periodic=False, dtype=wave.dtype, device=wave.device)
    frames = F.pad(wave, (size // 2, size - size // 2)).unfold(-1, size, hop)
    frames = frames[:, : frame_count(wave.shape[-1], hop)]
    frames = frames - frames.mean(-1, keepdim=True)
    middle = slice(size // 2 - size // 6, size // 2 + size // 6)
    peak = frames[..., middle].abs().amax(-1)
    spectrum = torch.fft.rfft(frames * window, n=n_fft)
    power = spectrum.real.square() + spectrum.imag.square()
    lags = longest * oversample
    correlation = torch.fft.irfft(power, n=n_fft * oversample)[..., :lags]
    own = torch.fft.irfft(torch.fft.rfft(window, n=n_fft).abs().square(), n=n_fft * oversample)[:lags]
    silent = correlation[..., :1] <= 1e-12
    correlation = correlation / correlation[..., :1].clamp_min(1e-12) * (own[0] / own)
    correlation = correlation.masked_fill(silent, 0.0)
    f0, strength = _candidates(correlation, sample_rate * oversample)
    return Frames(f0, strength, peak, power)


def _fast_length(least: int) -> int:
    """The next even length whose only prime factors are 2, 3 and 5."""
    n = least + least % 2
    while True:
        rest = n
        for p in (2, 3, 5):
            while rest % p == 0:
                rest //= p
        if rest == 1:
            return n
        n += 2


def _candidates(correlation: Tensor, lag_rate: int) -> tuple[Tensor, Tensor]:
    """The strongest peaks of ``[B, T, lags]``, refined by a parabola: F0 (Hz) and strength, each ``[B, T, K]``."""
    shortest = max(1, math.floor(lag_rate / F0_MAX))
    left, here, right = (
        correlation[..., shortest - 1 : -2],
        correlation[..., shortest:-1],
        correlation[..., shortest + 1 :],
    )
    lag = torch.arange(shortest, shortest + here.shape[-1], device=here.device, dtype=here.dtype)
    is_peak = (here > left) & (here >= right) & (here > 0)
    # A shorter lag is preferred among equals. Otherwise every multiple of the period would be as good as the period.
    score = here - OCTAVE_COST * torch.log2(lag * (F0_MIN / lag_rate))
    best, index = _largest(score.masked_fill(~is_peak, -1.0))
    a, b, c = left.gather(-1, index), here.gather(-1, index), right.gather(-1, index)
    offset = ((a - c) / (2 * (a - 2 * b + c)).clamp_max(-1e-9)).clamp(-0.5, 0.5)
    strength = (b - 0.25 * (a - c) * offset).clamp(0.0, 1.0)
    f0 = lag_rate / (index + shortest + offset)
    real = best > -1.0
    return torch.where(real, f0, 0.0), torch.where(real, strength, 0.0)


def _largest(score: Tensor) -> tuple[Tensor, Tensor]:
    """Values and indices of the K largest along the last axis. For small K, repeated maxima are faster than a sort."""
    values, places = [], []
    for _ in range(CANDIDATES):
        value, place = score.max(-1, keepdim=True)
        score = score.scatter(-1, place, -1.0)
        values.append(value)
        places.append(place)
    return torch.cat(values, -1), torch.cat(places, -1)


def track_pitch(frames: Frames, mask: Tensor) -> Pitch:
    """Find the best path over the candidates of each clip.

    Args:
        frames: result of :func:`analyse_frames`.
        mask: ``[B, T]`` bool, true for frames of the clip. Frames beyond its end never change the others.
    """
    real = frames.f0 > 0
    f0 = frames.f0.clamp_min(F0_MIN / 2)
    loudest = frames.peak.masked_fill(~mask, 0.0).amax(-1, keepdim=True).clamp_min(1e-6)
    quiet = 2 - (frames.peak / loudest) * ((1 + VOICING_THRESHOLD) / SILENCE_THRESHOLD)
    unvoiced = VOICING_THRESHOLD + quiet.clamp_min(0.0)
    unvoiced = torch.where(frames.peak < RMS_FLOOR, 4.0, unvoiced)
    voiced = frames.strength - OCTAVE_COST * torch.log2(F0_MIN / f0)
    emission = torch.cat([unvoiced.unsqueeze(-1), voiced.masked_fill(~real, -4.0)], -1)
    emission = emission - emission.amax(-1, keepdim=True)
    pitch = torch.log2(f0)
    jump = -OCTAVE_JUMP_COST * (pitch[:, :-1, :, None] - pitch[:, 1:, None, :]).abs()
    transition = torch.full((*jump.shape[:2], CANDIDATES + 1, CANDIDATES + 1), -VOICING_CHANGE_COST, device=f0.device)
    transition[..., 0, 0] = 0.0
    transition[..., 1:, 1:] = jump
    total = max_marginals(emission, transition, mask)
    odds = total[..., 1:].amax(-1) - total[..., 0]
    choice = total[..., 1:].argmax(-1, keepdim=True)
    on = (odds > 0) & mask
    strength = frames.strength.gather(-1, choice).squeeze(-1).clamp(1e-2, 1 - 1e-4)
    return Pitch(
        f0=torch.where(on, frames.f0.gather(-1, choice).squeeze(-1), 0.0),
        # Scores are in units of correlation; a lead of 0.2 makes voicing nearly certain.
        voicing=torch.where(mask, torch.sigmoid(20.0 * odds), 0.0),
        harmonicity=10 * torch.log10(strength / (1 - strength)),
    )


def max_marginals(emission: Tensor, transition: Tensor, mask: Tensor) -> Tensor:
    """Score of the best path through each state at each step (max-product forward-backward).

    The argmax over states is the Viterbi path. Prefix and suffix products of (max, +) matrices are taken in chunks of
    16 steps in parallel, and over the chunks by a Hillis-Steele scan, so the depth is 16 + log2(T / 16).

    Args:
        emission: ``[B, T, K]`` score of a state.
        transition: ``[B, T - 1, K, K]`` score of moving from a state at t to one at t + 1.
        mask: ``[B, T]`` bool. Steps beyond the end of a clip have no influence.

    Returns:
        ``[B, T, K]``.

    Example:
        >>> e = torch.tensor([[[0.0, 1.0], [0.6, 0.0], [0.0, 1.0]]])
        >>> t = -torch.tensor([[0.0, 0.5], [0.5, 0.0]]).expand(1, 2, 2, 2)
        >>> max_marginals(e, t, torch.ones(1, 3, dtype=torch.bool)).argmax(-1).tolist()
        [[1, 1, 1]]
    """
    states = emission.shape[-1]
    off = torch.full((states, states), -1e4, device=emission.device, dtype=emission.dtype).fill_diagonal_(0.0)
    step = transition + emission[:, 1:, None, :]
    step = torch.where(mask[:, 1:, None, None], step, off)
    forward = torch.cat([emission[:, :1], _prefix(step, emission[:, 0])], 1)
    ones = torch.zeros_like(emission[:, 0])
    backward = torch.cat([_prefix(step.flip(1).mT, ones).flip(1), ones.unsqueeze(1)], 1)
    return forward + backward


def _prefix(steps: Tensor, start: Tensor) -> Tensor:
    """``[B, T, K]``: row ``start`` times the first t + 1 matrices of ``[B, T, K, K]`` in the (max, +) semiring."""
    count, states = steps.shape[1], steps.shape[-1]
    if count == 0:
        return steps[..., 0]
    # The padding at the end is never read.
    chunks = F.pad(steps, (0, 0, 0, 0, 0, -count % CHUNK)).view(len(start), -1, CHUNK, states, states)
    inside = [chunks[:, :, 0]]
    for i in range(1, CHUNK):
        inside.append(_product(inside[-1], chunks[:, :, i]))
    total = inside[-1]
    span = 1
    while span < total.shape[1]:
        total = torch.cat([total[:, :span], _product(total[:, :-span], total[:, span:])], 1)
        span *= 2
    ends = (start[:, None, :, None] + total[:, :-1]).amax(-2)
    entry = torch.cat([start.unsqueeze(1), ends], 1)
    reached = (entry[:, :, None, :, None] + torch.stack(inside, 2)).amax(-2)
    return reached.reshape(len(start), -1, states)[:, :count]


def _product(a: Tensor, b: Tensor) -> Tensor:
    """(max, +) matrix product over the last two axes."""
    return (a.unsqueeze(-1) + b.unsqueeze(-3)).amax(-2)
