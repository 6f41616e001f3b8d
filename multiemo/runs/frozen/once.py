"""Computes a value for every clip of a part once, through the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from multiemo.data.cache.tensors import TensorCache
from multiemo.data.collate import BucketSampler, Collate
from multiemo.progress import Progress
from multiemo.runs.batches import Part
from multiemo.runs.device import Compute
from multiemo.training.parallel import ProcessBarrier
from multiemo.types import Batch, Modality, Sample

#: Cached values that are read in one transaction.
_READ_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Computer:
    """Where and how values are computed.

    Args:
        compute: device and precision.
        barrier: synchronises the processes; ``None`` for one process.
        budget: {modality: maximum amount in one process's batch}, see ``training.budget``.
        batch_size: clips at a time.
        progress: receives the number of finished clips.
    """

    compute: Compute
    barrier: ProcessBarrier | None
    budget: Mapping[Modality, float]
    batch_size: int
    progress: Progress

    def run(
        self,
        part: Part,
        m: Modality,
        keys: Mapping[int, bytes],
        compute: Callable[[Batch], Sequence[Tensor]],
        receive: Callable[[int, Tensor], None],
        *,
        samples: Callable[[], Dataset[Sample]] | None = None,
    ) -> None:
        """Compute the value of each row that the cache lacks, store it there, and pass every value on.

        With several processes, each computes its share into the cache; then every process reads all values from there.

        Args:
            part: preprocessed part.
            m: modality that is read.
            keys: {row of the part: key of its value}.
            compute: computes the value of each clip of a batch, on its device, without gradients.
            receive: called with each row and its value, in any order; a row may come twice.
            samples: makes the dataset to read instead of the part's own, with the same indices; called if a value is
                missing.
        """
        cache, barrier = part.dataset.cache, self.barrier
        assert cache is not None
        rows = list(keys)
        shared = barrier is not None and barrier.processes > 1
        turns = [rows[barrier.rank :: barrier.processes], rows] if barrier is not None and shared else [rows]
        for turn in turns:
            missing = list(_missing(cache, {i: keys[i] for i in turn}, receive))
            self._compute(part, m, missing, keys, compute, receive, samples)
            if barrier is not None:
                barrier.wait()
        cache.close()

    def _compute(
        self,
        part: Part,
        m: Modality,
        rows: Sequence[int],
        keys: Mapping[int, bytes],
        compute: Callable[[Batch], Sequence[Tensor]],
        receive: Callable[[int, Tensor], None],
        samples: Callable[[], Dataset[Sample]] | None,
    ) -> None:
        cache, lengths = part.dataset.cache, part.prepared.lengths[m]
        if not rows or cache is None:
            return
        costs = part.costs((m,), rows, self.budget)
        sampler = BucketSampler([lengths[i] for i in rows], self.batch_size, costs=costs)
        collate = Collate((m,), len(part.dataset.space.labels))
        dataset = Subset(part.dataset if samples is None else samples(), rows)
        done = 0
        for batch, places in zip(DataLoader(dataset, batch_sampler=sampler, collate_fn=collate), sampler, strict=True):
            with torch.inference_mode(), self.compute.autocast():
                values = [value.cpu() for value in compute(batch.to(self.compute.device))]
            chosen = [rows[place] for place in places]
            for i, value in zip(chosen, values, strict=True):
                receive(i, value)
            cache.put_many([(keys[i], value) for i, value in zip(chosen, values, strict=True)])
            done += len(chosen)
            self.progress.update(done, len(rows))


def _missing(cache: TensorCache, keys: Mapping[int, bytes], receive: Callable[[int, Tensor], None]) -> Iterator[int]:
    """Pass cached values on, and yield the rows that the cache lacks."""
    rows = list(keys)
    for start in range(0, len(rows), _READ_AT_ONCE):
        some = rows[start : start + _READ_AT_ONCE]
        for i, stored in zip(some, cache.get_many([keys[i] for i in some]), strict=True):
            if isinstance(stored, Tensor):
                receive(i, stored)
            else:
                yield i
