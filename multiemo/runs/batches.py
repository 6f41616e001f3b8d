"""The preprocessed parts of a split, and the batches drawn from them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Subset

from multiemo.config import Config
from multiemo.data.cache.settings import default_cache
from multiemo.data.cache.tensors import TensorCache
from multiemo.data.collate import BucketSampler, Collate
from multiemo.data.dialogue import without_context
from multiemo.data.targets import LabelSpace
from multiemo.inputs.base import Input, context_width
from multiemo.inputs.dataset import ClipDataset, PreparedPart
from multiemo.progress import Progress
from multiemo.training.parallel import ProcessBarrier
from multiemo.types import Batch, Clip, Modality, Sample


@dataclass(slots=True)
class Part:
    """One preprocessed part of a source.

    Args:
        dataset: the clips of the part.
        prepared: what preprocessing found: lengths, labelled rows, label frequencies, reasons for absence.
        workers: number of loader processes for a part that does not fit in memory.
    """

    dataset: ClipDataset
    prepared: PreparedPart
    workers: int = 1

    def notes(self) -> list[str]:
        """Warnings about the clips: unreadable files, labels that map to nothing, missing dialogue context."""
        dataset = self.dataset
        missing_context = without_context(dataset.clips, context_width(dataset.inputs))
        notes = self.prepared.left_out() + dataset.space.notes(dataset.clips)
        return notes if missing_context is None else [*notes, missing_context]

    def rows_with(self, modalities: Sequence[Modality], *, labelled: bool = True, least: int = 1) -> list[int]:
        """Indices of the rows that can be used.

        Args:
            modalities: modalities to look for.
            labelled: keep only rows with a label.
            least: minimum number of these modalities that a row must have.

        Returns:
            Indices into the part, ascending.
        """
        lengths = self.prepared.lengths
        return [
            i
            for i, known in enumerate(self.prepared.labelled)
            if (known or not labelled) and sum(lengths[m][i] > 0 for m in modalities) >= least
        ]

    def loader(
        self,
        modalities: Sequence[Modality],
        rows: Sequence[int],
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        balance: float = 0.0,
        similar_lengths: bool = True,
        budget: Mapping[Modality, float] | None = None,
        samples: Dataset[Sample] | None = None,
        processes: tuple[int, int] = (0, 1),
    ) -> DataLoader[Any]:
        """A loader of batches of the given rows and modalities.

        Args:
            modalities: modalities to collate.
            rows: indices into the part.
            batch_size: maximum clips per batch, summed over all processes.
            seed: seed of the order.
            shuffle: draw a new order each epoch.
            balance: draw each clip in proportion to its label's frequency to the power of ``-balance``; 0 draws evenly.
            similar_lengths: whether shuffled batches have clips of similar length, for less padding.
            budget: {modality: maximum amount in one process's batch}, see ``training.budget``.
            samples: dataset to read instead of the part's own, with the same indices.
            processes: (rank of this process, number of processes).
        """
        lengths = self.prepared.lengths
        rank, count = processes
        sampler = BucketSampler(
            [max(lengths[m][i] for m in modalities) for i in rows],
            batch_size,
            seed=seed,
            shuffle=shuffle,
            similar_lengths=similar_lengths,
            weights=self.draw_weights(rows, balance) if balance > 0 else None,
            costs=self.costs(modalities, rows, budget or {}, count),
            steps={m: [lengths[m][i] for i in rows] for m in modalities},
            rank=rank,
            processes=count,
        )
        workers = self.workers if self.dataset.samples is None else 0
        stand_ins = self._stand_ins(modalities, rows) if shuffle and count > 1 else None
        return _Loader(
            Subset(self.dataset if samples is None else samples, rows),
            batch_sampler=sampler,
            collate_fn=Collate(modalities, len(self.dataset.space.labels), stand_ins=stand_ins),
            pin_memory=torch.cuda.is_available(),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            persistent_workers=workers > 0,
        )

    def census(self, modalities: Sequence[Modality], rows: Sequence[int]) -> Batch:
        """The given rows as one batch with targets and presence but empty inputs; no media are read.

        Args:
            modalities: modalities whose presence is recorded.
            rows: indices into the part.
        """
        lengths, nothing = self.prepared.lengths, torch.zeros(0)
        samples = [
            replace(self.dataset.read(i, ()), embeddings={m: nothing for m in modalities if lengths[m][i] > 0})
            for i in rows
        ]
        return Collate(modalities, len(self.dataset.space.labels))(samples)

    def _stand_ins(self, modalities: Sequence[Modality], rows: Sequence[int]) -> dict[Modality, torch.Tensor]:
        """{modality: input of the shortest clip that has it}, used where a process's share of a batch has none."""
        lengths = self.prepared.lengths
        found = {}
        for m in modalities:
            present = [i for i in rows if lengths[m][i] > 0]
            if present:
                shortest = min(present, key=lengths[m].__getitem__)
                found[m] = self.dataset[shortest].inputs[m]
        return found

    def costs(
        self, modalities: Sequence[Modality], rows: Sequence[int], budget: Mapping[Modality, float], processes: int = 1
    ) -> list[tuple[list[int], float]]:
        """A budget in the form that :class:`BucketSampler` takes.

        Args:
            modalities: modalities of the batches; the budget of any other is ignored.
            rows: indices into the part.
            budget: {modality: maximum amount in one process's batch}, see ``training.budget``.
            processes: number of processes that share a batch.

        Returns:
            For each limited modality: the time steps of each row, and the maximum steps per batch.
        """
        lengths, inputs = self.prepared.lengths, self.dataset.inputs
        return [
            ([lengths[m][i] for i in rows], limit * processes * inputs[m].steps_per_unit)
            for m, limit in budget.items()
            if m in modalities
        ]

    def draw_weights(self, rows: Sequence[int], power: float) -> list[float]:
        """Sampling weight of each row: the frequency of its rarest label to the power of ``-power``; 1 without a label.

        Args:
            rows: indices into the part.
            power: 0 draws evenly, 1 draws every label equally often.
        """
        frequencies = self.prepared.frequencies
        rarity = torch.where(frequencies > 0, frequencies, 1.0).pow(-power)
        targets = (self.dataset.space.target(self.dataset.clips[i]) for i in rows)
        return [1.0 if t is None else float((rarity * (t > 0)).max()) for t in targets]


class _Loader(DataLoader[Any]):
    """Draws one number from torch's random stream each epoch, even when its workers persist between epochs.

    A plain loader draws a seed only when it creates its workers. A resumed run creates them again and would continue
    with other random numbers than an uninterrupted one; so would a part on disk compared with one in memory.
    """

    def __iter__(self) -> Any:
        if self._iterator is not None:
            torch.empty((), dtype=torch.int64).random_()
        return super().__iter__()


def prepare_part(
    config: Config,
    folder: Path,
    clips: Sequence[Clip],
    inputs: Mapping[Modality, Input],
    *,
    label_from: str = "clip",
    dialogue: Sequence[Clip] = (),
    barrier: ProcessBarrier | None = None,
    progress: Progress | None = None,
) -> Part:
    """Preprocess clips through the cache.

    With several processes, each decodes its share into the cache; then every process reads all clips from there.

    Args:
        config: resolved config; gives the label set, the task, the cache and the number of workers.
        folder: folder of the manifest, to which media paths are relative.
        clips: rows of the part.
        inputs: {modality: input} of the model.
        label_from: see :class:`multiemo.runs.sources.Source`.
        dialogue: all rows of the manifest, for text encoders that read earlier utterances.
        barrier: synchronises the processes; all of them must call this function.
        progress: receives the number of finished clips and notes about the cache.
    """
    cache = TensorCache(Path(config.data.cache) if config.data.cache else default_cache())
    space = LabelSpace(config.label_set, config.task, label_from)
    dataset = ClipDataset(clips, folder, inputs, space, cache=cache, dialogue=dialogue)
    decodes = any(entry.decodes for entry in inputs.values())
    workers = worker_count(config.data.workers)
    if barrier is not None and barrier.processes > 1 and decodes:
        share = range(barrier.rank, len(dataset), barrier.processes)
        dataset.fill_cache(share, workers=workers, progress=progress)
        barrier.wait()
    prepared = dataset.prepare(workers=workers if decodes else 0, skip_bad=config.data.skip_bad, progress=progress)
    if barrier is not None:
        barrier.wait()
    if cache.note is not None and progress is not None:
        progress.note(f"cache: {cache.note}")
    return Part(dataset, prepared, workers)


def cut_notes(part: Part) -> list[str]:
    """A note for each modality in which clips are longer than the part that is read."""
    notes = (entry.cut_note(part.prepared.lengths[m]) for m, entry in part.dataset.inputs.items())
    return [note for note in notes if note is not None]


def worker_count(wanted: int) -> int:
    """Loader workers of this process: the machine's total, divided by the training processes on it.

    Args:
        wanted: ``data.workers``, the total for the machine; 0 = one per core.
    """
    # Set by torchrun and accelerate launch: the number of training processes on this machine.
    sharing = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, (wanted or os.cpu_count() or 1) // sharing)
