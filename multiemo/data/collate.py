"""Samples -> one padded Batch: a time mask a modality, a presence mask a clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler

from multiemo.types import Batch, Modality, Sample


class Collate:
    """Pads samples to a batch.

    Args:
        modalities: of the model; each gets its key even when no clip of the batch has it.
        classes: C.
    """

    def __init__(self, modalities: Sequence[Modality], classes: int) -> None:
        self.modalities = tuple(modalities)
        self.classes = classes

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """``B`` samples to one batch."""
        inputs: dict[Modality, Tensor] = {}
        masks: dict[Modality, Tensor] = {}
        presence: dict[Modality, Tensor] = {}
        for m in self.modalities:
            inputs[m], masks[m] = pad([s.inputs.get(m) for s in samples])
            presence[m] = torch.tensor([m in s.inputs for s in samples])
        nothing = torch.zeros(self.classes)
        others = [s.other_targets for s in samples if s.other_targets is not None]
        return Batch(
            ids=[s.id for s in samples],
            corpora=[s.corpus for s in samples],
            speakers=[s.speaker for s in samples],
            inputs=inputs,
            masks=masks,
            presence=presence,
            absent=[s.absent for s in samples],
            target=torch.stack([nothing if s.target is None else s.target for s in samples]),
            labelled=torch.tensor([s.target is not None for s in samples]),
            dimensions=torch.stack([s.dimensions for s in samples]),
            other_targets=torch.stack(others) if len(others) == len(samples) else None,
        )


def pad(tensors: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
    """``B`` tensors ``[T_i, ...]`` (or ``None``) to ``[B, T, ...]`` and the mask ``[B, T]``.

    Example:
        >>> x, mask = pad([torch.ones(2), None, torch.ones(3)])
        >>> x.shape, mask.sum(1).tolist()
        (torch.Size([3, 3]), [2, 0, 3])
    """
    longest = max((t.shape[0] for t in tensors if t is not None), default=1)
    model = next((t for t in tensors if t is not None), None)
    if model is None:
        return torch.zeros(len(tensors), 1), torch.zeros(len(tensors), 1, dtype=torch.bool)
    x = model.new_zeros((len(tensors), longest, *model.shape[1:]))
    mask = torch.zeros(len(tensors), longest, dtype=torch.bool)
    for row, tensor in enumerate(tensors):
        if tensor is not None:
            x[row, : tensor.shape[0]] = tensor
            mask[row, : tensor.shape[0]] = True
    return x, mask


class BucketSampler(Sampler[list[int]]):
    """Batches of clips of similar length, in an order that depends only on seed and epoch.

    Clips are shuffled, cut into pools of ``pool`` batches, sorted by length within each pool, cut into batches, and the
    batches shuffled: little padding, still nearly random.

    Args:
        lengths: of every clip.
        batch_size: clips a batch; a last batch of a single clip joins the one before it.
        seed: of the order.
        shuffle: off keeps manifest order (evaluation).
        pool: batches a pool.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, *, seed: int = 0, shuffle: bool = True, pool: int = 16
    ) -> None:
        self.lengths = list(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.pool = pool
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._sizes())

    def _sizes(self) -> list[int]:
        full, rest = divmod(len(self.lengths), self.batch_size)
        sizes = [self.batch_size] * full
        if rest == 1 and sizes:
            sizes[-1] += 1  # batch statistics of one clip mean nothing
        elif rest:
            sizes.append(rest)
        return sizes

    def __iter__(self) -> Iterator[list[int]]:
        order = list(range(len(self.lengths)))
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        if self.shuffle:
            order = torch.randperm(len(order), generator=generator).tolist()
            width = self.batch_size * self.pool
            pools = (sorted(order[i : i + width], key=self.lengths.__getitem__) for i in range(0, len(order), width))
            order = [i for part in pools for i in part]
        batches, start = [], 0
        for size in self._sizes():
            batches.append(order[start : start + size])
            start += size
        if self.shuffle:
            batches = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
        yield from batches
