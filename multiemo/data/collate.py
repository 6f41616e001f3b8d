"""Collate samples into a padded batch with a time mask and a presence mask per modality, and plan the batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor
from torch.utils.data import Sampler

from multiemo.types import Batch, Modality, Sample


class Collate:
    """Collates samples into a padded batch.

    Args:
        modalities: modalities of the model; each has its key in the batch even if no clip has that modality.
        classes: number of classes C.
        stand_ins: {modality: ``[T, ...]``} used as the only input of a modality that no clip of a batch has; it is
            marked as absent for all clips (see ``Batch.together``).
    """

    def __init__(
        self, modalities: Sequence[Modality], classes: int, *, stand_ins: Mapping[Modality, Tensor] | None = None
    ) -> None:
        self.modalities = tuple(modalities)
        self.classes = classes
        self.stand_ins = dict(stand_ins or {})

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Collate ``B`` samples into one batch."""
        inputs: dict[Modality, Tensor] = {}
        masks: dict[Modality, Tensor] = {}
        presence: dict[Modality, Tensor] = {}
        embeddings: dict[Modality, Tensor] = {}
        states: dict[Modality, Tensor] = {}
        state_masks: dict[Modality, Tensor] = {}
        for m in self.modalities:
            tensors = [s.inputs.get(m) for s in samples]
            if m in self.stand_ins and all(x is None for x in tensors):
                tensors = [self.stand_ins[m]]
            inputs[m], masks[m] = pad(tensors)
            presence[m] = torch.tensor([m in s.inputs or m in s.embeddings or m in s.states for s in samples])
            if any(m in s.states for s in samples):
                states[m], state_masks[m] = pad([s.states.get(m) for s in samples])
            known = next((s.embeddings[m] for s in samples if m in s.embeddings), None)
            if known is not None:
                embeddings[m] = torch.stack([s.embeddings.get(m, torch.zeros_like(known)) for s in samples])
        no_target = torch.zeros(self.classes)
        other_targets = [s.other_targets for s in samples if s.other_targets is not None]
        return Batch(
            ids=[s.id for s in samples],
            corpora=[s.corpus for s in samples],
            speakers=[s.speaker for s in samples],
            inputs=inputs,
            masks=masks,
            presence=presence,
            absent=[s.absent for s in samples],
            target=torch.stack([no_target if s.target is None else s.target for s in samples]),
            labelled=torch.tensor([s.target is not None for s in samples]),
            dimensions=torch.stack([s.dimensions for s in samples]),
            other_targets=torch.stack(other_targets) if len(other_targets) == len(samples) else None,
            embeddings=embeddings,
            states=states,
            state_masks=state_masks,
        )


def pad(tensors: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
    """Pad ``B`` tensors ``[T_i, ...]`` (or ``None``) to ``[B, T, ...]``; return them with the time mask ``[B, T]``.

    Example:
        >>> x, mask = pad([torch.ones(2), None, torch.ones(3)])
        >>> x.shape, mask.sum(1).tolist()
        (torch.Size([3, 3]), [2, 0, 3])
    """
    longest = max((t.shape[0] for t in tensors if t is not None), default=1)
    model = next((t for t in tensors if t is not None), None)
    if model is None:
        return torch.zeros(len(tensors), 1), torch.zeros(len(tensors), 1, dtype=torch.bool)
    dtype = reduce(torch.promote_types, (t.dtype for t in tensors if t is not None))
    x = model.new_zeros((len(tensors), longest, *model.shape[1:]), dtype=dtype)
    mask = torch.zeros(len(tensors), longest, dtype=torch.bool)
    for row, tensor in enumerate(tensors):
        if tensor is not None:
            x[row, : tensor.shape[0]] = tensor
            mask[row, : tensor.shape[0]] = True
    return x, mask


#: Batches that are sorted by length together.
_POOL = 16


class BucketSampler(Sampler[list[int]]):
    """Samples batches, of clips of similar length if wanted, in an order that depends only on seed and epoch.

    Clips are shuffled (or drawn with ``weights``) and divided into batches. With ``similar_lengths``, pools of 16
    batches are sorted by length before they are divided, and the batches are then shuffled: little is padded. Length
    goes with the label, however, and from a batch of clips of one length batch normalisation removes what tells it from
    others.
    Of every batch, process ``rank`` takes each ``processes``-th clip, so that all processes take the same number of
    steps and no clip is used twice.

    Args:
        lengths: length of every clip, in any unit; used for sorting.
        batch_size: maximum number of clips per batch, over all processes.
        seed: seed of the order.
        shuffle: false keeps the order of the manifest (evaluation).
        similar_lengths: whether the clips of a shuffled batch have similar lengths; false draws every batch at random.
        weights: sampling weight of every clip; as many clips as there are are then drawn with replacement.
        costs: one (steps of every clip, maximum padded steps per batch) for each modality with a budget. The padded
            steps of a batch are its number of clips times the steps of the longest.
        steps: {modality: steps of every clip, 0 if absent}; see :meth:`together`.
        rank: index of this process.
        processes: number of processes.

    Raises:
        ValueError: there are fewer clips than processes.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        similar_lengths: bool = True,
        weights: Sequence[float] | None = None,
        costs: Sequence[tuple[Sequence[int], float]] = (),
        steps: Mapping[Modality, Sequence[int]] | None = None,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        if len(lengths) < processes:
            raise ValueError(f"{len(lengths)} clips are too few for {processes} processes")
        self.lengths = list(lengths)
        self.batch_size = max(batch_size, processes)
        self.seed = seed
        self.shuffle = shuffle
        self.similar_lengths = similar_lengths
        self.weights = None if weights is None else torch.tensor(weights, dtype=torch.float64)
        self.costs = [(list(steps), limit) for steps, limit in costs]
        self.steps = {m: list(each) for m, each in (steps or {}).items()}
        self.rank, self.processes = rank, processes
        self.epoch = 0
        self.start = 0
        self._planned: tuple[int, list[list[int]]] | None = None

    def __len__(self) -> int:
        return len(self.batches())

    def __iter__(self) -> Iterator[list[int]]:
        """Yield this process's share of each batch of the epoch, from batch ``start`` on."""
        for batch in self.batches()[self.start :]:
            yield batch[self.rank :: self.processes]

    def batches(self) -> list[list[int]]:
        """Return all batches of the current epoch, over all processes."""
        if self._planned is None or self._planned[0] != self.epoch:
            self._planned = (self.epoch, self._plan())
        return self._planned[1]

    def together(self, number: int) -> dict[Modality, int]:
        """Return the steps of each modality in batch ``number`` of the current epoch, over all processes."""
        batch = self.batches()[number]
        return {m: sum(each[i] for i in batch) for m, each in self.steps.items()}

    def _plan(self) -> list[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        order = list(range(len(self.lengths)))
        if self.shuffle:
            if self.weights is None:
                order = torch.randperm(len(order), generator=generator).tolist()
            else:
                order = torch.multinomial(self.weights, len(order), replacement=True, generator=generator).tolist()
            width = self.batch_size * (_POOL if self.similar_lengths else 1)
            pools = (sorted(order[i : i + width], key=self.lengths.__getitem__) for i in range(0, len(order), width))
            order = [i for part in pools for i in part]
        batches = self._make_batches(order)
        if self.shuffle:
            batches = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
        return batches

    def _make_batches(self, order: list[int]) -> list[list[int]]:
        """Divide clips, in order, into batches within ``batch_size`` and the budgets.

        A last batch of a single clip is merged into the one before it if the budgets allow, since batch statistics of
        one clip are meaningless. A last batch with fewer clips than processes is always merged, since each process
        needs a clip.
        """
        batches: list[list[int]] = [[]]
        longest = [0] * len(self.costs)
        for i in order:
            wider = [max(previous, steps[i]) for previous, (steps, _) in zip(longest, self.costs, strict=True)]
            size = len(batches[-1]) + 1
            full = size > self.batch_size or any(
                size * steps > limit for steps, (_, limit) in zip(wider, self.costs, strict=True)
            )
            if full and size > self.processes:
                batches.append([])
                wider = [steps[i] for steps, _ in self.costs]
            batches[-1].append(i)
            longest = wider
        if len(batches) > 1 and len(batches[-1]) < max(2, self.processes):
            merged = batches[-2] + batches[-1]
            fits = all(len(merged) * max(steps[i] for i in merged) <= limit for steps, limit in self.costs)
            if fits or len(batches[-1]) < self.processes:
                batches[-2:] = [merged]
        return batches
