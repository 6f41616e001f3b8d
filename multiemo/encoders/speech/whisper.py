"""Whisper's encoder on input shorter than 30 s, which the library's own forward pass refuses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def encode_bands(encoder: Any, bands: Tensor, attended: Tensor, stop: int | None = None) -> list[Tensor]:
    """Hidden states of a ``WhisperEncoder``, independent of the padding.

    The layers are the library's own. Steps that are not attended to change nothing: they are zero before each
    convolution, as beyond the end of the input, and masked in the attention.

    Args:
        encoder: a ``WhisperEncoder`` of transformers, which may have adapters.
        bands: ``[B, M, 2 T]`` log-mel bands.
        attended: ``[B, T]`` bool, true for steps to attend to.
        stop: number of layers that run; ``None`` for all.

    Returns:
        The input of the first layer and the output of each layer that runs, ``[B, T, H]``; that of the last layer of
        the model after the final normalisation.
    """
    frames = attended.repeat_interleave(2, 1).unsqueeze(1)
    x = F.gelu(encoder.conv1(bands.masked_fill(~frames, 0.0)))
    x = F.gelu(encoder.conv2(x.masked_fill(~frames, 0.0))).transpose(1, 2)
    place = torch.arange(x.shape[1], device=x.device)
    x = F.dropout(x + encoder.embed_positions(place), p=encoder.dropout, training=encoder.training)
    return [x, *encode_above(encoder, x, attended, 0, stop)]


def encode_above(encoder: Any, states: Tensor, attended: Tensor, start: int, stop: int | None = None) -> list[Tensor]:
    """Hidden states of the layers of a ``WhisperEncoder`` above a given one.

    Args:
        encoder: as in :func:`encode_bands`.
        states: ``[B, T, H]`` input of layer ``start``.
        attended: as in :func:`encode_bands`.
        start: index of the first layer that runs.
        stop: index of the first layer above that does not run; ``None`` if all run.

    Returns:
        The output of each layer that runs, ``[B, T, H]``; that of the last layer of the model after the final
        normalisation.
    """
    mask = attended[:, None, None]
    if encoder.config._attn_implementation == "eager":  # the others take the mask as it is
        mask = torch.zeros_like(mask, dtype=states.dtype).masked_fill(~mask, torch.finfo(states.dtype).min)
    found = []
    for layer in encoder.layers[start:stop]:
        out = layer(states, mask)
        states = out[0] if isinstance(out, tuple) else out  # a tuple in earlier versions of the library
        found.append(states)
    whole = stop is None or stop == len(encoder.layers)
    return [*found[:-1], encoder.layer_norm(states)] if whole else found
