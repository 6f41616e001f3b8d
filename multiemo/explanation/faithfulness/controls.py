"""Changed copies of a model and of inputs, against which scores are compared."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from multiemo.data.collate import Collate
from multiemo.model import EmotionModel
from multiemo.runs.device import Compute
from multiemo.types import Modality, Sample

#: Standard deviation of the noise of a disturbed input, as a share of the input's own.
NOISE = 0.05
#: Clips from which the batch statistics of shuffled weights are taken.
_CLIPS_FOR_STATISTICS = 16


def shuffled_copy(model: EmotionModel, compute: Compute, samples: Sequence[Sample], seed: int) -> EmotionModel:
    """A copy of a model that has learnt nothing: the weights of each tensor are permuted within it.

    This is the model parameter randomisation test of Adebayo et al. (2018), of all layers at once. A permutation keeps
    the distribution of the weights, so activations keep their scale. The running statistics of batch norms describe
    the trained weights; they are taken anew from some clips. The given model is not changed.

    Args:
        model: a model on the device of ``compute``.
        compute: device and precision.
        samples: clips; the first 16 give the statistics of batch norms. Fewer than two leave them as they are.
        seed: seed of the permutations.
    """
    random = torch.Generator().manual_seed(seed)
    copy = deepcopy(model).eval()
    with torch.no_grad():
        for weights in copy.parameters():
            order = torch.randperm(weights.numel(), generator=random).to(weights.device)
            weights.copy_(weights.flatten()[order].view_as(weights))
    norms = [m for m in copy.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if norms and len(samples) > 1:
        _take_statistics(copy, norms, compute, samples[:_CLIPS_FOR_STATISTICS])
    return copy


@torch.no_grad()
def _take_statistics(
    model: EmotionModel, norms: Sequence[_BatchNorm], compute: Compute, samples: Sequence[Sample]
) -> None:
    """Replace the running statistics of batch norms with those of one batch, one modality at a time."""
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # an average of all batches
        norm.train()
    for m in model.modalities:
        having = [replace(s, inputs={m: s.inputs[m]}) for s in samples if m in s.inputs]
        if len(having) > 1:
            batch = Collate([m], model.prior.numel())(having).to(compute.device)
            with compute.autocast():
                model.encoders[m](batch.inputs[m], batch.masks[m])
    for norm in norms:
        norm.eval()


def disturbed_copy(model: EmotionModel, seed: int) -> EmotionModel:
    """A copy of a model with noise on its tables of token embeddings: the disturbance for inputs that are token ids.

    Token ids have no small changes, but what the model reads of them has: each embedding gets normal noise with 5% of
    the standard deviation of its table. The given model is not changed.

    Args:
        model: the model.
        seed: seed of the noise.
    """
    random = torch.Generator().manual_seed(seed)
    copy = deepcopy(model).eval()
    with torch.no_grad():
        for table in copy.modules():
            if isinstance(table, nn.Embedding | nn.EmbeddingBag):
                noise = torch.randn(table.weight.shape, generator=random).to(table.weight)
                table.weight += NOISE * table.weight.std() * noise
    return copy


def is_tokens(x: Tensor) -> bool:
    """Whether an input consists of token ids, which are disturbed by :func:`disturbed_copy`."""
    return not x.is_floating_point() and x.dtype != torch.uint8


def disturbed(x: Tensor, seed: int) -> Tensor:
    """An input with normal noise of 5% of its standard deviation.

    For rows of features (``[T, D]``), that of each column over time, as columns have different units; otherwise
    (sound, pictures, a single row) that of all values. Pictures stay whole numbers from 0 to 255.

    Args:
        x: ``[T, ...]`` float, or uint8 pixels.
        seed: seed of the noise.
    """
    random = torch.Generator().manual_seed(seed)
    values = x.float()
    spread = values.std(dim=0) if x.ndim == 2 and len(x) > 1 and x.shape[1] > 1 else values.std()
    noisy = values + NOISE * spread * torch.randn(x.shape, generator=random).to(x.device)
    return noisy.round().clamp(0, 255).to(x.dtype) if x.dtype == torch.uint8 else noisy.to(x.dtype)


def with_input(sample: Sample, modality: Modality, x: Tensor) -> Sample:
    """The same clip with another input of one modality.

    Args:
        sample: the clip.
        modality: the modality.
        x: its new input.
    """
    return replace(sample, inputs={**sample.inputs, modality: x})
