"""Training-time augmentation of log-mel and prosody sequences that preserves the emotion.

Changes are drawn per clip and applied to the whole batch at once, on the device. They make the branch insensitive to
differences between speakers, rooms and microphones: vocal-tract length, register, tempo, level, equalisation, noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from multiemo.types import PROSODY_CHANNELS

_DB_TO_LOG_POWER = math.log(10) / 10
_COLUMN = {name: i for i, name in enumerate(PROSODY_CHANNELS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechAugment:
    """Largest extent of each change; 0 turns it off.

    Args:
        stretch: the tempo is multiplied or divided by up to ``1 + stretch``.
        mel_shift: log-mel bands are shifted by up to this many bands (vocal-tract length).
        pitch_shift: F0 is shifted by up to this many semitones (register).
        gain: the level is shifted by up to this many dB.
        tilt: the spectrum is tilted by up to this many dB from the lowest to the highest band (microphone).
        noise: with probability one half, stationary noise is added at least this many dB below the loudest band; 0
            adds none.
    """

    stretch: float
    mel_shift: float
    pitch_shift: float
    gain: float
    tilt: float
    noise: float

    def __call__(self, x: Tensor, mask: Tensor, n_mels: int) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            x: ``[B, T, M + P]`` (P may be 0), zero-padded.
            mask: ``[B, T]`` bool, true for real rows.
            n_mels: M, the number of mel bands.

        Returns:
            The augmented ``x`` and its mask, with the same T. Rows that a slower tempo moves beyond T are dropped.
        """
        if self.stretch > 0:
            x, mask = self._stretch(x, mask, n_mels)
        mel, prosody = x[..., :n_mels], x[..., n_mels:]
        gain = _uniform(x, self.gain)
        tilt = _uniform(x, self.tilt)
        if n_mels:
            if self.mel_shift > 0:
                mel = _shift_bands(mel, _uniform(x, self.mel_shift))
            slope = torch.linspace(-0.5, 0.5, n_mels, device=x.device, dtype=x.dtype)
            mel = mel + _DB_TO_LOG_POWER * (gain + tilt * slope).unsqueeze(1)
            if self.noise > 0:
                mel = self._add_noise(mel, mask)
        if prosody.shape[-1]:
            offset = x.new_zeros(x.shape[0], len(PROSODY_CHANNELS))
            offset[:, _COLUMN["energy"]] = gain.squeeze(1)
            # The bands of the tilt channel span about half of the mel scale, in about 5.6 octaves.
            offset[:, _COLUMN["tilt"]] = tilt.squeeze(1) / 8
            offset[:, _COLUMN["f0"]] = _uniform(x, self.pitch_shift).squeeze(1)
            prosody = prosody + offset.unsqueeze(1)
        x = torch.cat([mel, prosody], -1)
        return x.masked_fill(~mask.unsqueeze(-1), 0.0), mask

    def _stretch(self, x: Tensor, mask: Tensor, n_mels: int) -> tuple[Tensor, Tensor]:
        """Change the tempo by linear interpolation between rows."""
        speed = torch.exp(_uniform(x, math.log1p(self.stretch)))
        lengths = mask.sum(1, keepdim=True)
        longer = ((lengths - 1) / speed).floor().long() + 1
        t = torch.arange(x.shape[1], device=x.device)
        place = (t * speed).clamp_max(lengths - 1)
        low = place.floor().long()
        high = torch.minimum(low + 1, lengths - 1)
        wide = x.shape[-1]
        a = x.gather(1, low.unsqueeze(-1).expand(-1, -1, wide))
        b = x.gather(1, high.unsqueeze(-1).expand(-1, -1, wide))
        out = torch.lerp(a, b, (place - low).unsqueeze(-1).to(x.dtype))
        if wide > n_mels:
            for name in ("rate", "delta_f0"):
                out[..., n_mels + _COLUMN[name]] *= speed
        return out, t < longer

    def _add_noise(self, mel: Tensor, mask: Tensor) -> Tensor:
        loudest = mel.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax((1, 2), keepdim=True)
        under = self.noise + 30.0 * torch.rand_like(loudest)
        # Half of the clips get noise 200 dB below the loudest band, which is no noise.
        under = torch.where(torch.rand_like(loudest) < 0.5, under, 200.0)
        level = loudest - _DB_TO_LOG_POWER * under
        return torch.logaddexp(mel, level + 0.5 * torch.randn_like(mel))


def _uniform(x: Tensor, reach: float) -> Tensor:
    """Uniform random values ``[B, 1]`` within -reach..reach."""
    return (2 * torch.rand(x.shape[0], 1, device=x.device, dtype=x.dtype) - 1) * reach


def _shift_bands(mel: Tensor, shift: Tensor) -> Tensor:
    """Shift ``[B, T, M]`` along M by ``shift`` ``[B, 1]`` bands, repeating the edge band."""
    bands = mel.shape[-1]
    place = (torch.arange(bands, device=mel.device) + shift).clamp(0, bands - 1)
    low = place.floor().long()
    share = (place - low).unsqueeze(1)
    low = low.unsqueeze(1).expand_as(mel)
    return torch.lerp(mel.gather(2, low), mel.gather(2, (low + 1).clamp_max(bands - 1)), share.expand_as(mel))


def mask_spans(x: Tensor, count: int, share: float, dim: int, lengths: Tensor | None = None) -> Tensor:
    """Zero random spans of a batch (SpecAugment, Park et al. 2019).

    Args:
        x: ``[B, T, D]``.
        count: number of spans in each row.
        share: length of the longest span, as a share of the row's length.
        dim: dimension along which the spans lie, 1 or 2.
        lengths: ``[B]`` real steps along ``dim``; the whole dimension by default.
    """
    place = torch.arange(x.shape[dim], device=x.device)
    size: int | Tensor = x.shape[dim] if lengths is None else lengths.view(-1, 1, 1)
    width = torch.rand(x.shape[0], count, 1, device=x.device) * share * size
    start = torch.rand(x.shape[0], count, 1, device=x.device) * (size - width)
    gone = ((place >= start) & (place < start + width)).any(1)
    return x.masked_fill(gone.unsqueeze(2 if dim == 1 else 1), 0.0)
