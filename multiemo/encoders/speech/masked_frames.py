"""Masked frames: a speech encoder learns from unlabelled sound by predicting hidden frames.

Spans of time are hidden, and a linear layer over the encoder's sequence predicts the standardised frames there, as in
Mockingjay (Liu et al. 2020). The spans are drawn as for HuBERT (Hsu et al. 2021). The loss is a smooth L1. Its best
constant prediction is close to the mean, so the mean is a fair guess to compare with.
"""

from __future__ import annotations

import math
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multiemo.encoders.base import Encoder, MaskedTask, Standardize

#: Length of a hidden span, seconds: about a syllable.
SPAN = 0.2
#: Share of a clip that is hidden: half, as for HuBERT, if a Transformer reads the whole clip; less if convolutions
#: see a third of a second around a frame.
SHARE_TRANSFORMER, SHARE_CONVOLUTIONS = 0.5, 0.3
#: Number of mel bands that a pretrained model predicts, and the smallest power in one.
BANDS, FLOOR = 40, 1e-5


class ReadsRows(Protocol):
    """The members of a speech encoder that :class:`MaskedRows` uses."""

    standardize: Standardize

    def sequence(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode standardised rows ``[B, T, M + P]`` and mask ``[B, T]`` to ``[B, T', H]`` and mask ``[B, T']``."""
        ...


class ReadsWaves(Protocol):
    """The methods of a speech encoder that :class:`MaskedWave` uses."""

    def split(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split the input: waveform ``[B, N]``, zero where padded, its mask ``[B, N]``, and prosody ``[B, T, P]``."""
        ...

    def sequence(self, wave: Tensor, real: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode a waveform.

        Args:
            wave: ``[B, N]`` samples.
            real: ``[B, N]`` bool, true for real samples.
            hidden: ``[B, N]`` bool, true for hidden samples.

        Returns:
            ``[B, T, H]`` states and the mask ``[B, T]`` of real steps.
        """
        ...


class MaskedRows(MaskedTask):
    """Hides rows of the standardised input of ``speech_prosody``, in all columns.

    The encoder turns ``stride`` rows into one step. Whole steps are hidden, and the state of each hidden step predicts
    its rows. Hidden rows are set to zero, the mean of the training data, before any layer reads the clip. Therefore
    neither a mean over the clip nor a batch normalisation can reveal them.

    Args:
        width: width of the encoder's sequence.
        columns: M + P.
        stride: rows in a step.
        hop: seconds between rows.
    """

    def __init__(self, width: int, columns: int, stride: int, hop: float) -> None:
        super().__init__()
        self.stride, self.span = stride, max(1, round(SPAN / (stride * hop)))
        self.decode = nn.Linear(width, stride * columns)

    def forward(self, encoder: Encoder, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`MaskedTask.forward`. The guess is the mean of the training data.

        Args:
            encoder: the speech encoder that created this task.
            x: ``[B, T, M + P]``.
            mask: ``[B, T]`` bool, true for real rows.
        """
        reader = cast("ReadsRows", encoder)
        x = reader.standardize(x).masked_fill(~mask.unsqueeze(-1), 0.0)
        lengths = -(-mask.sum(1) // self.stride)
        hidden = hide_spans(lengths, -(-x.shape[1] // self.stride), SHARE_CONVOLUTIONS, self.span)
        rows = hidden.repeat_interleave(self.stride, 1)[:, : x.shape[1]] & mask
        return _compare(self.predict(reader, x, mask, rows), x, rows)

    def predict(self, encoder: ReadsRows, x: Tensor, mask: Tensor, rows: Tensor) -> Tensor:
        """Predict all rows from the visible ones.

        Args:
            encoder: the speech encoder.
            x: ``[B, T, M + P]`` standardised.
            mask: ``[B, T]`` bool, true for real rows.
            rows: ``[B, T]`` bool, true for hidden rows.

        Returns:
            ``[B, T, M + P]`` standardised.
        """
        states, _ = encoder.sequence(x.masked_fill(rows.unsqueeze(-1), 0.0), mask)
        return self.decode(states).view(x.shape[0], -1, x.shape[2])[:, : x.shape[1]]  # type: ignore[no-any-return]


class MaskedWave(MaskedTask):
    """Hides spans of the waveform of ``speech_pretrained`` and predicts their log-mel bands, one frame per model step.

    A frame covers the ``stride`` samples of its own step under a Hann window, so a hidden frame is hidden completely.
    Each band is standardised over its clip, which removes level, room and voice colour from the task. The guess, the
    clip's own mean, therefore knows more than one from the training data would. Hidden samples are silent. A front-end
    that standardises its bands per clip excludes hidden frames.

    Args:
        width: width of the encoder's sequence.
        stride: samples between steps.
        sample_rate: sample rate, Hz.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, width: int, stride: int, sample_rate: int) -> None:
        from torchaudio.functional import melscale_fbanks  # slow to import: the package imports all its models

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
        """As :meth:`MaskedTask.forward`. The guess is the mean of each band over the clip.

        Args:
            encoder: the speech encoder that created this task.
            x: ``[B, T, ...]``, the encoder's input.
            mask: ``[B, T]`` bool, true for real steps.
        """
        reader = cast("ReadsWaves", encoder)
        wave, real, _ = reader.split(x, mask)
        with torch.autocast(wave.device.type, enabled=False):
            frames, steps = self.frames(wave, real)
        hidden = hide_spans(steps.sum(1), steps.shape[1], SHARE_TRANSFORMER, self.span)
        predicted, encoded = self.predict(reader, wave, real, hidden)
        count = min(predicted.shape[1], frames.shape[1])
        counted = hidden[:, :count] & steps[:, :count] & encoded[:, :count]
        return _compare(predicted[:, :count], frames[:, :count], counted)

    def predict(self, encoder: ReadsWaves, wave: Tensor, real: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Predict all frames from the visible samples.

        Args:
            encoder: the speech encoder.
            wave: ``[B, N]`` samples.
            real: ``[B, N]`` bool, true for real samples.
            hidden: ``[B, T]`` bool, true for hidden steps.

        Returns:
            ``[B, T', bands]`` and the mask ``[B, T']`` of real steps.
        """
        samples = hidden.repeat_interleave(self.stride, 1)
        samples = F.pad(samples, (0, max(0, wave.shape[1] - samples.shape[1])))[:, : wave.shape[1]]
        states, encoded = encoder.sequence(wave, real, samples)
        return self.decode(states), encoded

    def frames(self, wave: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Frames ``[B, T, bands]``, standardised over the clip, and their mask ``[B, T]``; at least one step."""
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
    """Draw the steps to hide.

    Each step starts a span with the same probability, chosen so that about ``share`` of a long clip is hidden. Spans
    may overlap. One more span starts at a random step of each clip, so that every clip has a hidden step. In a short
    clip a span covers at most half of the steps (or the only one).

    Args:
        lengths: ``[B]`` real steps of each clip.
        size: steps of the longest clip.
        share: share of steps to hide, 0..1.
        span: length of a span, steps.

    Returns:
        ``[B, size]`` bool.
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


def _compare(predicted: Tensor, target: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Smooth L1 of the prediction and of zeros, means over the values at ``counted`` ``[B, T]``."""
    weights = counted.unsqueeze(-1) / (counted.sum() * target.shape[-1]).clamp_min(1)
    zeros = torch.zeros_like(target)
    loss = (F.smooth_l1_loss(predicted.float(), target, reduction="none") * weights).sum()
    return loss, (F.smooth_l1_loss(zeros, target, reduction="none") * weights).sum()
