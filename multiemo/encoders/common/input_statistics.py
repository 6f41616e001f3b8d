"""Summary statistics of inputs, by which an unusual input is recognised.

A clip becomes a vector that does not depend on the padding, made of what the encoder reads, before any layer. Noise, a
narrow band, blur and darkness show here. They need not show in the embedding: of a voice under babble it is closer to
the mean of training than that of a clean voice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from multiemo.types import PROSODY_CHANNELS, FaceSpec, InputSpec, SpeechSpec, WaveformSpec

#: Maps inputs ``[B, T, ...]`` and their mask ``[B, T]`` to statistics ``[B, Q]``.
Statistics: TypeAlias = Callable[[Tensor, Tensor], Tensor]

#: Spectrum of a waveform: window and step in seconds, mel bands, and the floor relative to the mean power.
_WINDOW, _STEP, _BANDS, _FLOOR = 0.025, 0.01, 64, 1e-6
#: A picture is divided into this many cells each way.
_CELLS = 4


def statistics_of(spec: InputSpec) -> Statistics | None:
    """The statistics of a kind of input.

    Args:
        spec: specification of the input.

    Returns:
        For a voice, mean and standard deviation over time of each prosody channel, and of each log-mel band relative to
        the level of the clip. For a face, brightness, contrast and sharpness. ``None`` for other kinds: an unusual word
        or an unusual feature may be the very expression.
    """
    if isinstance(spec, SpeechSpec):
        return partial(_speech_statistics, spec.n_mels)
    if isinstance(spec, WaveformSpec):
        return partial(_waveform_statistics, spec)
    return _face_statistics if isinstance(spec, FaceSpec) else None


def column_statistics(x: Tensor, mask: Tensor) -> Tensor:
    """Mean and standard deviation over time.

    Args:
        x: ``[B, T, F]``, padded.
        mask: ``[B, T]`` bool, true for real steps; every row has at least one.

    Returns:
        ``[B, 2 F]``.
    """
    real, count = mask.unsqueeze(-1), mask.sum(1, keepdim=True)
    mean = x.masked_fill(~real, 0.0).sum(1) / count
    deviation = ((x - mean.unsqueeze(1)).masked_fill(~real, 0.0).square().sum(1) / count).sqrt()
    return torch.cat([mean, deviation], 1)


def _speech_statistics(n_mels: int, x: Tensor, mask: Tensor) -> Tensor:
    """Statistics of log-mel bands and prosody channels ``[B, T, M + P]``."""
    return column_statistics(torch.cat([_levelled(x[..., :n_mels], mask), x[..., n_mels:]], -1), mask)


def _levelled(bands: Tensor, mask: Tensor) -> Tensor:
    """Log bands ``[B, T, M]`` less the mean of the clip, so that a quiet recording is not unusual."""
    if bands.shape[2] == 0:
        return bands
    level = bands.mean(2).masked_fill(~mask, 0.0).sum(1) / mask.sum(1)
    return bands - level.view(-1, 1, 1)


def _waveform_statistics(spec: WaveformSpec, x: Tensor, mask: Tensor) -> Tensor:
    """Statistics of a spectrum of the samples, and of the prosody channels if the input has them."""
    samples = x[..., : spec.row_samples].flatten(1)
    size = 2 ** math.ceil(math.log2(_WINDOW * spec.sample_rate))
    hop = round(_STEP * spec.sample_rate)
    lengths = mask.sum(1) * spec.row_samples
    samples = F.pad(samples, (0, max(0, size - samples.shape[1])))
    frames = samples.unfold(1, size, hop) * torch.hann_window(size, device=x.device)
    real = torch.arange(frames.shape[1], device=x.device) * hop + size <= lengths.unsqueeze(1)
    real[:, 0] = True
    power = torch.fft.rfft(frames).abs().square() @ _filters(size // 2 + 1, spec.sample_rate).to(x.device)
    mean = (power.mean(2) * real).sum(1) / real.sum(1)
    bands = power.clamp_min(torch.finfo(power.dtype).tiny).maximum((_FLOOR * mean).view(-1, 1, 1)).log()
    found = column_statistics(_levelled(bands, real), real)
    prosody = x[..., spec.row_samples :]
    if prosody.shape[2] != len(PROSODY_CHANNELS):
        return found
    return torch.cat([found, column_statistics(prosody, mask)], 1)


@lru_cache(maxsize=8)
def _filters(bins: int, rate: int) -> Tensor:
    from torchaudio.functional import melscale_fbanks  # slow to import, and only needed for waveforms

    filters: Tensor = melscale_fbanks(bins, 40.0, rate / 2, _BANDS, rate, mel_scale="slaney")
    return filters


def _face_statistics(x: Tensor, mask: Tensor) -> Tensor:
    """Means over the crops ``[B, F, 3, S, S]`` of colour, of brightness and contrast by cell, and of sharpness.

    Sharpness is the logarithm of the mean squared difference of neighbouring pixels, at three resolutions.
    """
    clips, crops = x.shape[:2]
    pixels = x.flatten(0, 1).float() / 255
    grey = pixels.mean(1, keepdim=True)
    brightness = F.adaptive_avg_pool2d(grey, _CELLS).flatten(1)
    contrast = (F.adaptive_avg_pool2d(grey.square(), _CELLS).flatten(1) - brightness.square()).clamp_min(0).sqrt()
    sharpness = [_sharpness(F.avg_pool2d(grey, size) if size > 1 else grey) for size in (1, 2, 4)]
    found = torch.cat([pixels.mean((2, 3)), brightness, contrast, torch.stack(sharpness, 1)], 1)
    found = found.view(clips, crops, -1).masked_fill(~mask.unsqueeze(-1), 0.0)
    return found.sum(1) / mask.sum(1, keepdim=True)


def _sharpness(grey: Tensor) -> Tensor:
    """Sharpness ``[N]`` of pictures ``[N, 1, S, S]``; the constant is the square of a quarter of a grey level."""
    across, down = grey.diff(dim=3).square().mean((1, 2, 3)), grey.diff(dim=2).square().mean((1, 2, 3))
    return (across + down + 1e-6).log()
