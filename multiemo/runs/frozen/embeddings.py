"""Embeddings of frozen encoders, which replace their inputs in training."""

from __future__ import annotations

import torch
from torch.utils.data import Dataset

from multiemo.data.cache.keys import embedding_key
from multiemo.encoders.base import Encoder, encode_rows
from multiemo.runs.batches import Part
from multiemo.runs.frozen.identity import embedding_digest
from multiemo.runs.frozen.once import Computer
from multiemo.runs.frozen.samples import Embedded, WithFrozen
from multiemo.runs.frozen.states import cache_states
from multiemo.types import Batch, Modality, Sample


def embed_part(part: Part, m: Modality, encoder: Encoder, computer: Computer) -> Embedded:
    """Embed every clip of a part that has the modality; cached embeddings are reused.

    The cache key covers the preprocessed input and all that the encoder is rebuilt from, so a cached embedding is never
    stale.

    Args:
        part: preprocessed part.
        m: modality of the encoder.
        encoder: frozen encoder; it runs in evaluation mode, as frozen encoders do in training.
        computer: device, precision and processes.
    """
    encoder = encoder.to(computer.compute.device).eval()
    digest = embedding_digest(encoder, computer.compute.precision)
    lengths = part.prepared.lengths[m]
    keys = {i: embedding_key(part.dataset.input_key(i, m), digest) for i, length in enumerate(lengths) if length > 0}
    values = torch.zeros(len(lengths), encoder.out_dim)

    def compute(batch: Batch) -> list[torch.Tensor]:
        return list(encode_rows(encoder, m, batch).float())

    def receive(row: int, embedding: torch.Tensor) -> None:
        values[row] = embedding

    def samples() -> Dataset[Sample]:
        states = cache_states(part, m, encoder, computer)
        return WithFrozen(part, {}, {} if states is None else {m: states})

    computer.run(part, m, keys, compute, receive, samples=samples)
    return Embedded(values, [length > 0 for length in lengths])
