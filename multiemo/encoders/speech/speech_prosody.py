"""Speech from scratch: a log-mel stream and a prosody stream, fused within the branch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise, zip_longest

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multiemo.encoders.base import AttentiveStatistics, Encoder, Standardize
from multiemo.encoders.common.speaker_offset import SpeakerOffset
from multiemo.encoders.speech.augmentation import SpeechAugment, mask_spans
from multiemo.encoders.speech.masked_frames import MaskedRows
from multiemo.errors import ConfigError
from multiemo.registry import Positive, Share, Size, encoders
from multiemo.types import PROSODY_CHANNELS, SpeechSpec

#: Prosody channels that are also given relative to the clip's own mean, which removes the speaker's register, level and
#: voice quality.
RELATIVE = ("f0", "energy", "tilt", "harmonicity", "h1_h2")
_STRIDE = 8
_VOICING = PROSODY_CHANNELS.index("voicing")


@encoders.register("speech_prosody", modality="speech")
class SpeechProsody(Encoder):
    """Two streams at 10 ms, each reduced to 80 ms rows, joined and pooled over time.

    The log-mel stream is a small two-dimensional CNN. The prosody stream is a one-dimensional CNN over the channels of
    the prosody track, absolute and relative to the clip's own mean. Two residual convolutions read both streams.
    Attentive statistics pooling follows. A projection of its result and the clip's prosody statistics is the embedding.

    Args:
        n_mels: M, the number of mel bands; 0 removes the log-mel stream.
        prosody: whether there is a prosody stream.
        sample_rate: sample rate of the sound, Hz.
        max_seconds: longest speech that is read, from its beginning.
        trim: both ends are cut where they are this many dB below the clip's loudest 25 ms (0.1 s is kept);
            0 cuts nothing.
        width: channels of the first CNN block; each later one has twice as many.
        out_dim: D, the width of the embedding.
        dropout: share of values dropped before the projection, and half of it where the streams are joined.
        stretch: the tempo is multiplied or divided by up to ``1 + stretch`` in training.
        mel_shift: log-mel bands are shifted by up to this many bands in training (vocal-tract length).
        pitch_shift: F0 is shifted by up to this many semitones in training (register).
        gain: the level is shifted by up to this many dB in training.
        tilt: the spectrum is tilted by up to this many dB in training, from the lowest to the highest band.
        noise: noise is added in training with probability one half, at least this many dB below the loudest band; 0
            adds none.
        speaker_normalization: subtract what is usual for the speaker, as far as other clips of the speaker show it,
            from the log-mel bands and from the prosody channels of register, level and voice quality.
        time_mask: longest masked span, as a share of the clip; two spans are drawn.
        mel_mask: widest masked band, as a share of the mel bands; two bands are drawn.
        channel_mask: probability of dropping a prosody channel for a clip in training.

    Raises:
        ConfigError: both streams are off.
    """

    modality = "speech"
    input_spec: SpeechSpec

    def __init__(
        self,
        *,
        n_mels: int = 64,
        prosody: bool = True,
        sample_rate: Size = 16000,
        max_seconds: Positive = 12.0,
        trim: float = 40.0,
        width: Size = 16,
        out_dim: Size = 128,
        dropout: Share = 0.3,
        stretch: Share = 0.15,
        mel_shift: float = 2.0,
        pitch_shift: float = 2.0,
        gain: float = 6.0,
        tilt: float = 6.0,
        noise: float = 30.0,
        speaker_normalization: bool = False,
        time_mask: Share = 0.15,
        mel_mask: Share = 0.15,
        channel_mask: Share = 0.1,
    ) -> None:
        super().__init__()
        if n_mels == 0 and not prosody:
            raise ConfigError("encoders.speech: n_mels is 0 and prosody is off, so nothing is read; switch one on")
        self.out_dim = out_dim
        self.input_spec = SpeechSpec(
            sample_rate=sample_rate, n_mels=n_mels, prosody=prosody, max_seconds=max_seconds, trim=trim
        )
        self.n_mels = n_mels
        self.time_mask, self.mel_mask, self.channel_mask = time_mask, mel_mask, channel_mask
        self.augment = SpeechAugment(
            stretch=stretch, mel_shift=mel_shift, pitch_shift=pitch_shift, gain=gain, tilt=tilt, noise=noise
        )
        channels = PROSODY_CHANNELS if prosody else ()
        self.standardize = Standardize(n_mels + len(channels))
        if speaker_normalization:
            shifted = [True] * n_mels + [name in RELATIVE for name in channels]
            self.speaker_offset = SpeakerOffset(torch.tensor(shifted))
        self.mel = MelStream(n_mels, width) if n_mels else None
        self.prosody = ProsodyStream(4 * width) if prosody else None
        joined = (8 * width if self.mel else 0) + (4 * width if self.prosody else 0)
        self.join = nn.Sequential(nn.Linear(joined, 8 * width), nn.ReLU(), nn.Dropout(dropout / 2))
        self.context = nn.ModuleList(Residual(8 * width, dilation) for dilation in (1, 2))
        self.pool = AttentiveStatistics(8 * width)
        self.summary = Summary(4 * width) if prosody else None
        wide = 16 * width + (4 * width if prosody else 0)
        self.project = nn.Sequential(nn.LayerNorm(wide), nn.Dropout(dropout), nn.Linear(wide, out_dim))

    def fit_statistics(self, inputs: Iterable[Tensor]) -> None:
        """Fit mean and standard deviation of every column to training inputs ``[T, M + P]``."""
        self.standardize.fit(inputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Embed ``[B, T, M + P]`` with the mask ``[B, T]`` to ``[B, D]``."""
        if self.training:
            x, mask = self.augment(x, mask, self.n_mels)
        voicing = x[..., self.n_mels + _VOICING] if self.summary is not None else None
        # Rows beyond a clip's end are set to the mean of every column.
        x = self.standardize(x).masked_fill(~mask.unsqueeze(-1), 0.0)
        mel, prosody = x[..., : self.n_mels], x[..., self.n_mels :]
        if self.training:
            mel, prosody = self._hide(mel, prosody)
        summary = [] if self.summary is None or voicing is None else [self.summary(prosody, voicing, mask)]
        states, steps = self.sequence(torch.cat([mel, prosody], -1), mask)
        embedding: Tensor = self.project(torch.cat([self.pool(states, steps), *summary], 1))
        return embedding

    def sequence(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode the input to the sequence that is pooled over time.

        Args:
            x: ``[B, T, M + P]`` standardised, zero where ``mask`` is false.
            mask: ``[B, T]`` bool, true for real rows.

        Returns:
            ``[B, T', 8 * width]``, one step per 8 rows, and the mask ``[B, T']`` of real steps.
        """
        # At least two steps, because batch normalisation cannot compute the variance of one.
        mask = F.pad(mask, (0, max(-mask.shape[1] % _STRIDE, 2 * _STRIDE - mask.shape[1])))
        x = F.pad(x, (0, 0, 0, mask.shape[1] - x.shape[1]))
        parts = ((self.mel, x[..., : self.n_mels]), (self.prosody, x[..., self.n_mels :]))
        streams = [stream(part, mask) for stream, part in parts if stream is not None]
        mask = halve(mask, _STRIDE)
        joined = self.join(torch.cat(streams, -1)).transpose(1, 2)
        for layer in self.context:
            joined = layer(joined, mask)
        return joined.transpose(1, 2), mask

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """As :meth:`Encoder.layer_groups`: the convolutions of both streams, the join, context, pooling."""
        stages = [zip(s.convs, s.norms, strict=True) for s in (self.mel, self.prosody) if s is not None]
        depths: list[list[nn.Module]] = [[m for pair in level if pair for m in pair] for level in zip_longest(*stages)]
        depths += [[self.join, *([self.mel.project] if self.mel else [])], *([layer] for layer in self.context)]
        depths += [[self.pool, self.project, *([self.summary] if self.summary else [])]]
        return [[p for module in level for p in module.parameters()] for level in depths]

    def masked_task(self) -> MaskedRows:
        """A task that hides rows of the standardised input. Augmentation is off."""
        columns = self.standardize.mean.numel()
        return MaskedRows(self.join[0].out_features, columns, _STRIDE, self.input_spec.hop)  # type: ignore[arg-type]

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
    """Converts standardised log-mel bands ``[B, T, M]`` to ``[B, T / 8, 8 * width]``."""

    KERNELS = (5, 3, 3, 3)
    STRIDES = ((2, 2), (2, 2), (2, 2), (1, 2))

    def __init__(self, n_mels: int, width: int) -> None:
        super().__init__()
        sizes = [1, width, 2 * width, 4 * width, 8 * width]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, kernel, stride=stride, padding=kernel // 2, bias=False)
            for (a, b), kernel, stride in zip(pairwise(sizes), self.KERNELS, self.STRIDES, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in sizes[1:])
        # On CPUs, convolutions with few channels are nearly twice as fast in this memory format.
        self.convs.to(memory_format=torch.channels_last)
        self.project = nn.Linear(sizes[-1] * math.ceil(n_mels / 16), 8 * width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Encode ``x`` with the mask ``[B, T]``. T must be a multiple of 8, and ``x`` zero where the mask is false."""
        x = x.unsqueeze(1)
        for conv, norm, (time, _) in zip(self.convs, self.norms, self.STRIDES, strict=True):
            mask = halve(mask, time)
            # Beyond its end a clip is zero in every layer, whatever a normalisation has changed.
            x = F.relu(norm(conv(x)), inplace=True) * mask[:, None, :, None]
        return F.relu(self.project(x.transpose(1, 2).flatten(2)))


class ProsodyStream(nn.Module):
    """Converts standardised prosody ``[B, T, P]`` to ``[B, T / 8, width]``."""

    relative: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        places = torch.tensor([PROSODY_CHANNELS.index(name) for name in RELATIVE])
        self.register_buffer("relative", places, persistent=False)
        sizes = [len(PROSODY_CHANNELS) + len(RELATIVE), width, width, width]
        self.convs = nn.ModuleList(nn.Conv1d(a, b, 5, stride=2, padding=2, bias=False) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for size in sizes[1:])

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Encode ``x`` with the mask ``[B, T]``. T must be a multiple of 8."""
        part = x.index_select(-1, self.relative)
        weights = mask.unsqueeze(-1).to(x.dtype)
        mean = (part * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True)
        x = (torch.cat([x, part - mean], -1) * weights).transpose(1, 2)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            mask = halve(mask, 2)
            x = F.relu(norm(conv(x)), inplace=True) * mask.unsqueeze(1)
        return x.transpose(1, 2)


class Residual(nn.Module):
    """``x + f(x)`` with a dilated convolution over time, for ``[B, D, T]``."""

    def __init__(self, dim: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(dim, dim, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Apply the block to ``[B, D, T]`` with the mask ``[B, T]``."""
        out: Tensor = x + F.relu(self.norm(self.conv(x * mask.unsqueeze(1))))
        return out


class Summary(nn.Module):
    """Mean and deviation of each prosody channel, over the clip and over its voiced part, as in phonetic tables.

    Converts standardised prosody ``[B, T, P]`` to ``[B, width]``.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(4 * len(PROSODY_CHANNELS), width)

    def forward(self, x: Tensor, voicing: Tensor, mask: Tensor) -> Tensor:
        """Summarise the prosody of clips.

        Args:
            x: ``[B, T, P]`` standardised.
            voicing: ``[B, T]`` probability of voicing.
            mask: ``[B, T]`` bool, true for real rows.

        Returns:
            ``[B, width]``.
        """
        parts = []
        for weights in (mask.to(x.dtype), (voicing.clamp(0, 1) + 1e-3) * mask):
            share = (weights / weights.sum(1, keepdim=True)).unsqueeze(-1)
            mean = (x * share).sum(1)
            variance = ((x - mean.unsqueeze(1)).square() * share).sum(1)
            parts += [mean, (variance + 1e-4).sqrt()]
        return F.relu(self.mix(torch.cat(parts, 1)))


def halve(mask: Tensor, by: int) -> Tensor:
    """Reduce a mask ``[B, T]`` to ``[B, T / by]``: true if any of the ``by`` steps that become one is true."""
    return mask.view(mask.shape[0], -1, by).any(-1)
