"""Precomputed features of any modality: one vector a clip (action-unit means, eGeMAPS), or a sequence of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from multiemo.encoders.base import AttentiveStatistics, Encoder, Standardize, masked_mean
from multiemo.errors import ConfigError
from multiemo.registry import encoders
from multiemo.types import FeatureSpec, Modality


@encoders.register("features", modality=None)
class FeatureEncoder(Encoder):
    """Standardised features through a small network; sequences are pooled over time.

    Args:
        modality: the branch it stands in; given by the branch, not by the config.
        dim: columns of the features; given by the data.
        hidden: D, and the width of every layer.
        layers: layers of the network, each linear, layer normalisation, GELU, dropout.
        dropout: share of hidden values dropped in training.
        pooling: over time: ``mean``; ``attention`` (attentive mean and deviation); ``gru`` (bidirectional, then mean).
            Single vectors want ``mean``.
        noise: standard deviation of the normal noise added in training, in standard deviations of the feature.
        feature_dropout: share of columns set to their mean in training, the same columns for all steps of a clip.
        max_steps: longer sequences are thinned evenly to this many steps.

    Raises:
        ConfigError: a width or count below one.
    """

    def __init__(
        self,
        *,
        modality: Modality,
        dim: int,
        hidden: int = 128,
        layers: int = 2,
        dropout: float = 0.5,
        pooling: Literal["mean", "attention", "gru"] = "mean",
        noise: float = 0.5,
        feature_dropout: float = 0.2,
        max_steps: int = 256,
    ) -> None:
        super().__init__()
        for key, value in (("hidden", hidden), ("layers", layers), ("max_steps", max_steps)):
            if value < 1:
                raise ConfigError(f"encoders.{modality}.{key}: must be at least 1, got {value}")
        self.modality = modality
        self.input_spec = FeatureSpec(dim=dim, max_steps=max_steps)
        self.out_dim = hidden
        self.noise = noise
        self.feature_dropout = feature_dropout
        self.standardize = Standardize(dim)
        widths = [dim] + [hidden] * layers
        self.steps = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(a, b), nn.LayerNorm(b), nn.GELU(), nn.Dropout(dropout))
                for a, b in pairwise(widths)
            )
        )
        self.pooling = pooling
        if pooling == "attention":
            self.pool = AttentiveStatistics(hidden)
            self.merge = nn.Linear(2 * hidden, hidden)
        elif pooling == "gru":
            self.recurrent = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
            self.merge = nn.Linear(2 * hidden, hidden)

    def fit_statistics(self, inputs: Iterable[Tensor]) -> None:
        """Learn mean and scale of each column from training inputs ``[T, dim]``."""
        self.standardize.fit(inputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Embed features.

        Args:
            x: ``[B, T, dim]`` float32, padded at the end.
            mask: ``[B, T]`` bool.

        Returns:
            ``[B, D]``.
        """
        x = self.standardize(x)
        if self.training:
            x = self._augment(x)
        x = self.steps(x)
        if self.pooling == "attention":
            return self.merge(self.pool(x, mask))  # type: ignore[no-any-return]
        if self.pooling == "gru":
            packed = pack_padded_sequence(x, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
            x, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True, total_length=mask.shape[1])
            return self.merge(masked_mean(x, mask))  # type: ignore[no-any-return]
        return x[:, 0] if x.shape[1] == 1 else masked_mean(x, mask)

    def _augment(self, x: Tensor) -> Tensor:
        """Noise on every value, and whole columns back to their mean (zero, once standardised)."""
        x = x + self.noise * torch.randn_like(x)
        keep = torch.rand(x.shape[0], 1, x.shape[2], device=x.device) >= self.feature_dropout
        return x * keep
