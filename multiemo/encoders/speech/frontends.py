"""Front-ends between a waveform and a pretrained speech model, batched and independent of padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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

        The attribute ``lengths`` ``[B]`` must be set before.
        """
        steps = torch.full((x.shape[0],), x.shape[2], device=x.device) if self.lengths is None else self.lengths
        real = (torch.arange(x.shape[2], device=x.device) < steps.unsqueeze(1)).unsqueeze(1)
        if half_of(x) is not None:
            return self._in_half(x, real, steps)
        x = x.float()
        mask = real.to(x.dtype)
        count = mask.sum(2, keepdim=True)
        mean = (x * mask).sum(2, keepdim=True) / count
        variance = ((x - mean) * mask).square().sum(2, keepdim=True) / count
        return (x - mean) * (variance + self.eps).rsqrt() * self.weight[:, None] + self.bias[:, None]

    def _in_half(self, x: Tensor, real: Tensor, steps: Tensor) -> Tensor:
        """As ``forward``, with only the statistics in float32: computed with zeros for padding, then corrected."""
        share = (steps / x.shape[2]).view(-1, 1, 1)
        variance, mean = (s.float() for s in torch.var_mean(x.masked_fill(~real, 0), 2, correction=0, keepdim=True))
        square = (variance + mean.square()) / share
        mean = mean / share
        scale = ((square - mean.square()).clamp_min(0) + self.eps).rsqrt() * self.weight[:, None]
        return torch.addcmul((self.bias[:, None] - mean * scale).to(x.dtype), x, scale.to(x.dtype))


class WhisperFrontEnd(nn.Module):
    """Whisper's log-mel features of 30 s, as ``WhisperFeatureExtractor`` computes them (Radford et al. 2022).

    Args:
        extractor: a ``WhisperFeatureExtractor``.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        self.n_fft, self.hop = int(extractor.n_fft), int(extractor.hop_length)
        self.samples = int(extractor.n_samples)
        self.step = 2 * self.hop
        filters = torch.as_tensor(extractor.mel_filters, dtype=torch.float32)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)

    def forward(self, wave: Tensor, mask: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor, None]:
        """Compute Whisper's input.

        Args:
            wave: ``[B, N]`` samples, silent where hidden.
            mask: ``[B, N]`` bool, true for real samples.
            hidden: unused; the features are not standardised over the clip.

        Returns:
            ``[B, 3000, M]``, the mask of the encoder's 1500 steps, and no attention mask.
        """
        wave, mask = wave[:, : self.samples], mask[:, : self.samples]
        wave = F.pad(wave, (0, self.samples - wave.shape[1]))
        spectrum = torch.stft(wave, self.n_fft, self.hop, window=self.window, return_complex=True)[..., :-1]
        mel = self.filters.T @ spectrum.abs().square()
        log = mel.clamp_min(1e-10).log10()
        log = torch.maximum(log, log.amax((1, 2), keepdim=True) - 8.0)
        steps = (mask.sum(1, keepdim=True) / (2 * self.hop)).ceil()
        frames = torch.arange(log.shape[2] // 2, device=wave.device) < steps
        return ((log + 4.0) / 4.0).transpose(1, 2), frames, None


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
