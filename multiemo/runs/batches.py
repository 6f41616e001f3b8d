"""Parts of a manifest, preprocessed, and their batches."""

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
from multiemo.training.parallel import Meeting
from multiemo.types import Batch, Clip, Modality, Sample


@dataclass(slots=True)
class Part:
    """One part of a source, preprocessed.

    Args:
        dataset: its clips.
        prepared: what preprocessing them found.
        workers: processes that read a part which does not fit in memory.
    """

    dataset: ClipDataset
    prepared: PreparedPart
    workers: int = 1

    def notes(self) -> list[str]:
        """What a reader must know of the clips: what cannot be read, what labels lose, which turns are not there."""
        dataset = self.dataset
        turns = without_context(dataset.clips, context_width(dataset.inputs))
        said = self.prepared.left_out() + dataset.space.notes(dataset.clips)
        return said if turns is None else [*said, turns]

    def rows_with(self, modalities: Sequence[Modality], *, labelled: bool = True, least: int = 1) -> list[int]:
        """Rows that have at least ``least`` of the modalities, and a label unless that does not matter."""
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
        budget: Mapping[Modality, float] | None = None,
        samples: Dataset[Sample] | None = None,
        processes: tuple[int, int] = (0, 1),
    ) -> DataLoader[Any]:
        """Batches of those rows with those modalities.

        Args:
            modalities: of the batches.
            rows: of the part.
            batch_size: most clips a batch, of all processes together.
            seed, shuffle: of the order.
            balance: draw clips with the frequency of their label to the power of minus this.
            budget: {modality: most of it in a batch of one process}, see ``training.budget``.
            samples: read instead of the part's own, row by row.
            processes: which one this is, of how many.
        """
        lengths = self.prepared.lengths
        rank, count = processes
        sampler = BucketSampler(
            [max(lengths[m][i] for m in modalities) for i in rows],
            batch_size,
            seed=seed,
            shuffle=shuffle,
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
        """Those rows as one batch that knows targets and presence, while its inputs are empty and not read."""
        lengths, nothing = self.prepared.lengths, torch.zeros(0)
        samples = [
            replace(self.dataset.read(i, ()), embeddings={m: nothing for m in modalities if lengths[m][i] > 0})
            for i in rows
        ]
        return Collate(modalities, len(self.dataset.space.labels))(samples)

    def _stand_ins(self, modalities: Sequence[Modality], rows: Sequence[int]) -> dict[Modality, torch.Tensor]:
        """{modality: the input of the shortest clip that has it}, for shares of a batch in which no clip does."""
        lengths = self.prepared.lengths
        found = {}
        for m in modalities:
            having = [i for i in rows if lengths[m][i] > 0]
            if having:
                shortest = min(having, key=lengths[m].__getitem__)
                found[m] = self.dataset[shortest].inputs[m]
        return found

    def costs(
        self, modalities: Sequence[Modality], rows: Sequence[int], budget: Mapping[Modality, float], processes: int = 1
    ) -> list[tuple[list[int], float]]:
        """A budget as :class:`BucketSampler` takes it: the steps of each row, and the most that a batch may have."""
        lengths, inputs = self.prepared.lengths, self.dataset.inputs
        return [
            ([lengths[m][i] for i in rows], limit * processes * inputs[m].steps_per_unit)
            for m, limit in budget.items()
            if m in modalities
        ]

    def draw_weights(self, rows: Sequence[int], power: float) -> list[float]:
        """How often each row is drawn, by how rare its rarest label is: its frequency to the power of minus this."""
        frequencies = self.prepared.frequencies
        rarity = torch.where(frequencies > 0, frequencies, 1.0).pow(-power)
        targets = (self.dataset.space.target(self.dataset.clips[i]) for i in rows)
        return [1.0 if t is None else float((rarity * (t > 0)).max()) for t in targets]


class _Loader(DataLoader[Any]):
    """Takes one number from the random stream each epoch, also where its workers stay from epoch to epoch.

    A loader draws a seed whenever it makes its workers, so a resumed run, which makes them anew, would go on with other
    numbers than one that was never stopped, and a part on disk with others than one in memory.
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
    meeting: Meeting | None = None,
    progress: Progress | None = None,
) -> Part:
    """Preprocess clips, through the cache.

    Of several processes each decodes its share into the cache; all then find everything there.

    Args:
        folder: of their manifest.
        clips: rows of the part.
        inputs: {modality: input} of the model.
        label_from: see :class:`multiemo.runs.sources.Source`.
        dialogue: all rows of the manifest, for text encoders that read earlier utterances.
        meeting: of several processes, which all call this.
        progress: told the clips done, and what a user should know of the cache.
    """
    cache = TensorCache(Path(config.data.cache) if config.data.cache else default_cache())
    space = LabelSpace(config.label_set, config.task, label_from)
    dataset = ClipDataset(clips, folder, inputs, space, cache=cache, dialogue=dialogue)
    decodes = any(entry.decodes for entry in inputs.values())
    workers = worker_count(config.data.workers)
    if meeting is not None and meeting.processes > 1 and decodes:
        share = range(meeting.rank, len(dataset), meeting.processes)
        dataset.fill_cache(share, workers=workers, progress=progress)
        meeting.wait()
    prepared = dataset.prepare(workers=workers if decodes else 0, skip_bad=config.data.skip_bad, progress=progress)
    if meeting is not None:
        meeting.wait()
    if cache.note is not None and progress is not None:
        progress.note(f"cache: {cache.note}")
    return Part(dataset, prepared, workers)


def cut_notes(part: Part) -> list[str]:
    """What to say where clips are longer than what is read of them."""
    notes = (entry.cut_note(part.prepared.lengths[m]) for m, entry in part.dataset.inputs.items())
    return [note for note in notes if note is not None]


def worker_count(wanted: int) -> int:
    """Workers of this process, of those that its machine shall have in all.

    Args:
        wanted: ``data.workers``; 0 = one a core.
    """
    # Set by torchrun and accelerate launch: how many processes train on this machine.
    sharing = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, (wanted or os.cpu_count() or 1) // sharing)
