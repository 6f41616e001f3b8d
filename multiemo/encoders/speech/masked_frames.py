"""Masked frames: a speech encoder learns from unlabelled sound by saying what was hidden from it.

Spans of time are hidden and the standardised frames there predicted by a linear layer over the encoder's sequence, as
Mockingjay does (Liu et al. 2020), from spans drawn as for HuBERT (Hsu et al. 2021). The loss is a smooth L1, whose best
constant answer is nearly the mean, so that the mean is a fair guess to be measured against.
"""

from __future__ import annotations

import math
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multiemo.encoders.base import Encoder, MaskedTask, Standardize

#: Seconds of a hidden span: a syllable.
SPAN = 0.2
#: Share of a clip that is hidden: half, as for HuBERT, where a Transformer reads the whole clip; less where
#: convolutions see a third of a second around a frame.
SHARE_TRANSFORMER, SHARE_CONVOLUTIONS = 0.5, 0.3
#: Mel bands that a pretrained model is asked for, and the least power in one.
BANDS, FLOOR = 40, 1e-5


class ReadsRows(Protocol):
    """What :class:`MaskedRows` needs of a speech encoder."""

    standardize: Standardize

    def sequence(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised rows ``[B, T, M + P]`` and bool ``[B, T]`` to states ``[B, T', H]`` and bool ``[B, T']``."""
        ...


class ReadsWaves(Protocol):
    """What :class:`MaskedWave` needs of a speech encoder."""

    def split(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The input as waveform ``[B, N]``, zero where padded, its mask ``[B, N]``, and prosody ``[B, T, P]``."""
        ...

    def sequence(self, wave: Tensor, real: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Samples, which of them are real and which are hidden, each ``[B, N]``, to ``[B, T, H]`` and ``[B, T]``."""
        ...


class MaskedRows(MaskedTask):
    """Hides rows of the standardised input of ``speech_prosody``, all columns of them.

    The encoder makes one step of ``stride`` rows; whole steps are hidden, and each hidden step names its rows. The
    hidden rows read as zero, the mean of the training data, before anything looks at the clip, so that neither a mean
    over the clip nor a batch normalisation knows them.

    Args:
        width: of the encoder's sequence.
        columns: M + P.
        stride: rows in a step.
        hop: seconds between rows.
    """

    def __init__(self, width: int, columns: int, stride: int, hop: float) -> None:
        super().__init__()
        self.stride, self.span = stride, max(1, round(SPAN / (stride * hop)))
        self.decode = nn.Linear(width, stride * columns)

    def forward(self, encoder: Encoder, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`MaskedTask.forward`; the guess is the mean of the training data."""
        reader = cast("ReadsRows", encoder)
        x = reader.standardize(x).masked_fill(~mask.unsqueeze(-1), 0.0)
        lengths = -(-mask.sum(1) // self.stride)
        hidden = hide_spans(lengths, -(-x.shape[1] // self.stride), SHARE_CONVOLUTIONS, self.span)
        rows = hidden.repeat_interleave(self.stride, 1)[:, : x.shape[1]] & mask
        return _compare(self.predict(reader, x, mask, rows), x, rows)

    def predict(self, encoder: ReadsRows, x: Tensor, mask: Tensor, rows: Tensor) -> Tensor:
        """Standardised rows ``[B, T, M + P]`` from those that ``rows`` ``[B, T]`` does not hide."""
        states, _ = encoder.sequence(x.masked_fill(rows.unsqueeze(-1), 0.0), mask)
        return self.decode(states).view(x.shape[0], -1, x.shape[2])[:, : x.shape[1]]  # type: ignore[no-any-return]


class MaskedWave(MaskedTask):
    """Hides spans of the waveform of ``speech_pretrained`` and asks for their log-mel bands, a frame a model step.

    A frame is the ``stride`` samples of its own step under a Hann window, so that a hidden frame is hidden wholly.
    Each band is standardised over its clip, which takes level, room and voice colour out of the question; the guess,
    the clip's own mean, therefore knows more than one from the training data would. What is hidden reads as silence;
    a front-end that standardises its bands per clip leaves the hidden ones out.

    Args:
        width: of the encoder's sequence.
        stride: samples between steps.
        sample_rate: Hz.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, width: int, stride: int, sample_rate: int) -> None:
        from torchaudio.functional import melscale_fbanks  # the package imports all its models

        super().__init__()
        self.stride, self.span = stride, max(1, round(SPAN * sample_rate / stride))
        self.n_fft = max(512, 2 ** math.ceil(math.log2(stride)))
        filters = melscale_fbanks(
            self.n_fft // 2 + 1, 40.0, sample_rate / 2, BANDS, sample_rate, norm=None, mel_scale="slaney"
        )
        self.register_buffer("window", torch.hann_window(stride), persistent=False)
        self.register_buffer("filters", filters, persistent=False)
        self.decode = nn.Linear(width, BANDS)

    def forward(self, encoder: Encoder, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`MaskedTask.forward`; the guess is the mean of each band over the clip."""
        reader = cast("ReadsWaves", encoder)
        wave, real, _ = reader.split(x, mask)
        with torch.autocast(wave.device.type, enabled=False):
            frames, steps = self.frames(wave, real)
        hidden = hide_spans(steps.sum(1), steps.shape[1], SHARE_TRANSFORMER, self.span)
        predicted, heard = self.predict(reader, wave, real, hidden)
        count = min(predicted.shape[1], frames.shape[1])
        asked = hidden[:, :count] & steps[:, :count] & heard[:, :count]
        return _compare(predicted[:, :count], frames[:, :count], asked)

    def predict(self, encoder: ReadsWaves, wave: Tensor, real: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Frames ``[B, T', bands]`` and which steps are real, from the samples that ``hidden`` ``[B, T]`` leaves."""
        samples = hidden.repeat_interleave(self.stride, 1)
        samples = F.pad(samples, (0, max(0, wave.shape[1] - samples.shape[1])))[:, : wave.shape[1]]
        states, heard = encoder.sequence(wave, real, samples)
        return self.decode(states), heard

    def frames(self, wave: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, N]`` to ``[B, T, bands]`` standardised over the clip, with the mask ``[B, T]``; one step at least."""
        wave = F.pad(wave, (0, max(0, self.stride - wave.shape[1])))
        count = (real.sum(1, keepdim=True) // self.stride).clamp_min(1)
        cut = wave.unfold(1, self.stride, self.stride)
        power = torch.fft.rfft(cut * self.window, n=self.n_fft).abs().square()
        log = (power @ self.filters).clamp_min(FLOOR).log()
        steps = torch.arange(log.shape[1], device=wave.device) < count
        weights = steps.unsqueeze(-1) / count.unsqueeze(-1)
        centred = log - (log * weights).sum(1, keepdim=True)
        deviation = (centred.square() * weights).sum(1, keepdim=True).sqrt()
        return centred / deviation.clamp_min(1e-2), steps


def hide_spans(lengths: Tensor, size: int, share: float, span: int) -> Tensor:
    """Steps to hide, ``[B, size]`` bool.

    Any step starts a span with one probability, so that about ``share`` of a long clip is hidden; spans may overlap.
    One more span starts somewhere in each clip, so that none goes by without a question. In a clip of few steps a span
    is half of it at most (one step of one).

    Args:
        lengths: ``[B]`` real steps of each clip.
        size: steps of the longest.
        share: 0..1.
        span: steps.
    """
    device = lengths.device
    lengths = lengths.unsqueeze(1)
    width = (lengths // 2).clamp(1, span)
    step = torch.arange(size, device=device)
    chance = 1 - (1 - share) ** (1 / width)
    first = (torch.rand(lengths.shape, device=device) * (lengths - width + 1)).floor()
    starts = (torch.rand(lengths.shape[0], size, device=device) < chance) | (step == first)
    latest = torch.where(starts, step, -size - span).cummax(1).values
    return (step - latest < width) & (step < lengths)


def _compare(predicted: Tensor, wanted: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """Smooth L1 of the prediction and of zeros, means over the values at ``asked`` ``[B, T]``."""
    weights = asked.unsqueeze(-1) / (asked.sum() * wanted.shape[-1]).clamp_min(1)
    zeros = torch.zeros_like(wanted)
    loss = (F.smooth_l1_loss(predicted.float(), wanted, reduction="none") * weights).sum()
    return loss, (F.smooth_l1_loss(zeros, wanted, reduction="none") * weights).sum()
