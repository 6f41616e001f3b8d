"""Speech from scratch: a log-mel stream and a prosody stream, fused inside the branch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

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
        dropout: before the projection; half of it where the streams join, a third inside the log-mel stream.
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
        self.standardize = Standardize(n_mels + (len(PROSODY_CHANNELS) if prosody else 0))
        self.mel = MelStream(n_mels, width, dropout / 3) if n_mels else None
        self.prosody = ProsodyStream(4 * width) if prosody else None
        joined = (8 * width if self.mel else 0) + (4 * width if self.prosody else 0)
        self.join = nn.Sequential(nn.Linear(joined, 8 * width), nn.ReLU(), nn.Dropout(dropout / 2))
        self.context = Recurrent(8 * width)
        self.pool = AttentiveStatistics(8 * width)
        self.project = nn.Sequential(nn.LayerNorm(16 * width), nn.Dropout(dropout), nn.Linear(16 * width, out_dim))

    def fit_statistics(self, inputs: Iterable[Tensor]) -> None:
        """Mean and standard deviation of every column, from training inputs ``[T, M + P]``."""
        self.standardize.fit(inputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``[B, T, M + P]`` and ``[B, T]`` to ``[B, D]``."""
        if self.training:
            x, mask = self.augment(x, mask, self.n_mels)
        # The mean of every column stands in for what lies beyond a clip's end.
        x = self.standardize(x).masked_fill(~mask.unsqueeze(-1), 0.0)
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
        joined = self.context(self.join(torch.cat(streams, -1)), mask)
        embedding: Tensor = self.project(self.pool(joined, mask))
        return embedding

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


class MelStream(nn.Module):
    """``[B, T, M]`` standardised log-mel bands to ``[B, T / 8, 8 * width]``."""

    def __init__(self, n_mels: int, width: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [
                MelBlock(1, width, dropout, kernel=5, stride=2, pool=(1, 1)),
                MelBlock(width, 2 * width, dropout),
                MelBlock(2 * width, 4 * width, dropout),
                MelBlock(4 * width, 8 * width, dropout, pool=(1, 2)),
            ]
        )
        self.project = nn.Linear(8 * width * (math.ceil(n_mels / 2) // 8), 8 * width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """T is a multiple of 8, and ``x`` is zero where ``mask`` is false."""
        x = x.unsqueeze(1)
        for block in self.blocks:
            x, mask = block(x, mask)
        return F.relu(self.project(x.transpose(1, 2).flatten(2)))


class MelBlock(nn.Module):
    """Convolution, normalisation, ReLU and maximum over time and bands, ``[B, C, T, M]``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        dropout: float,
        *,
        kernel: int = 3,
        stride: int = 1,
        pool: tuple[int, int] = (2, 2),
    ) -> None:
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
        # On CPUs convolutions of few channels are faster in this memory format.
        self.conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.norm = nn.BatchNorm2d(outputs)
        self.pool = pool
        self.dropout = nn.Dropout2d(dropout)
        self.fewer = stride * pool[0]

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """With the mask ``[B, T]``; both come back at the lower rate."""
        x = F.relu(self.norm(self.conv(x)), inplace=True)
        # A clip ends on a whole row of the last block only, so what was padded is silenced before the maximum as well.
        x = F.max_pool2d(x * halve(mask, self.fewer // self.pool[0])[:, None, :, None], self.pool)
        mask = halve(mask, self.fewer)
        return self.dropout(x), mask


class ProsodyStream(nn.Module):
    """``[B, T, P]`` standardised prosody to ``[B, T / 8, width]``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.relative = [PROSODY_CHANNELS.index(name) for name in RELATIVE]
        sizes = [len(PROSODY_CHANNELS) + len(RELATIVE), width, width, width]
        self.convs = nn.ModuleList(nn.Conv1d(a, b, 5, stride=2, padding=2, bias=False) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for size in sizes[1:])

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """T is a multiple of 8."""
        part = x[..., self.relative]
        relative = (part - clip_mean(part, mask)) * mask.unsqueeze(-1)
        x = torch.cat([x, relative], -1).transpose(1, 2)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            mask = halve(mask, 2)
            x = F.relu(norm(conv(x)), inplace=True) * mask.unsqueeze(1)
        return x.transpose(1, 2)


class Recurrent(nn.Module):
    """A bidirectional GRU, ``[B, T, D]``, whose way back starts at each clip's own end.

    Two one-way GRUs and a gather: unlike packed sequences this asks the device for no lengths.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.ahead = nn.GRU(dim, dim // 2, batch_first=True)
        self.back = nn.GRU(dim, dim // 2, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """With the mask ``[B, T]``."""
        t = torch.arange(x.shape[1], device=x.device)
        last = mask.sum(1, keepdim=True) - 1
        turn = torch.where(t <= last, last - t, t).unsqueeze(-1)
        back = self.back(x.gather(1, turn.expand_as(x)))[0]
        return torch.cat([self.ahead(x)[0], back.gather(1, turn.expand_as(back))], -1)


def clip_mean(x: Tensor, mask: Tensor) -> Tensor:
    """``[B, 1, D]`` mean over the real steps of ``[B, T, D]``, which is zero elsewhere."""
    return x.sum(1, keepdim=True) / mask.sum(1).view(-1, 1, 1)


def halve(mask: Tensor, by: int) -> Tensor:
    """``[B, T]`` to ``[B, T / by]``: true where any of the steps that become one is."""
    return mask.view(mask.shape[0], -1, by).any(-1)
