"""Samples in which what frozen encoders and backbones computed replaces their inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from torch import Tensor
from torch.utils.data import Dataset

from multiemo.runs.batches import Part
from multiemo.runs.frozen.states import CachedStates
from multiemo.types import Modality, Sample


@dataclass(frozen=True, slots=True)
class Embedded:
    """Embeddings of one modality of a part.

    Args:
        values: ``[N, D]`` float32, one row per clip; zeros where the modality is absent.
        present: whether each clip has the modality, N values.
    """

    values: Tensor
    present: list[bool]


class WithFrozen(Dataset[Sample]):
    """A part in which embeddings or hidden states replace the inputs of some modalities.

    Inputs that nothing reads any more are not read.

    Args:
        part: preprocessed part.
        embedded: {modality: embeddings of its frozen encoder}.
        states: {modality: hidden states of its frozen backbone}.
        kept: modalities whose inputs are read beside their states, though the encoder does not need them.
    """

    def __init__(
        self,
        part: Part,
        embedded: Mapping[Modality, Embedded],
        states: Mapping[Modality, CachedStates],
        kept: Collection[Modality] = (),
    ) -> None:
        self.dataset, self.embedded, self.states = part.dataset, dict(embedded), dict(states)
        replaced = {*embedded, *(m for m, each in states.items() if each.beside is None and m not in kept)}
        self.read = [m for m in part.dataset.inputs if m not in replaced]
        samples, in_memory = part.dataset.samples, all(each.values is not None for each in states.values())
        self.samples = [self._with(i, s) for i, s in enumerate(samples)] if samples is not None and in_memory else None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        if self.samples is not None:
            return self.samples[index]
        sample = self.dataset.read(index, self.read) if self.dataset.samples is None else self.dataset[index]
        return self._with(index, sample)

    def _with(self, index: int, sample: Sample) -> Sample:
        inputs = {m: x for m, x in sample.inputs.items() if m in self.read}
        states = {m: each.read(index, sample.id) for m, each in self.states.items() if index in each.keys}
        for m in states:
            if m in inputs and (beside := self.states[m].beside):
                inputs[m] = inputs[m][:, beside:]
        embeddings = {m: each.values[index] for m, each in self.embedded.items() if each.present[index]}
        return replace(sample, inputs=inputs, states=states, embeddings=embeddings)
