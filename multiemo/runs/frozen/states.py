"""Hidden states of frozen backbones, from which the layers above them are trained."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from multiemo.data.cache.keys import embedding_key
from multiemo.data.cache.tensors import TensorCache
from multiemo.data.collate import Collate
from multiemo.encoders.base import Encoder
from multiemo.errors import MediaError
from multiemo.inputs.dataset import MEMORY_LIMIT
from multiemo.runs.batches import Part
from multiemo.runs.frozen.identity import states_digest
from multiemo.runs.frozen.once import Computer
from multiemo.types import Batch, Modality

#: Clips at a time. The states of all layers of a large model take a hundred times the memory of its input.
_BATCH = 16
#: Largest share of the cache, or of the free disk, that the states of one part may use.
_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class CachedStates:
    """The hidden states of the clips of a part that have the modality.

    Args:
        keys: {row of the part: key in the cache}.
        cache: holds the states.
        values: {row: states ``[T, K]``, float16 where their range allows it}, if they fit into memory.
        beside: first column of the input that the encoder reads as well; ``None`` if it reads none.
    """

    keys: dict[int, bytes]
    cache: TensorCache
    values: dict[int, Tensor] | None
    beside: int | None

    def read(self, row: int, clip: str) -> Tensor:
        """The states ``[T, K]`` of a row.

        Args:
            row: row of the part.
            clip: id of its clip, for the message.

        Raises:
            MediaError: the cache has lost them.
        """
        if self.values is not None:
            return self.values[row]
        found = self.cache.get(self.keys[row])
        if not isinstance(found, Tensor):
            raise MediaError(
                f"clip {clip!r}: the cache {self.cache.folder} has lost its hidden states, perhaps because it is too "
                "small; raise $MULTIEMO_CACHE_GB and continue with --resume, which computes them again"
            )
        return found


def cache_states(
    part: Part, m: Modality, encoder: Encoder, computer: Computer, *, pooled: bool = False
) -> CachedStates | None:
    """Compute the hidden states of every clip of a part that has the modality; cached ones are reused.

    The cache key covers the preprocessed input, the backbone's weights and architecture, and the settings that its
    output depends on, so cached states are never stale.

    Args:
        part: preprocessed part.
        m: modality of the encoder.
        encoder: its :meth:`Encoder.frozen_part` is cached.
        computer: device, precision and processes.
        pooled: only states that are already pooled over time, which are small.

    Returns:
        ``None`` if the encoder has no frozen part (or none that is pooled), or if its states need more space than there
        is. The backbone then runs in every epoch; a note says so.
    """
    frozen, cache = encoder.frozen_part(), part.dataset.cache
    lengths = part.prepared.lengths[m]
    rows = [i for i, length in enumerate(lengths) if length > 0]
    if frozen is None or cache is None or not rows:
        return None
    encoder = encoder.to(computer.compute.device).eval()
    digest = states_digest(encoder, frozen, computer.compute.precision)

    def compute(batch: Batch) -> list[Tensor]:
        states, steps = encoder.frozen_states(batch.inputs[m], batch.masks[m])
        counts = steps.sum(1).tolist()
        return [_compact(clip[:count]) for clip, count in zip(states, counts, strict=True)]

    longest = max(rows, key=lengths.__getitem__)
    states = _states_of(part, m, longest, compute, computer)
    if pooled and len(states) > 1:
        return None
    share = 1.0 if len(states) == 1 else sum(lengths[i] for i in rows) / lengths[longest] / len(rows)
    size = states.nbytes * share * len(rows)
    if size > MEMORY_LIMIT and size > _SHARE * (room := _room(cache)):
        computer.progress.note(
            f"{m}: the hidden states of the frozen backbone need {size / 1e9:.1f} GB, and {cache.folder} has room for "
            f"{_SHARE * room / 1e9:.1f} GB; it runs again in every epoch instead. Raise $MULTIEMO_CACHE_GB, use "
            "pooling 'mean' or 'statistics', or shorten max_seconds"
        )
        return None
    keys = {i: embedding_key(part.dataset.input_key(i, m), digest) for i in rows}
    values: dict[int, Tensor] | None = {} if size <= MEMORY_LIMIT else None

    def receive(row: int, states: Tensor) -> None:
        if values is not None:
            values[row] = states

    computer = replace(computer, batch_size=min(computer.batch_size, _BATCH))
    computer.run(part, m, keys, compute, receive)
    return CachedStates(keys, cache, values, frozen.beside)


def _compact(states: Tensor) -> Tensor:
    """States as float16, or as float32 where float16 would overflow."""
    half = states.to(torch.float16)
    return half if bool(half.isfinite().all()) else states.float()


def _states_of(
    part: Part, m: Modality, row: int, compute: Callable[[Batch], list[Tensor]], computer: Computer
) -> Tensor:
    """The states of one row, ``[T, K]``."""
    batch = Collate((m,), len(part.dataset.space.labels))([part.dataset.read(row, (m,))])
    with torch.inference_mode(), computer.compute.autocast():
        (states,) = compute(batch.to(computer.compute.device))
    return states


def _room(cache: TensorCache) -> int:
    """Bytes that the cache may use: its limit, or what the disk has left."""
    existing = next(place for place in (cache.folder, *cache.folder.resolve().parents) if place.exists())
    return min(cache.limit, shutil.disk_usage(existing).free)
