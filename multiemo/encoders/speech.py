"""Speech from scratch: a log-mel stream and a prosody stream, fused inside the branch."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multiemo.encoders.base import AttentiveStatistics, Encoder, Standardize
from multiemo.encoders.speech_augment import SpeechAugment, mask_spans
from multiemo.errors import ConfigError
from multiemo.registry import encoders
from multiemo.types import PROSODY_CHANNELS, SpeechSpec

#: Prosody channels that are also given relative to the clip's own mean, which takes the speaker's register, level and
#: voice quality out.
RELATIVE = ("f0", "energy", "tilt", "harmonicity", "h1_h2")
_STRIDE = 8


@encoders.register("speech_prosody", modality="speech")
class SpeechProsody(Encoder):
    """Two streams at 10 ms, each brought to 80 ms rows, joined, pooled over time.

    The log-mel stream is a small two-dimensional CNN; the prosody stream a one-dimensional one over the channels of
    the prosody track, absolute and relative to the clip's own mean. A recurrent layer reads both side by side;
    attentive statistics pooling and a projection make the embedding.

    Args:
        n_mels: M; 0 leaves the log-mel stream out.
        prosody: whether there is a prosody stream.
        sample_rate: Hz.
        max_seconds: longer audio is cut.
        trim: see :class:`~multiemo.types.SpeechSpec`.
        width: channels of the first CNN block; the later ones have two, four and four times as many.
        out_dim: D.
        dropout: before the projection, and half of it inside the streams.
        stretch, mel_shift, pitch_shift, gain, tilt, noise: augmentation, see
            :class:`~multiemo.encoders.speech_augment.SpeechAugment`.
        time_mask: longest masked span, as a share of the clip; two of them.
        mel_mask: widest masked band, as a share of the mel bands; two of them.
        channel_mask: probability that a prosody channel is left out for a clip.

    Raises:
        ConfigError: neither stream is on.
    """

    modality = "speech"

    def __init__(
        self,
        *,
        n_mels: int = 64,
        prosody: bool = True,
        sample_rate: int = 16000,
        max_seconds: float = 12.0,
        trim: float = 40.0,
        width: int = 16,
        out_dim: int = 128,
        dropout: float = 0.3,
        stretch: float = 0.15,
        mel_shift: float = 2.0,
        pitch_shift: float = 2.0,
        gain: float = 6.0,
        tilt: float = 6.0,
        noise: float = 30.0,
        time_mask: float = 0.15,
        mel_mask: float = 0.15,
        channel_mask: float = 0.1,
    ) -> None:
        super().__init__()
        if n_mels == 0 and not prosody:
            raise ConfigError("encoders.speech: n_mels is 0 and prosody is off, so nothing is left; switch one on")
        self.out_dim = out_dim
        self.input_spec = SpeechSpec(
            sample_rate=sample_rate, n_mels=n_mels, prosody=prosody, max_seconds=max_seconds, trim=trim
        )
        self.n_mels = n_mels
        self.time_mask, self.mel_mask, self.channel_mask = time_mask, mel_mask, channel_mask
        self.augment = SpeechAugment(
            stretch=stretch, mel_shift=mel_shift, pitch_shift=pitch_shift, gain=gain, tilt=tilt, noise=noise
        )
        channels = len(PROSODY_CHANNELS) if prosody else 0
        self.standardize = Standardize(n_mels + channels)
        self.mel = MelStream(n_mels, width, dropout / 2) if n_mels else None
        self.prosody = ProsodyStream(4 * width, dropout / 2) if prosody else None
        joined = (8 * width if self.mel else 0) + (4 * width if self.prosody else 0)
        self.context = nn.GRU(joined, 4 * width, batch_first=True, bidirectional=True)
        self.pool = AttentiveStatistics(8 * width)
        self.project = nn.Sequential(nn.LayerNorm(16 * width), nn.Dropout(dropout), nn.Linear(16 * width, out_dim))

    def fit_statistics(self, inputs: Iterable[Tensor]) -> None:
        """Mean and standard deviation of every column, from training inputs ``[T, M + P]``."""
        self.standardize.fit(inputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``[B, T, M + P]`` and ``[B, T]`` to ``[B, D]``."""
        if self.training:
            x, mask = self.augment(x, mask, self.n_mels)
        x = self.standardize(x)
        mel, prosody = x[..., : self.n_mels], x[..., self.n_mels :]
        if self.training:
            mel, prosody = self._hide(mel, prosody)
        mask = F.pad(mask, (0, -mask.shape[1] % _STRIDE))
        streams = [
            stream(F.pad(part, (0, 0, 0, mask.shape[1] - part.shape[1])), mask)
            for stream, part in ((self.mel, mel), (self.prosody, prosody))
            if stream is not None
        ]
        mask = halve(mask, _STRIDE)
        joined = torch.cat(streams, -1)
        return self.project(self.pool(self._read(joined, mask), mask))

    def _hide(self, mel: Tensor, prosody: Tensor) -> tuple[Tensor, Tensor]:
        if self.mel is not None and self.mel_mask > 0:
            mel = mask_spans(mel, 2, self.mel_mask, dim=2)
        if self.time_mask > 0:
            both = mask_spans(torch.cat([mel, prosody], -1), 2, self.time_mask, dim=1)
            mel, prosody = both[..., : self.n_mels], both[..., self.n_mels :]
        if self.channel_mask > 0:
            keep = torch.rand(prosody.shape[0], 1, prosody.shape[2], device=prosody.device) >= self.channel_mask
            prosody = prosody * keep
        return mel, prosody

    def _read(self, joined: Tensor, mask: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(joined, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        out, _ = nn.utils.rnn.pad_packed_sequence(self.context(packed)[0], batch_first=True, total_length=mask.shape[1])
        return out


class MelStream(nn.Module):
    """``[B, T, M]`` standardised log-mel bands to ``[B, T / 8, 8 * width]``."""

    def __init__(self, n_mels: int, width: int, dropout: float) -> None:
        super().__init__()
        sizes = [1, width, 2 * width, 4 * width, 8 * width]
        kernels = [5, 3, 3, 3]
        strides = [(2, 2), (2, 2), (2, 2), (1, 2)]
        self.times = [time for time, _ in strides]
        self.convs = nn.ModuleList(
            nn.Conv2d(sizes[i], sizes[i + 1], kernels[i], stride=strides[i], padding=kernels[i] // 2, bias=False)
            for i in range(4)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in sizes[1:])
        self.dropout = nn.Dropout2d(dropout)
        self.project = nn.Linear(sizes[-1] * math.ceil(n_mels / 16), 8 * width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """T is a multiple of 8."""
        x = x.unsqueeze(1)
        for conv, norm, time in zip(self.convs, self.norms, self.times):
            # Past its end a clip reads as zeros in every layer, whatever a bias has made of them.
            x = F.relu(norm(conv(x * mask[:, None, :, None])))
            x = self.dropout(x)
            mask = halve(mask, time)
        return F.relu(self.project(x.transpose(1, 2).flatten(2)))


class ProsodyStream(nn.Module):
    """``[B, T, P]`` standardised prosody to ``[B, T / 8, width]``."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.relative = [PROSODY_CHANNELS.index(name) for name in RELATIVE]
        sizes = [len(PROSODY_CHANNELS) + len(RELATIVE), width, width, width]
        self.convs = nn.ModuleList(nn.Conv1d(a, b, 5, padding=2, bias=False) for a, b in zip(sizes, sizes[1:]))
        self.norms = nn.ModuleList(nn.BatchNorm1d(b) for b in sizes[1:])
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """T is a multiple of 8."""
        part = x[..., self.relative]
        weights = mask.unsqueeze(-1).to(x.dtype)
        mean = (part * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True)
        x = torch.cat([x, part - mean], -1).transpose(1, 2)
        for conv, norm in zip(self.convs, self.norms):
            x = F.relu(norm(conv(x * mask.unsqueeze(1))))
            x = F.max_pool1d(x * mask.unsqueeze(1), 2)
            mask = halve(mask, 2)
            x = self.dropout(x)
        return x.transpose(1, 2)


def halve(mask: Tensor, by: int) -> Tensor:
    """``[B, T]`` to ``[B, T / by]``: true where any of the steps that become one is."""
    return mask.view(mask.shape[0], -1, by).any(-1)
