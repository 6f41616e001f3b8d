"""Precomputed features of any modality: one vector per clip (action-unit means, eGeMAPS), or a sequence of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from multiemo.encoders.base import AttentiveStatistics, Encoder, Standardize, masked_mean
from multiemo.encoders.common.speaker_offset import SpeakerOffset
from multiemo.encoders.features.masked_features import MaskedFeatures
from multiemo.errors import ConfigError
from multiemo.registry import Share, Size, encoders
from multiemo.types import FeatureSpec, Modality


@encoders.register("features", modality=None)
class FeatureEncoder(Encoder):
    """Applies a small network to standardised features and pools sequences over time.

    Args:
        modality: the branch that the encoder belongs to; given by the branch, not by the config.
        dim: columns of the features; given by the data.
        hidden: D, and the width of every layer.
        layers: number of layers, each linear, layer normalisation, GELU, dropout.
        dropout: share of hidden values dropped in training.
        pooling: method of pooling over time: ``mean``; ``attention`` (attentive mean and deviation); ``gru``
            (bidirectional, then mean). Use ``mean`` for single vectors.
        noise: standard deviation of the normal noise added in training, in standard deviations of the feature.
        speaker_normalization: subtract what is usual for the speaker, as far as other clips of the speaker show it.
        feature_dropout: share of columns set to their mean in training, the same columns for all steps of a clip.
        max_steps: longer sequences are subsampled evenly to this many steps.
        columns: names of the columns, if the data name them; given by the data, not by the config.

    Raises:
        ConfigError: a width or count below one, or a share that is not within 0 and 1.
    """

    input_kind = "features"

    def __init__(
        self,
        *,
        modality: Modality,
        dim: int,
        hidden: Size = 128,
        layers: Size = 2,
        dropout: Share = 0.5,
        pooling: Literal["mean", "attention", "gru"] = "mean",
        noise: float = 0.5,
        speaker_normalization: bool = False,
        feature_dropout: Share = 0.2,
        max_steps: Size = 256,
        columns: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        for key, value in (("hidden", hidden), ("layers", layers), ("max_steps", max_steps)):
            if value < 1:
                raise ConfigError(f"encoders.{modality}.{key}: must be at least 1, got {value}")
        for key, share in (("dropout", dropout), ("feature_dropout", feature_dropout)):
            if not 0 <= share <= 1:
                raise ConfigError(f"encoders.{modality}.{key}: must lie within 0 and 1, got {share}")
        self.modality = modality
        self.input_spec = FeatureSpec(dim=dim, max_steps=max_steps, columns=columns)
        self.out_dim = hidden
        self.noise = noise
        self.feature_dropout = feature_dropout
        self.standardize = Standardize(dim)
        if speaker_normalization:
            self.speaker_offset = SpeakerOffset(torch.ones(dim, dtype=torch.bool))
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
            self.ahead = nn.GRU(hidden, hidden, batch_first=True)
            self.back = nn.GRU(hidden, hidden, batch_first=True)
            self.merge = nn.Linear(2 * hidden, hidden)

    def fit_statistics(self, inputs: Iterable[Tensor]) -> None:
        """Fit mean and scale of each column to training inputs ``[T, dim]``."""
        self.standardize.fit(inputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Embed features.

        Args:
            x: ``[B, T, dim]`` float32, padded at the end.
            mask: ``[B, T]`` bool.

        Returns:
            ``[B, D]``.
        """
        _, values = self.values(x)
        return self.embed(self.states(values, mask), mask)

    def values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Standardise ``[B, T, dim]``, and augment a copy in training.

        Augmentation adds noise to every value and resets whole columns to their mean (zero after standardisation).

        Returns:
            The standardised values, and the values that the network reads. Both are the same outside training.
        """
        values: Tensor = self.standardize(x)
        if not self.training:
            return values, values
        noisy = values + self.noise * torch.randn_like(values)
        keep = torch.rand(x.shape[0], 1, x.shape[2], device=x.device) >= self.feature_dropout
        return values, noisy * keep

    def states(self, values: Tensor, mask: Tensor) -> Tensor:
        """Convert standardised ``[B, T, dim]`` to ``[B, T, W]``. W is 2 D for ``gru``, otherwise D."""
        x: Tensor = self.steps(values)
        if self.pooling != "gru":
            return x
        # The backward GRU must start at a clip's last real step, so the real steps are reversed before and after it.
        place, length = torch.arange(x.shape[1], device=x.device), mask.sum(1, keepdim=True)
        mirror = torch.where(place < length, length - 1 - place, place).unsqueeze(-1).expand_as(x)
        return torch.cat([self.ahead(x)[0], self.back(x.gather(1, mirror))[0].gather(1, mirror)], -1)

    def embed(self, states: Tensor, mask: Tensor) -> Tensor:
        """Pool ``[B, T, W]`` to ``[B, D]``."""
        if self.pooling == "attention":
            return self.merge(self.pool(states, mask))  # type: ignore[no-any-return]
        pooled = states[:, 0] if states.shape[1] == 1 else masked_mean(states, mask)
        return self.merge(pooled) if self.pooling == "gru" else pooled

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """As :meth:`Encoder.layer_groups`: each layer, then the pooling."""
        layers = [list(layer.parameters()) for layer in self.steps]
        deep = {parameter for layer in layers for parameter in layer}
        return [*layers, [p for p in self.parameters() if p not in deep]]

    def masked_task(self) -> MaskedFeatures:
        """A task that hides steps of a sequence, or columns of a single vector."""
        dim, width = self.steps[0][0].in_features, self.out_dim * (3 if self.pooling == "gru" else 2)  # type: ignore[index]
        return MaskedFeatures(width, dim)
