"""What every encoder is, and the parts that several of them share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from multiemo.errors import ConfigError
from multiemo.types import InputSpec, Modality


class Encoder(nn.Module):
    """One modality in, one embedding out.

    A subclass registers itself with ``@encoders.register("name", modality=...)``, takes its options as typed keyword
    arguments (they become config keys), and sets the three attributes below. Augmentation that suits the modality
    happens inside ``forward`` while ``self.training``.

    Attributes:
        modality: which input it reads. The ``features`` encoder gets it as an argument.
        out_dim: D, the width of the embedding.
        input_spec: what ``forward`` wants to be fed; stored in the checkpoint.
        untrained: names of the parameters that are still as they were drawn; ``None`` where all are.
        input_kind: name of the kind of input, the ``kind`` of ``input_spec``; ``None``: that of its modality.
        clip_by_clip: whether its layers are called once a clip, so that processes with other clips call them another
            number of times.
    """

    modality: Modality
    out_dim: int
    input_spec: InputSpec
    untrained: frozenset[str] | None = None
    input_kind: ClassVar[str | None] = None
    clip_by_clip: bool = False

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Embed a padded batch.

        Args:
            x: ``[B, T, ...]`` as ``input_spec`` says, zero-padded.
            mask: ``[B, T]`` bool, true where real; every row has at least one true step.

        Returns:
            ``[B, D]``. Padding never changes it.
        """
        raise NotImplementedError

    def fit_statistics(self, inputs: Iterable[Tensor]) -> None:
        """Learn fixed input statistics (means, scales) from training inputs ``[T, ...]``; by default there are none."""

    def save_assets(self, folder: Path) -> None:
        """Write what is needed to rebuild the module besides its weights (a pretrained model's config)."""

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters by depth, the input side first, for layer-wise learning rates and gradual unfreezing.

        Every parameter is in exactly one group; those without a depth (pooling, projection) are in the last one. By
        default there is one group.
        """
        return [list(self.parameters())]

    def note_pretrained(self, part: str) -> None:
        """Note that the submodule ``part`` came with trained weights, while the rest is as it was drawn."""
        self.untrained = frozenset(n for n, _ in self.named_parameters() if not n.startswith(f"{part}."))

    def note_trained(self, names: Iterable[str]) -> None:
        """Note that these parameters were trained, by name; without any, nothing changes."""
        if trained := frozenset(names):
            before = self.untrained if self.untrained is not None else frozenset(n for n, _ in self.named_parameters())
            self.untrained = before - trained

    def fresh_parameters(self) -> list[nn.Parameter]:
        """Those still as they were drawn, beside others that have been trained; they want to learn faster than those.

        None in an encoder of which nothing has been trained: it is new as a whole.
        """
        untrained = self.untrained or frozenset()
        return [p for n, p in self.named_parameters() if n in untrained]

    def recompute_activations(self) -> None:
        """From now on compute the backbone's activations again in the backward pass instead of keeping them.

        Less memory for more time (Chen et al. 2016); without effect where there is no deep backbone.
        """

    def masked_task(self) -> MaskedTask:
        """The decoder and loss by which the encoder learns from what is hidden of its input, without labels.

        Raises:
            ConfigError: this encoder has no such task.
        """
        raise ConfigError(f"encoders.{self.modality}: {type(self).__name__} cannot learn with objective 'masked'")


class MaskedTask(nn.Module):
    """Hides parts of a batch, asks the encoder for them, and measures the answer; thrown away after pretraining.

    A subclass holds the decoder only; the encoder is handed to ``forward``, so that its weights are in one place.
    """

    def forward(self, encoder: Encoder, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Loss over what was hidden.

        Args:
            encoder: the one that made this task.
            x, mask: as in :meth:`Encoder.forward`.

        Returns:
            Two scalars, both means over the hidden values: the loss, and, detached, that of a guess that knows the
            training data but not the clip (the mean of the values; the frequencies of the tokens).
        """
        raise NotImplementedError


class Standardize(nn.Module):
    """Subtract a mean and divide by a standard deviation per channel, both learnt once from training data.

    Args:
        dim: channels.
        clip: values are kept within this many standard deviations, so that one odd value cannot blow up a branch.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, clip: float = 8.0) -> None:
        super().__init__()
        self.clip = clip
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def fit(self, inputs: Iterable[Tensor]) -> None:
        """Set the statistics from an iterable of ``[T, dim]``; constant channels keep a scale of one."""
        count = 0
        total = torch.zeros(self.mean.shape, dtype=torch.float64)
        squares = torch.zeros_like(total)
        for x in inputs:
            values = x.double().reshape(-1, total.numel())
            count += values.shape[0]
            total += values.sum(0)
            squares += values.square().sum(0)
        if count < 2:
            return
        mean = total / count
        std = (squares / count - mean.square()).clamp_min(0).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-6, std, torch.ones_like(std)))

    def forward(self, x: Tensor) -> Tensor:
        """``[..., dim]`` to the same shape."""
        return ((x - self.mean) / self.std).clamp(-self.clip, self.clip)


class AttentiveStatistics(nn.Module):
    """Attention-weighted mean and standard deviation over time (Okabe et al., Interspeech 2018).

    Args:
        dim: D of the input; the output has ``2 * dim`` columns.
        hidden: width of the scoring layer.
    """

    def __init__(self, dim: int, hidden: int = 64) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(dim, hidden), nn.Tanh(), nn.Linear(hidden, 1, bias=False))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``[B, T, D]`` and ``[B, T]`` to ``[B, 2 D]``."""
        scores = self.score(x).squeeze(-1).masked_fill(~mask, float("-inf"))
        weights = scores.softmax(dim=1).unsqueeze(-1)
        mean = (weights * x).sum(1)
        variance = (weights * (x - mean.unsqueeze(1)).square()).sum(1)
        return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over real time steps: ``[B, T, D]`` and ``[B, T]`` to ``[B, D]``."""
    weights = mask.to(x.dtype).unsqueeze(-1)
    return (x * weights).sum(1) / weights.sum(1).clamp_min(1.0)
