"""Front-ends between a waveform and a pretrained speech model, batched and independent of padding."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multiemo.encoders.common.fused_layers import instance_norm
from multiemo.encoders.common.half_precision import half_of


class MaskedGroupNorm(nn.Module):
    """Group normalisation with one group per channel, as in wav2vec 2.0's first convolution, over real steps only.

    The library's own layer includes padding in its statistics, so a clip's embedding would depend on its batch.

    Args:
        norm: the layer to replace; its parameters are shared.
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.lengths: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``[B, C, T]``. The result is float32, or half precision if a GPU computes in it.

        The attribute ``lengths`` ``[B]`` must be set before; ``None`` if all steps are real.
        """
        fused = instance_norm(x, self.weight, self.bias, self.eps, self.lengths)
        if fused is not None:
            return fused
        if (steps := self.lengths) is None:
            return self._unmasked(x)
        real = (torch.arange(x.shape[2], device=x.device) < steps.unsqueeze(1)).unsqueeze(1)
        if half_of(x) is not None:
            return self._in_half(x, real, steps)
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        mask = real.to(x.dtype)
        count = mask.sum(2, keepdim=True)
        mean = (x * mask).sum(2, keepdim=True) / count
        variance = ((x - mean) * mask).square().sum(2, keepdim=True) / count
        return (x - mean) * (variance + self.eps).rsqrt() * self.weight[:, None] + self.bias[:, None]

    def _unmasked(self, x: Tensor) -> Tensor:
        half = half_of(x)
        dtype = half or torch.promote_types(self.weight.dtype, torch.float32)
        with nullcontext() if half is None else torch.autocast("cuda", enabled=False):
            return F.group_norm(x.to(dtype), x.shape[1], self.weight.to(dtype), self.bias.to(dtype), self.eps)

    def _in_half(self, x: Tensor, real: Tensor, steps: Tensor) -> Tensor:
        """As ``forward``, with only the statistics in float32: computed with zeros for padding, then corrected."""
        share = (steps / x.shape[2]).view(-1, 1, 1)
        variance, mean = (s.float() for s in torch.var_mean(x.masked_fill(~real, 0), 2, correction=0, keepdim=True))
        square = (variance + mean.square()) / share
        mean = mean / share
        scale = ((square - mean.square()).clamp_min(0) + self.eps).rsqrt() * self.weight[:, None]
        return torch.addcmul((self.bias[:, None] - mean * scale).to(x.dtype), x, scale.to(x.dtype))


class WhisperFrontEnd(nn.Module):
    """Whisper's log-mel features, as ``WhisperFeatureExtractor`` computes them (Radford et al. 2022).

    The library always pads to 30 s. Here the window ends :data:`MARGIN` seconds after the longest clip of the batch,
    unless ``whole`` is set; the mask of what a clip may attend to then ends as long after the clip itself.

    Args:
        extractor: a ``WhisperFeatureExtractor``.
        whole: pad every clip to 30 s, all of which is attended to, as in Whisper's own training.
    """

    filters: Tensor
    window: Tensor
    #: Seconds of silence that follow a clip. Without any, the last steps differ from those in a window of 30 s.
    MARGIN = 0.5

    def __init__(self, extractor: Any, *, whole: bool = False) -> None:
        super().__init__()
        self.n_fft, self.hop = int(extractor.n_fft), int(extractor.hop_length)
        self.samples = int(extractor.n_samples)
        self.step = 2 * self.hop
        self.whole = whole
        self.margin = self.step * round(self.MARGIN * int(extractor.sampling_rate) / self.step)
        filters = torch.as_tensor(extractor.mel_filters, dtype=torch.float32)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)

    def forward(self, wave: Tensor, mask: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Compute Whisper's input.

        Args:
            wave: ``[B, N]`` samples, silent where hidden.
            mask: ``[B, N]`` bool, true for real samples.
            hidden: unused; the features are not standardised over the clip.

        Returns:
            ``[B, 2 T, M]``, the mask ``[B, T]`` of the encoder's steps that belong to the clip, and the mask ``[B, T]``
            of those to attend to; ``None`` if these are all, with ``whole``.
        """
        wave, mask = wave[:, : self.samples], mask[:, : self.samples]
        size = self.samples
        if not self.whole:
            size = min(-(-wave.shape[1] // self.step) * self.step + self.margin, self.samples)
        wave = F.pad(wave, (0, size - wave.shape[1]))
        spectrum = torch.stft(wave, self.n_fft, self.hop, window=self.window, return_complex=True)[..., :-1]
        mel = self.filters.T @ spectrum.abs().square()
        log = mel.clamp_min(1e-10).log10()
        log = torch.maximum(log, log.amax((1, 2), keepdim=True) - 8.0)
        place = torch.arange(log.shape[2] // 2, device=wave.device)
        count = (mask.sum(1, keepdim=True) / self.step).ceil()
        attended = None if self.whole else place < count + self.margin // self.step
        return ((log + 4.0) / 4.0).transpose(1, 2), place < count, attended


class KaldiFrontEnd(nn.Module):
    """Kaldi's log-mel bands, two frames per row, as ``SeamlessM4TFeatureExtractor`` computes them for w2v-BERT 2.0.

    Args:
        extractor: a ``SeamlessM4TFeatureExtractor``.
    """

    filters: Tensor
    window: Tensor
    SIZE, HOP, N_FFT, PREEMPHASIS, FLOOR = 400, 160, 512, 0.97, 1.192092955078125e-07

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        self.stride = int(extractor.stride)
        self.step = self.stride * self.HOP
        filters = torch.as_tensor(extractor.mel_filters, dtype=torch.float32)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", torch.as_tensor(extractor.window, dtype=torch.float32), persistent=False)

    def forward(self, wave: Tensor, mask: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Compute log-mel bands, standardised over the clip.

        Args:
            wave: ``[B, N]`` samples, silent where hidden.
            mask: ``[B, N]`` bool, true for real samples.
            hidden: ``[B, N]`` bool, true for hidden samples. Frames that are completely hidden are excluded from the
                clip's statistics and become zero.

        Returns:
            ``[B, T, 2 M]``, and the mask ``[B, T]`` twice, as bool and as int.
        """
        wave = F.pad(wave, (0, max(self.SIZE + self.HOP - wave.shape[1], 0)))
        frames = wave.unfold(1, self.SIZE, self.HOP) * 2**15
        frames = frames - frames.mean(2, keepdim=True)
        before = F.pad(frames, (1, 0), mode="replicate")[..., :-1]
        frames = (frames - self.PREEMPHASIS * before) * self.window
        log = (torch.fft.rfft(frames, n=self.N_FFT).abs().square() @ self.filters).clamp_min(self.FLOOR).log()
        count = ((mask.sum(1) - self.SIZE) // self.HOP + 1).clamp_min(self.stride).view(-1, 1, 1)
        real = torch.arange(log.shape[1], device=wave.device).view(1, -1, 1) < count
        visible = real
        if hidden is not None:
            beyond = log.shape[1] * self.HOP + self.SIZE - self.HOP - hidden.shape[1]
            visible = real & ~F.pad(hidden, (0, max(beyond, 0))).unfold(1, self.SIZE, self.HOP).all(2, keepdim=True)
        number = visible.sum(1, keepdim=True)
        mean = (log * visible).sum(1, keepdim=True) / number.clamp_min(1)
        variance = ((log - mean) * visible).square().sum(1, keepdim=True) / (number - 1).clamp_min(1)
        log = (log - mean) * (variance + 1e-7).rsqrt() * visible
        rows = log.shape[1] // self.stride
        stacked = log[:, : rows * self.stride].reshape(log.shape[0], rows, -1)
        attention = torch.arange(rows, device=wave.device) < (count.view(-1, 1) // self.stride)
        return stacked, attention, attention.long()
