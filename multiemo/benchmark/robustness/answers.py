"""What a model says of a part's clips as they are, and of the same clips under each severity of a corruption."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multiemo.benchmark.robustness.corrupted_clips import FormsOfClip
from multiemo.benchmark.robustness.corruptions import Corruption, randomness
from multiemo.calibration import shown_keys
from multiemo.data.collate import Collate
from multiemo.evaluation import collect
from multiemo.runs.batches import Part
from multiemo.runs.device import compute_of
from multiemo.runs.evaluation import evaluation_loader
from multiemo.runs.model_folder import Bundle
from multiemo.types import SUBSETS, Batch, Clip, Modality, Output, Sample, subset_key

#: Clips whose forms are in memory at once.
CHUNK = 16

#: {modality: ``[N]`` bool} and {modality: ``[N, D]``}.
Presence: TypeAlias = dict[Modality, Tensor]
Embeddings: TypeAlias = dict[Modality, Tensor]


@dataclass(slots=True)
class State:
    """All clips at one severity.

    Args:
        severity: ``None`` for the clips as they are.
        presence: {modality: ``[N]`` bool}, which are still there.
        probabilities: {subset key: ``[N, C]``}, calibrated as the model is; the prior where nothing is there.
        said: {subset key: labels that are given}, see :func:`multiemo.calibration.decide`.
    """

    severity: float | None
    presence: dict[Modality, NDArray[np.bool_]]
    probabilities: dict[str, NDArray[np.float64]]
    said: dict[str, NDArray[np.int64]]


class Bench:
    """A model, and the labelled clips of a part as it has encoded them.

    Args:
        bundle: the model.
        part: preprocessed clips.
        device: of the model, as in :func:`multiemo.runs.device.compute_of`.
    """

    def __init__(self, bundle: Bundle, part: Part, device: str | torch.device = "auto") -> None:
        self.bundle = bundle
        self.compute = compute_of(bundle.config, device)
        self.model = bundle.model.to(self.compute.device).eval()
        rows = [i for i, known in enumerate(part.prepared.labelled) if known]
        self.clips: list[Clip] = [part.dataset.clips[i] for i in rows]
        self.samples: list[Sample] = [replace(part.dataset[i], inputs={}, absent={}) for i in rows]
        self.collate = Collate(self.model.modalities, len(bundle.labels))
        # In the batches of an evaluation, so that the figures of the clips as they are come out the same to the bit.
        budget = bundle.config.training.budget
        batches = list(evaluation_loader(part, self.model.modalities, rows, budget=budget))
        self._sizes = [len(b) for b in batches]
        encoded = [self._encode(b) for b in batches]
        self.embeddings: Embeddings = {m: torch.cat([e[m] for e in encoded]) for m in self.model.modalities}
        self.presence: Presence = {m: torch.cat([b.presence[m] for b in batches]) for m in self.model.modalities}

    def state(self, severity: float | None, presence: Presence, keys: Sequence[str]) -> State:
        """The clips' own embeddings, of which ``presence`` says what is shown."""
        parts, start = [], 0
        for size in self._sizes:
            rows = slice(start, start + size)
            parts.append(self._say(severity, _rows(self.embeddings, rows), _rows(presence, rows), keys, rows))
            start += size
        return joined(parts)

    def nothing(self, keys: Sequence[str]) -> State:
        """Every modality of every clip taken away."""
        return self.state(None, {m: torch.zeros_like(p) for m, p in self.presence.items()}, keys)

    def missing(self, corruption: Corruption, keys: Sequence[str], seed: int) -> list[State]:
        """A modality, or each by itself, taken from a share of the clips that have it.

        Who loses it first is drawn once, so that a higher rate takes it from the same clips and more.
        """
        states = []
        taken = [corruption.modality] if corruption.modality else list(self.model.modalities)
        for rate in corruption.severities:
            presence = dict(self.presence)
            for m in taken:
                having = presence[m].nonzero().squeeze(1)
                draws = [randomness(seed, self.clips[i].id, f"missing_{m}").random() for i in having.tolist()]
                lost = having[np.argsort(draws)[: round(rate * len(draws))]]
                presence[m] = presence[m].index_fill(0, lost, False)
            states.append(self.state(rate, presence, keys))
        return states

    def corrupted(
        self, corruptions: Sequence[Corruption], keys: dict[str, list[str]], forms: Iterable[FormsOfClip]
    ) -> dict[str, list[State]]:
        """{corruption: a state a severity}.

        Args:
            corruptions: each with a function.
            keys: {corruption: subsets that are looked at}.
            forms: of the clips, in order.
        """
        found: dict[str, list[list[State]]] = {c.name: [[] for _ in c.severities] for c in corruptions}
        stream, start = iter(forms), 0
        while chunk := list(islice(stream, CHUNK)):
            rows = slice(start, start + len(chunk))
            for c in corruptions:
                for step in range(len(c.severities)):
                    given = [forms_of_clip[c.name][step] for forms_of_clip in chunk]
                    found[c.name][step].append(self._corrupted(c, step, given, keys[c.name], rows))
            start += len(chunk)
        return {name: [joined(parts) for parts in steps] for name, steps in found.items()}

    def _corrupted(
        self, corruption: Corruption, step: int, forms: Sequence[NDArray[Any] | None], keys: Sequence[str], rows: slice
    ) -> State:
        """Some clips at one severity: the corrupted modality is encoded again, the others are as they were."""
        m = corruption.modality
        assert m is not None
        samples = [
            replace(sample, inputs={} if form is None else {m: torch.from_numpy(form)})
            for form, sample in zip(forms, self.samples[rows], strict=True)
        ]
        batch = self.collate(samples)
        presence = _rows(self.presence, rows)
        presence[m] = presence[m] & batch.presence[m]
        embeddings = {**_rows(self.embeddings, rows), m: self._encode(batch)[m]}
        return self._say(corruption.severities[step], embeddings, presence, keys, rows)

    @torch.inference_mode()
    def _encode(self, batch: Batch) -> Embeddings:
        """Embeddings of what the batch has; zeros, unread, for what it has not."""
        with self.compute.autocast():
            return self.model.encode(batch.to(self.compute.device))

    @torch.inference_mode()
    def _say(
        self, severity: float | None, embeddings: Embeddings, presence: Presence, keys: Sequence[str], rows: slice
    ) -> State:
        """What the model makes of the embeddings of some clips."""
        here = {m: p.to(self.compute.device) for m, p in presence.items()}
        nothing = {m: torch.zeros_like(p) for m, p in here.items()}
        with self.compute.autocast():
            logits = {
                key: self.model.fuse(embeddings, {m: here[m] if m in SUBSETS[key] else nothing[m] for m in here})
                for key in keys
            }
        batch = replace(self.collate(self.samples[rows]), presence=presence)
        output = Output(logits=logits[keys[0]], by_subset=logits)
        got = collect(lambda _: output, [batch], task=self.bundle.config.task)
        calibration, task = self.bundle.calibration, self.bundle.config.task
        if task == "dimensions":
            return State(severity, got.presence, got.probabilities, {})
        shown = {key: shown_keys(key, got.presence) for key in got.probabilities}
        calibrated = {key: calibration.scaled(shown[key], p, task) for key, p in got.probabilities.items()}
        said = {key: calibration.decide(shown[key], p, task) for key, p in calibrated.items()}
        return State(severity, got.presence, calibrated, said)


def subsets_of(corruption: Corruption, modalities: Sequence[Modality]) -> list[str]:
    """The subsets that are looked at under a corruption: all modalities, and the corrupted one alone.

    One that is merely missing has nothing to say alone.
    """
    full = subset_key(modalities)
    if corruption.modality is None or corruption.function is None:
        return [full]
    return list(dict.fromkeys([full, subset_key([corruption.modality])]))


def joined(parts: Sequence[State]) -> State:
    """Clips at the same severity, one after the other."""
    first = parts[0]
    return State(
        first.severity,
        {m: np.concatenate([p.presence[m] for p in parts]) for m in first.presence},
        {key: np.concatenate([p.probabilities[key] for p in parts]) for key in first.probabilities},
        {key: np.concatenate([p.said[key] for p in parts]) for key in first.said},
    )


def _rows(values: dict[Modality, Tensor], rows: slice) -> dict[Modality, Tensor]:
    return {m: v[rows] for m, v in values.items()}
