"""Embeddings of frozen encoders: computed once per clip, cached, and used in training instead of the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from multiemo.data.cache.keys import embedding_key, weights_digest
from multiemo.data.cache.tensors import TensorCache
from multiemo.data.collate import BucketSampler, Collate
from multiemo.encoders.base import Encoder
from multiemo.runs.batches import Part
from multiemo.runs.evaluation import EVALUATION_BATCH
from multiemo.training.parallel import ProcessBarrier
from multiemo.types import Modality, Sample, spec_to_dict


@dataclass(frozen=True, slots=True)
class Embedded:
    """Embeddings of one modality of a part.

    Args:
        values: ``[N, D]`` float32, one row per clip; zeros where the modality is absent.
        present: whether each clip has the modality, N values.
    """

    values: Tensor
    present: list[bool]


def embed_part(
    part: Part,
    m: Modality,
    encoder: Encoder,
    accelerator: Accelerator,
    barrier: ProcessBarrier,
    *,
    budget: Mapping[Modality, float],
) -> Embedded:
    """Embed every clip of a part that has the modality; cached embeddings are reused.

    The cache key covers the preprocessed input and the encoder's weights, so a cached embedding is never stale. With
    several processes, each embeds its share into the cache; then every process reads all embeddings from there.

    Args:
        part: preprocessed part.
        m: modality of the encoder.
        encoder: frozen encoder; it runs in evaluation mode, as frozen encoders do in training.
        accelerator: device and precision.
        barrier: synchronises the processes.
        budget: {modality: maximum amount in one process's batch}, see ``training.budget``.
    """
    cache = part.dataset.cache
    assert cache is not None
    encoder = encoder.to(accelerator.device).eval()
    facts = [type(encoder).__name__, spec_to_dict(encoder.input_spec), accelerator.mixed_precision]
    weights = weights_digest(encoder.state_dict(), facts)
    lengths = part.prepared.lengths[m]
    rows = [i for i, length in enumerate(lengths) if length > 0]
    keys = {i: embedding_key(part.dataset.input_key(i, m), weights) for i in rows}
    values = torch.zeros(len(lengths), encoder.out_dim)
    if barrier.processes > 1:
        own = {i: keys[i] for i in rows[barrier.rank :: barrier.processes]}
        _embed(part, m, encoder, accelerator, _fill_from_cache(cache, own, values), budget, keys, values)
        barrier.wait()
    _embed(part, m, encoder, accelerator, _fill_from_cache(cache, keys, values), budget, keys, values)
    cache.close()
    barrier.wait()
    return Embedded(values, [length > 0 for length in lengths])


def _fill_from_cache(cache: TensorCache, keys: Mapping[int, bytes], values: Tensor) -> list[int]:
    """Copy cached embeddings into ``values`` ``[N, D]`` and return the rows that the cache lacks."""
    missing = []
    for i, stored in zip(keys, cache.get_many(list(keys.values())), strict=True):
        if isinstance(stored, Tensor):
            values[i] = stored
        else:
            missing.append(i)
    return missing


def _embed(
    part: Part,
    m: Modality,
    encoder: Encoder,
    accelerator: Accelerator,
    rows: list[int],
    budget: Mapping[Modality, float],
    keys: Mapping[int, bytes],
    values: Tensor,
) -> None:
    """Compute the embeddings of the given rows and store them in ``values`` ``[N, D]`` and in the cache."""
    cache, lengths = part.dataset.cache, part.prepared.lengths[m]
    if not rows or cache is None:
        return
    costs = part.costs((m,), rows, budget)
    sampler = BucketSampler([lengths[i] for i in rows], EVALUATION_BATCH, costs=costs)
    collate = Collate((m,), len(part.dataset.space.labels))
    loader = DataLoader(Subset(part.dataset, rows), batch_sampler=sampler, collate_fn=collate)
    for batch, places in zip(loader, sampler, strict=True):
        batch = batch.to(accelerator.device)
        with torch.inference_mode(), accelerator.autocast():
            encoded = encoder(batch.inputs[m], batch.masks[m]).float().cpu()
        chosen = [rows[place] for place in places]
        values[chosen] = encoded
        cache.put_many([(keys[i], row) for i, row in zip(chosen, encoded, strict=True)])


class WithEmbeddings(Dataset[Sample]):
    """A part in which embeddings replace the inputs of frozen modalities, which are not read.

    Args:
        part: preprocessed part.
        embedded: {modality: embeddings of its frozen encoder}.
    """

    def __init__(self, part: Part, embedded: Mapping[Modality, Embedded]) -> None:
        self.dataset, self.embedded = part.dataset, dict(embedded)
        self.others = [m for m in part.dataset.inputs if m not in embedded]
        samples = part.dataset.samples
        self.samples = None if samples is None else [self._with(i, s) for i, s in enumerate(samples)]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        if self.samples is not None:
            return self.samples[index]
        return self._with(index, self.dataset.read(index, self.others))

    def _with(self, index: int, sample: Sample) -> Sample:
        here = {m: e.values[index] for m, e in self.embedded.items() if e.present[index]}
        return replace(sample, inputs={m: x for m, x in sample.inputs.items() if m in self.others}, embeddings=here)
