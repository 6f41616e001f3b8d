"""The base class of encoders and the layers that several of them share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multiemo.encoders.common.speaker_offset import SpeakerOffset
from multiemo.errors import ConfigError
from multiemo.types import Batch, InputSpec, Modality


@dataclass(frozen=True, slots=True)
class FrozenPart:
    """The frozen layers that an encoder begins with. What they compute from a clip never changes, so it is cached.

    Args:
        weights: their weights, by name.
        settings: what their output depends on besides the weights, the input and the assets of the encoder, as JSON
            values.
        beside: first column of the input that the rest of the encoder reads as well, 0 for the whole input; ``None`` if
            it reads none.
    """

    weights: Mapping[str, Tensor]
    settings: dict[str, Any] = field(default_factory=dict)
    beside: int | None = None


class Encoder(nn.Module):
    """Converts one modality to one embedding.

    A subclass registers itself with ``@encoders.register("name", modality=...)``. It takes its options as typed keyword
    arguments, which become config keys, and sets ``modality``, ``out_dim`` and ``input_spec``. Augmentation of the
    modality happens inside ``forward`` while ``self.training`` is true.

    Attributes:
        options: {argument: value} that it was built with, defaults included; recorded for every subclass.
        modality: the modality it reads. The ``features`` encoder gets it as an argument.
        out_dim: D, the width of the embedding.
        input_spec: format of the input of ``forward``; stored in the checkpoint.
        untrained: names of the parameters that still have their random initial values; ``None`` if all have.
        input_kind: name of the kind of input, the ``kind`` of ``input_spec``; ``None`` uses that of the modality.
        referenced: modules that it uses, but that are neither trained nor stored with it.
        leaves_masks: whether its ``forward`` accepts the keyword ``padded``. False states that all steps of ``x`` are
            real, which the host knows without asking the device; masks can then be left away.
        speaker_offset: estimates how a speaker usually differs from others, from :meth:`speaker_vector` of other clips;
            ``None`` if the encoder does not normalise speakers.
        shifts_states: whether ``forward`` subtracts that offset itself, which it then takes as the keyword ``offset``;
            otherwise it is subtracted from the input ``[B, T, M]``.
        clip_by_clip: whether its layers run once per clip. Processes with different numbers of clips then run them a
            different number of times.
    """

    options: Mapping[str, Any] = MappingProxyType({})
    modality: Modality
    out_dim: int
    input_spec: InputSpec
    untrained: frozenset[str] | None = None
    input_kind: ClassVar[str | None] = None
    referenced: tuple[nn.Module, ...] = ()
    leaves_masks: ClassVar[bool] = False
    clip_by_clip: bool = False
    speaker_offset: SpeakerOffset | None
    shifts_states: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.speaker_offset = None

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if "__init__" in vars(cls):
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Embed a padded batch.

        Args:
            x: ``[B, T, ...]`` as ``input_spec`` describes it, zero-padded.
            mask: ``[B, T]`` bool, true for real steps. Every row has at least one.

        Returns:
            ``[B, D]``, independent of the padding.
        """
        raise NotImplementedError

    def speaker_vector(self, x: Tensor, mask: Tensor) -> Tensor:
        """What is averaged over the clips of a speaker, by default the mean of the input over time.

        Args:
            x: as in :meth:`forward`.
            mask: as in :meth:`forward`.

        Returns:
            ``[B, M]`` float32.
        """
        return masked_mean(x.float(), mask)

    def frozen_part(self) -> FrozenPart | None:
        """The frozen layers that the encoder begins with, if it has some whose output can be cached.

        Such an encoder implements :meth:`frozen_states`, and its ``forward`` takes their result as a third argument
        ``states``. It then reads only the columns :attr:`FrozenPart.beside` of ``x``, which must be cut off before.
        The default has none.
        """
        return None

    def frozen_states(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The output of the frozen layers.

        Args:
            x: as in :meth:`forward`.
            mask: as in :meth:`forward`.

        Returns:
            ``[B, T', K]``, and the mask ``[B, T']`` of real steps, which come first.
        """
        raise NotImplementedError

    def fit_statistics(self, inputs: Iterable[Tensor]) -> None:
        """Fit fixed input statistics (means, scales) to training inputs ``[T, ...]``. The default has none."""

    def save_assets(self, folder: Path) -> None:
        """Write what is needed besides the weights to rebuild the module, such as a pretrained model's config."""

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Group the parameters by depth, input side first, for layer-wise learning rates and gradual unfreezing.

        Every parameter is in exactly one group. Parameters without a depth (pooling, projection) are in the last
        group. The default is a single group.
        """
        return [list(self.parameters())]

    def fixed_head(self, labels: Sequence[str]) -> EvidenceHead | None:
        """The head over this encoder's embedding, if the encoder needs no training to answer. The default has none.

        Args:
            labels: C columns of the model: labels, or the dimensions.
        """
        return None

    def note_pretrained(self, part: str) -> None:
        """Record that the submodule ``part`` has pretrained weights and everything else random initial values."""
        self.untrained = frozenset(n for n, _ in self.named_parameters() if not n.startswith(f"{part}."))

    def note_trained(self, names: Iterable[str]) -> None:
        """Record that the named parameters have been trained. An empty iterable changes nothing."""
        if trained := frozenset(names):
            before = self.untrained if self.untrained is not None else frozenset(n for n, _ in self.named_parameters())
            self.untrained = before - trained

    def fresh_parameters(self) -> list[nn.Parameter]:
        """The parameters with random initial values in a partly trained encoder; they need a higher learning rate.

        Empty if nothing in the encoder has been trained, because then all of it is new.
        """
        untrained = self.untrained or frozenset()
        return [p for n, p in self.named_parameters() if n in untrained]

    def recompute_activations(self) -> None:
        """From now on, recompute the backbone's activations in the backward pass instead of storing them.

        This saves memory at the cost of time (Chen et al. 2016). It has no effect without a deep backbone.
        """

    def masked_task(self) -> MaskedTask:
        """A task that trains the encoder without labels, by predicting hidden parts of its input.

        Raises:
            ConfigError: the encoder has no such task.
        """
        raise ConfigError(f"encoders.{self.modality}: {type(self).__name__} does not support objective 'masked'")


def _recording(build: Callable[..., None]) -> Callable[..., None]:
    """A constructor of an encoder that also records the options."""
    signature = inspect.signature(build)

    @wraps(build)
    def build_and_record(encoder: Encoder, *args: Any, **options: Any) -> None:
        if "options" not in vars(encoder):  # otherwise a subclass has recorded its own
            given = signature.bind(encoder, *args, **options)
            given.apply_defaults()
            _, *named = given.arguments.items()
            vars(encoder)["options"] = dict(named)
        build(encoder, *args, **options)

    return build_and_record


def encode_rows(encoder: nn.Module, m: Modality, batch: Batch, rows: Tensor | None = None) -> Tensor:
    """Embed the clips of a batch, from cached hidden states where the batch has them.

    Args:
        encoder: encoder of the modality.
        m: its modality.
        batch: a batch on the encoder's device.
        rows: indices of the clips to embed, int64; ``None`` embeds all, which then must have the modality.

    Returns:
        ``[B, D]``, or one row for each of ``rows``.
    """

    def chosen(x: Tensor) -> Tensor:
        return x if rows is None else x[rows]

    x, mask, options = chosen(batch.inputs[m]), chosen(batch.masks[m]), dict[str, Any]()
    if m in batch.speaker_offsets:
        offset = chosen(batch.speaker_offsets[m])
        if encoder.shifts_states:
            options["offset"] = offset
        else:
            x = x - offset.unsqueeze(1) * mask.unsqueeze(-1)
    if m in batch.states:
        return encoder(x, mask, (chosen(batch.states[m]), chosen(batch.state_masks[m])), **options)  # type: ignore[no-any-return]
    if encoder.leaves_masks and m in batch.unpadded:
        options["padded"] = False
    return encoder(x, mask, **options)  # type: ignore[no-any-return]


class EvidenceHead(nn.Module):
    """A head whose outputs are evidence: log-odds of each label relative to its prior, zero if there is none.

    The model adds the prior. For a dimension, evidence and prior are on the scale of the inverse hyperbolic tangent.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Compute evidence ``[B, C]`` from embeddings ``[B, D]``."""
        raise NotImplementedError


class MaskedTask(nn.Module):
    """Hides parts of a batch and measures how well the encoder predicts them. It is discarded after pretraining.

    A subclass holds only the decoder. The encoder is passed to ``forward``, so its weights are registered once.
    """

    def forward(self, encoder: Encoder, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the loss over the hidden values.

        Args:
            encoder: the encoder that created this task.
            x: as in :meth:`Encoder.forward`.
            mask: as in :meth:`Encoder.forward`.

        Returns:
            Two scalars, both means over the hidden values: the loss of the prediction, and, detached, the loss of a
            constant guess from the statistics of the training data (the mean value, or the token frequencies).
        """
        raise NotImplementedError


class Standardize(nn.Module):
    """Subtract a mean and divide by a standard deviation per channel, both fitted once to training data.

    Args:
        dim: number of channels.
        clip: standardised values are clamped to this many standard deviations, to limit outliers.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, clip: float = 8.0) -> None:
        super().__init__()
        self.clip = clip
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def fit(self, inputs: Iterable[Tensor]) -> None:
        """Fit the statistics to an iterable of ``[T, dim]``. Constant channels keep a scale of one."""
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
        """Standardise ``[..., dim]``; the shape stays the same."""
        return ((x - self.mean) / self.std).clamp(-self.clip, self.clip)


class BatchStandardize(nn.BatchNorm1d):
    """Standardise each column of ``[B, D]`` over the batch, without learnt scales; over a running mean for one row.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """Standardise ``[B, D]``; the shape stays the same."""
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, eps=self.eps)
        return super().forward(x)


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
        """Pool ``[B, T, D]`` with the mask ``[B, T]`` to ``[B, 2 D]``."""
        scores = self.score(x).squeeze(-1).masked_fill(~mask, float("-inf"))
        return weighted_statistics(x, scores.softmax(dim=1))


def weighted_statistics(x: Tensor, weights: Tensor) -> Tensor:
    """Mean and standard deviation over time: ``[..., T, D]`` and weights ``[..., T]``, sum one, to ``[..., 2 D]``."""
    weights = weights.unsqueeze(-1)
    mean = (weights * x).sum(-2)
    variance = (weights * (x - mean.unsqueeze(-2)).square()).sum(-2)
    return torch.cat([mean, (variance + 1e-5).sqrt()], dim=-1)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the real time steps: ``[B, T, D]`` and ``[B, T]`` to ``[B, D]``."""
    weights = mask.to(x.dtype).unsqueeze(-1)
    return (x * weights).sum(1) / weights.sum(1).clamp_min(1.0)
