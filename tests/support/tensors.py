"""Inputs of encoders: random crops, sequences and tracks, padded to batches."""

from __future__ import annotations

import torch
from torch import Tensor

from multiemo.types import PROSODY_CHANNELS


def crops(*lengths: int, size: int = 64, pad: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(max(lengths) + pad) < torch.tensor(lengths).unsqueeze(1)
    x = torch.zeros(*mask.shape, 3, size, size, dtype=torch.uint8)
    for row, length in enumerate(lengths):
        x[row, :length] = torch.randint(0, 256, (length, 3, size, size), generator=generator, dtype=torch.uint8)
    return x, mask


def sequences(*lengths: int, pad: int = 0, dim: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(max(lengths) + pad) < torch.tensor(lengths).unsqueeze(1)
    return torch.randn(*mask.shape, dim, generator=generator) * mask.unsqueeze(-1), mask


POOLINGS = ["mean", "attention", "gru"]


def waves(seconds: list[float]) -> list[Tensor]:
    return [0.3 * torch.randn(round(16000 * s), 1) * torch.linspace(0.1, 1, round(16000 * s))[:, None] for s in seconds]


def padded(clips: list[Tensor], extra: int = 0) -> tuple[Tensor, Tensor]:
    """Zero-padded batch and its mask, with ``extra`` more steps."""
    x = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    x = torch.nn.functional.pad(x, (0, 0, 0, extra))
    lengths = torch.tensor([len(c) for c in clips])
    return x, torch.arange(x.shape[1]) < lengths.unsqueeze(1)


def tracks(lengths: list[int], channels: int = 64 + len(PROSODY_CHANNELS)) -> list[Tensor]:
    return [torch.randn(n, channels) for n in lengths]
