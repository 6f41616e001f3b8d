"""Manifest rows -> Samples, through the inputs that the encoders require."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from multiemo.data.cache.tensors import TensorCache
from multiemo.data.dialogue import contexts
from multiemo.data.targets import LabelSpace, dimensions_of
from multiemo.errors import MediaError, MultiemoError
from multiemo.inputs.base import Input, context_width
from multiemo.inputs.material import ManifestRow
from multiemo.inputs.rows import read_row
from multiemo.progress import Progress
from multiemo.types import Absent, Clip, Modality, Sample

#: Fewer clips than this are decoded in this process, because starting workers would take longer.
_MIN_CLIPS_FOR_WORKERS = 16
#: Prepared samples stay in memory up to this many bytes. A larger split is read from the cache in every epoch.
MEMORY_LIMIT = 4 << 30


@dataclass(slots=True)
class PreparedPart:
    """Result of preprocessing all clips of a split.

    Args:
        absent: {modality: {reason: number of clips}}.
        bad: {clip id: message} of clips that were left out because nothing in them can be read.
        damaged: {clip id: {modality: message}} of clips that were kept for their readable modalities.
        lengths: {modality: time steps of each clip, 0 where absent}.
        labelled: whether each clip has a label (with ``dimensions``: a value for any dimension).
        frequencies: ``[C]`` share of each label among the labelled clips. With ``dimensions``: the mean of each
            dimension, NaN if no clip has a value for it.
    """

    absent: dict[Modality, dict[str, int]] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, dict[Modality, str]] = field(default_factory=dict)
    lengths: dict[Modality, list[int]] = field(default_factory=dict)
    labelled: list[bool] = field(default_factory=list)
    frequencies: Tensor = field(default_factory=lambda: torch.zeros(0))

    def left_out(self) -> list[str]:
        """One sentence for each clip, and each modality of a clip, that cannot be read."""
        whole = [f"left out {clip}: {message}" for clip, message in self.bad.items()]
        parts = ((clip, m, message) for clip, those in self.damaged.items() for m, message in those.items())
        return whole + [f"left out the {m} of {clip}, and kept the rest of it: {message}" for clip, m, message in parts]


def speaker_name(clip: Clip) -> str:
    """The speaker of a clip as samples name it: with the corpus as prefix; its group, or its id, if it has none."""
    return f"{clip.corpus}:{clip.speaker or clip.group or clip.id}"


class ClipDataset(Dataset[Sample]):
    """The clips of one manifest as samples.

    Args:
        clips: rows of the split.
        folder: folder of the manifest.
        inputs: {modality: input} of the model.
        space: conversion of labels to targets.
        cache: stores decoded inputs; ``None`` decodes them each time.
        dialogue: all rows of the manifest in order, for text encoders that read earlier utterances.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        folder: Path,
        inputs: Mapping[Modality, Input],
        space: LabelSpace,
        *,
        cache: TensorCache | None = None,
        dialogue: Sequence[Clip] = (),
    ) -> None:
        self.clips = list(clips)
        self.folder = folder
        self.inputs = dict(inputs)
        self.space = space
        self.cache = cache
        self.samples: list[Sample] | None = None
        self._damaged: set[tuple[str, Modality]] = set()
        self._earlier = contexts(dialogue or clips, context_width(self.inputs))

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Sample:
        if self.samples is not None:
            return self.samples[index]
        return self.read(index, tuple(self.inputs))

    def read(self, index: int, modalities: Sequence[Modality], *, damaged: dict[Modality, str] | None = None) -> Sample:
        """Read the given modalities of a clip from the cache or its media.

        Args:
            index: row number, from 0.
            modalities: modalities to read.
            damaged: receives {modality: message} of unreadable inputs, which are then absent from the sample.

        Raises:
            MultiemoError: an input cannot be read and ``damaged`` is not given. The message names the clip.
        """
        clip = self.clips[index]
        wanted = {m: self.inputs[m] for m in modalities if (clip.id, m) not in self._damaged}
        try:
            found = read_row(self.row(index), wanted, cache=self.cache)
        except MultiemoError as error:
            raise type(error)(f"clip {clip.id!r}: {error}") from None
        for m, problem in found.damaged.items():
            message = f"clip {clip.id!r}: {problem}"
            if damaged is None:
                raise type(problem)(message)
            damaged[m] = message
        inputs: dict[Modality, Tensor] = {}
        absent: dict[Modality, str] = {}
        for m in modalities:
            got = found.ready.get(m, Absent("it cannot be read"))
            if isinstance(got, Absent):
                absent[m] = got.reason
            else:
                inputs[m] = got.tensor
        return Sample(
            id=clip.id,
            corpus=clip.corpus,
            speaker=speaker_name(clip),
            inputs=inputs,
            absent=absent,
            target=self.space.target(clip),
            dimensions=dimensions_of(clip),
            other_targets=self.space.other_targets(clip),
        )

    def row(self, index: int) -> ManifestRow:
        """A row in the form that inputs read."""
        clip = self.clips[index]
        return ManifestRow(clip, self.folder, self._earlier.get(clip.id, ()))

    def input_key(self, index: int, modality: Modality) -> bytes:
        """The cache key of one input of a clip. The clip must have the modality."""
        assert self.cache is not None
        return self.inputs[modality].key(self.row(index), self.cache)

    def prepare(
        self,
        *,
        workers: int = 0,
        skip_bad: bool = False,
        progress: Progress | None = None,
    ) -> PreparedPart:
        """Preprocess every clip once and keep the samples in memory for later epochs.

        Args:
            workers: number of decoding processes; 0 decodes in this process.
            skip_bad: leave out unreadable modalities (and clips without a readable one) and report them in the
                result, instead of raising.
            progress: updated with the number of finished clips.

        Raises:
            MediaError: media cannot be read and ``skip_bad`` is off. The message names the clip.
        """
        found = PreparedPart(lengths={m: [] for m in self.inputs})
        samples: list[Sample] = []
        size = 0
        total, count = torch.zeros(2, len(self.space.labels))
        loader = self._loader(range(len(self)), workers)
        for done, (clip, (got, damaged, note)) in enumerate(zip(self.clips, loader, strict=True), start=1):
            self._keep_cache_note(note)
            if progress is not None:
                progress.update(done, len(self.clips))
            if damaged and not skip_bad:
                first = next(iter(damaged.values()))
                raise MediaError(
                    f"{first}; repair or remove the row, or set data.skip_bad=true to leave out what cannot be read"
                )
            if damaged and not got.inputs:
                found.bad[clip.id] = "; ".join(dict.fromkeys(damaged.values()))
                continue
            if damaged:
                found.damaged[clip.id] = damaged
                self._damaged |= {(clip.id, m) for m in damaged}
            if loader.num_workers:
                got = _copy_to_own_memory(got)
            for m in self.inputs:
                found.lengths[m].append(got.inputs[m].shape[0] if m in got.inputs else 0)
            for m, reason in got.absent.items():
                counts = found.absent.setdefault(m, {})
                counts[reason] = counts.get(reason, 0) + 1
            found.labelled.append(got.target is not None)
            if got.target is not None:
                total += got.target.nan_to_num(0.0)
                count += ~got.target.isnan()
            size += sum(x.nbytes for x in got.inputs.values())
            if size <= MEMORY_LIMIT:
                samples.append(got)
            else:
                samples.clear()
        found.frequencies = total / (count if self.space.task == "dimensions" else count.clamp_min(1))
        if self.cache is not None:
            self.cache.close()
        self.clips = [c for c in self.clips if c.id not in found.bad]
        self.samples = samples if len(samples) == len(self.clips) else None
        return found

    def fill_cache(self, rows: Sequence[int], *, workers: int = 0, progress: Progress | None = None) -> None:
        """Preprocess some clips into the cache. Unreadable inputs are ignored here; :meth:`prepare` reports them.

        Args:
            rows: row numbers of the clips, from 0.
            workers: number of decoding processes; 0 decodes in this process.
            progress: updated with the number of finished clips.
        """
        for done, (_, _, note) in enumerate(self._loader(rows, workers), start=1):
            self._keep_cache_note(note)
            if progress is not None:
                progress.update(done, len(rows))
        if self.cache is not None:
            self.cache.close()

    # ------------------------------------------------------------------------------------------------------------
    def _loader(self, rows: Sequence[int], workers: int) -> DataLoader[Any]:
        """A loader of the given rows, in order. It yields an ``_Outcome`` for each."""
        workers = workers if len(rows) >= _MIN_CLIPS_FOR_WORKERS else 0
        if workers and self.cache is not None:
            self.cache.close()
        return DataLoader(Subset(_ErrorsAsValues(self), rows), batch_size=None, num_workers=workers)

    def _keep_cache_note(self, note: str | None) -> None:
        """Copy a note from a worker's cache to this process's cache. The first note is kept."""
        if note is not None and self.cache is not None:
            self.cache.note = self.cache.note or note


#: A sample, {modality: message} of its unreadable inputs, and the note of the cache.
_Outcome: TypeAlias = tuple[Sample, dict[Modality, str], str | None]


class _ErrorsAsValues(Dataset[_Outcome]):
    """The data set with read errors and the cache's note returned as values, so that workers can send them."""

    def __init__(self, inner: ClipDataset) -> None:
        self.inner = inner

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> _Outcome:
        damaged: dict[Modality, str] = {}
        if self.inner.samples is not None:
            got = self.inner[index]
        else:
            got = self.inner.read(index, tuple(self.inner.inputs), damaged=damaged)
        return got, damaged, None if self.inner.cache is None else self.inner.cache.note


def _copy_to_own_memory(sample: Sample) -> Sample:
    """Copy a sample out of the memory shared with a worker. Each tensor there keeps a file open."""
    return replace(
        sample,
        inputs={m: x.clone() for m, x in sample.inputs.items()},
        target=None if sample.target is None else sample.target.clone(),
        dimensions=sample.dimensions.clone(),
        other_targets=None if sample.other_targets is None else sample.other_targets.clone(),
    )
