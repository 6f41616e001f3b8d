"""Predictions of a model on the uncorrupted clips of a part, and on the same clips at each severity."""

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

#: Number of clips whose corrupted forms are in memory at once.
CHUNK = 16

#: {modality: ``[N]`` bool} and {modality: ``[N, D]``}.
Presence: TypeAlias = dict[Modality, Tensor]
Embeddings: TypeAlias = dict[Modality, Tensor]


@dataclass(slots=True)
class State:
    """Predictions for all clips at one severity.

    Args:
        severity: ``None`` for the uncorrupted clips.
        presence: {modality: ``[N]`` bool}, whether the clip still has the modality.
        probabilities: {subset key: ``[N, C]``}, calibrated by the model; the prior for a clip without any modality.
        decided: {subset key: predicted labels}, see :func:`multiemo.calibration.decide`.
    """

    severity: float | None
    presence: dict[Modality, NDArray[np.bool_]]
    probabilities: dict[str, NDArray[np.float64]]
    decided: dict[str, NDArray[np.int64]]


class Bench:
    """A model and the labelled clips of a part, encoded by it.

    Args:
        bundle: the model.
        part: the preprocessed clips.
        device: device of the model, see :func:`multiemo.runs.device.compute_of`.
    """

    def __init__(self, bundle: Bundle, part: Part, device: str | torch.device = "auto") -> None:
        self.bundle = bundle
        self.compute = compute_of(bundle.config, device)
        self.model = bundle.model.to(self.compute.device).eval()
        rows = [i for i, known in enumerate(part.prepared.labelled) if known]
        self.clips: list[Clip] = [part.dataset.clips[i] for i in rows]
        self.samples: list[Sample] = [replace(part.dataset[i], inputs={}, absent={}) for i in rows]
        self.collate = Collate(self.model.modalities, len(bundle.labels))
        # The batches of an evaluation, so that the figures of the uncorrupted clips are the same, bit for bit.
        budget = bundle.config.training.budget
        batches = list(evaluation_loader(part, self.model.modalities, rows, budget=budget))
        self._sizes = [len(b) for b in batches]
        encoded = [self._encode(b) for b in batches]
        self.embeddings: Embeddings = {m: torch.cat([e[m] for e, _ in encoded]) for m in self.model.modalities}
        self.reliability = {m: torch.cat([r[m] for _, r in encoded]) for m in encoded[0][1]}
        self.presence: Presence = {m: torch.cat([b.presence[m] for b in batches]) for m in self.model.modalities}

    def state(self, severity: float | None, presence: Presence, keys: Sequence[str]) -> State:
        """Predict the uncorrupted clips from the modalities in ``presence``.

        Args:
            severity: severity of the result.
            presence: {modality: ``[N]`` bool}, which embeddings the model gets.
            keys: subsets to predict.
        """
        parts, start = [], 0
        for size in self._sizes:
            rows = slice(start, start + size)
            clean = _rows(self.embeddings, rows), _rows(self.reliability, rows)
            parts.append(self._predict(severity, *clean, _rows(presence, rows), keys, rows))
            start += size
        return joined(parts)

    def without_input(self, keys: Sequence[str]) -> State:
        """Predict the clips without any modality."""
        return self.state(None, {m: torch.zeros_like(p) for m, p in self.presence.items()}, keys)

    def missing(self, corruption: Corruption, keys: Sequence[str], seed: int) -> list[State]:
        """Remove a modality, or each modality independently, from a share of the clips that have it.

        The order in which clips lose it is drawn once, so a higher rate removes it from the same clips and more.

        Args:
            corruption: its severities are the shares of clips.
            keys: subsets to predict.
            seed: seed of the order.

        Returns:
            One state per severity.
        """
        states = []
        taken = [corruption.modality] if corruption.modality else list(self.model.modalities)
        for rate in corruption.severities:
            presence = dict(self.presence)
            for m in taken:
                having = presence[m].nonzero().squeeze(1)
                draws = [randomness(seed, self.clips[i].id, f"missing_{m}").random() for i in having.tolist()]
                removed = having[np.argsort(draws)[: round(rate * len(draws))]]
                presence[m] = presence[m].index_fill(0, removed, False)
            states.append(self.state(rate, presence, keys))
        return states

    def corrupted(
        self, corruptions: Sequence[Corruption], keys: dict[str, list[str]], forms: Iterable[FormsOfClip]
    ) -> dict[str, list[State]]:
        """Predict all clips under corruptions.

        Args:
            corruptions: corruptions with a function.
            keys: {corruption: subsets to predict}.
            forms: corrupted forms of the clips, in order.

        Returns:
            {corruption: one state per severity}.
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
        """Predict some clips at one severity: only the corrupted modality is encoded again."""
        m = corruption.modality
        assert m is not None
        samples = [
            replace(sample, inputs={} if form is None else {m: torch.from_numpy(form)})
            for form, sample in zip(forms, self.samples[rows], strict=True)
        ]
        batch = self.collate(samples)
        presence = _rows(self.presence, rows)
        presence[m] = presence[m] & batch.presence[m]
        changed, doubts = self._encode(batch)
        embeddings = {**_rows(self.embeddings, rows), m: changed[m]}
        reliability = _rows(self.reliability, rows) | {m: doubts[m] for m in doubts if m == corruption.modality}
        return self._predict(corruption.severities[step], embeddings, reliability, presence, keys, rows)

    @torch.inference_mode()
    def _encode(self, batch: Batch) -> tuple[Embeddings, dict[Modality, Tensor]]:
        """Embeddings of the modalities in the batch (zeros, which are never read, for the others); reliabilities."""
        batch = batch.to(self.compute.device)
        with self.compute.autocast():
            return self.model.encode(batch), self.model.input_reliability(batch)

    @torch.inference_mode()
    def _predict(
        self,
        severity: float | None,
        embeddings: Embeddings,
        reliability: dict[Modality, Tensor],
        presence: Presence,
        keys: Sequence[str],
        rows: slice,
    ) -> State:
        """Predict some clips from their embeddings."""
        here = {m: p.to(self.compute.device) for m, p in presence.items()}
        nothing = {m: torch.zeros_like(p) for m, p in here.items()}
        with self.compute.autocast():
            logits = {
                key: self.model.fuse(
                    embeddings, {m: here[m] if m in SUBSETS[key] else nothing[m] for m in here}, reliability
                )
                for key in keys
            }
        batch = replace(self.collate(self.samples[rows]), presence=presence)
        output = Output(logits=logits[keys[0]], by_subset=logits)
        collected = collect(lambda _: output, [batch], task=self.bundle.config.task)
        calibration, task = self.bundle.calibration, self.bundle.config.task
        if task == "dimensions":
            return State(severity, collected.presence, collected.probabilities, {})
        shown = {key: shown_keys(key, collected.presence) for key in collected.probabilities}
        calibrated = {key: calibration.scaled(shown[key], p, task) for key, p in collected.probabilities.items()}
        decided = {key: calibration.decide(shown[key], p, task) for key, p in calibrated.items()}
        return State(severity, collected.presence, calibrated, decided)


def subsets_of(corruption: Corruption, modalities: Sequence[Modality]) -> list[str]:
    """The subsets that are measured under a corruption: all modalities, and only the corrupted one.

    A modality that is merely removed is not measured alone.
    """
    full = subset_key(modalities)
    if corruption.modality is None or corruption.function is None:
        return [full]
    return list(dict.fromkeys([full, subset_key([corruption.modality])]))


def joined(parts: Sequence[State]) -> State:
    """Concatenate states of different clips at the same severity."""
    first = parts[0]
    return State(
        first.severity,
        {m: np.concatenate([p.presence[m] for p in parts]) for m in first.presence},
        {key: np.concatenate([p.probabilities[key] for p in parts]) for key in first.probabilities},
        {key: np.concatenate([p.decided[key] for p in parts]) for key in first.decided},
    )


def _rows(values: dict[Modality, Tensor], rows: slice) -> dict[Modality, Tensor]:
    return {m: v[rows] for m, v in values.items()}
