"""Differential privacy of a run: its plan of noise and steps, its loaders, and what its guarantee does not cover."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Subset

from multiemo.config import Config
from multiemo.data.collate import Collate
from multiemo.data.splits.seen import Seen
from multiemo.encoders.base import Encoder
from multiemo.errors import ConfigError
from multiemo.inputs.dataset import speaker_name
from multiemo.runs.batches import Part
from multiemo.runs.folder.privacy_facts import PrivacyFacts
from multiemo.training.accounting import PrivateSteps, noise_for, spent
from multiemo.training.private import CollateUnits, PoissonSampler, PrivateStage
from multiemo.types import Clip, Modality, Sample, TextSpec


@dataclass(frozen=True, slots=True)
class StagePlan:
    """Private training of one stage.

    Args:
        mechanism: noise, clipping and sampling.
        units: rows of the training part, grouped by unit.
        steps: steps of an epoch.
        by_speaker: whether a unit is a speaker.
    """

    mechanism: PrivateStage
    units: list[list[int]]
    steps: int
    by_speaker: bool

    def loader(self, part: Part, modalities: Sequence[Modality], samples: Dataset[Sample] | None) -> DataLoader[Any]:
        """A loader of the units of each step.

        Args:
            part: training part.
            modalities: modalities of the stage.
            samples: dataset to read instead of the part's own, with the same indices.
        """
        workers = part.workers if part.dataset.samples is None else 0
        return DataLoader(
            Subset(part.dataset if samples is None else samples, range(len(part.dataset))),
            batch_sampler=PoissonSampler(self.units, self.mechanism.sample_rate, self.steps),
            collate_fn=CollateUnits(Collate(modalities, len(part.dataset.space.labels)), self.by_speaker),
            pin_memory=torch.cuda.is_available(),
            num_workers=workers,
        )


def plan_private(config: Config, stages: Mapping[str, tuple[Part, list[int]]], processes: int) -> dict[str, StagePlan]:
    """The private training of every stage, with one noise multiplier for all of them.

    Args:
        config: resolved config of the run.
        stages: {stage that trains something: its training part, and the rows it can learn from}.
        processes: number of processes.

    Returns:
        {stage: plan}; empty without ``privacy``.

    Raises:
        ConfigError: the budget or a setting does not fit the data, or Opacus is missing.
    """
    privacy = config.privacy
    if privacy is None or not stages:
        return {}
    if processes > 1:
        raise ConfigError(f"privacy: trains in one process, but {processes} were started; start one")
    by_speaker = privacy.unit == "speaker"
    units = {stage: _units(part, rows, by_speaker=by_speaker) for stage, (part, rows) in stages.items()}
    fewest = min(map(len, units.values()))
    if privacy.delta >= 1 / fewest:
        raise ConfigError(
            f"privacy.delta: {privacy.delta:g} protects nobody among {fewest} {privacy.unit}s of train; choose one "
            f"well below {1 / fewest:.2g}"
        )
    settings = {stage: config.training_of(stage) for stage in stages}
    rates = {stage: min(1.0, settings[stage].batch_size / len(units[stage])) for stage in stages}
    steps = {stage: ceil(1 / rates[stage]) for stage in stages}
    planned = [(rates[stage], steps[stage] * settings[stage].epochs) for stage in stages]
    noise = noise_for(planned, privacy.epsilon, privacy.delta)
    return {
        stage: StagePlan(
            PrivateStage(noise, privacy.max_grad_norm, rates[stage], rates[stage] * len(units[stage])),
            units[stage],
            steps[stage],
            by_speaker,
        )
        for stage in stages
    }


def _units(part: Part, rows: Sequence[int], *, by_speaker: bool) -> list[list[int]]:
    """The rows of each clip or speaker.

    Raises:
        ConfigError: speakers are the unit, and a clip has none.
    """
    if not by_speaker:
        return [[row] for row in rows]
    found: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        clip = part.dataset.clips[row]
        if clip.speaker is None:
            raise ConfigError(f"privacy.unit: clip {clip.id!r} has no speaker; add one, or use unit: clip")
        found[speaker_name(clip)].append(row)
    return list(found.values())


def check_unprotected(config: Config, seen: Seen, clips: Sequence[Clip], what: str) -> None:
    """Reject a checkpoint that has learnt from clips of train outside of this run's budget.

    Args:
        config: resolved config of the run.
        seen: what the checkpoint was trained or selected on.
        clips: clips of train.
        what: key and folder of the checkpoint, for the message.

    Raises:
        ConfigError: it has seen one of the clips (or speakers) that ``privacy`` protects.
    """
    if config.privacy is not None and (known := seen.among(clips, config.privacy.unit)):
        raise ConfigError(
            f"{what}: was trained on {config.privacy.unit} {known[0]!r} of train, which privacy.epsilon does not "
            "cover; name a checkpoint of other people, or train the branch in this run"
        )


def privacy_facts(
    config: Config, plan: StagePlan, ledger: Sequence[PrivateSteps], part: Part, encoders: Mapping[Modality, Encoder]
) -> PrivacyFacts:
    """The guarantee of a model, after its last stage.

    Args:
        config: resolved config of the run.
        plan: plan of the last stage.
        ledger: the steps of every stage that led to the weights.
        part: training part.
        encoders: {modality: encoder} of the model.
    """
    privacy = config.privacy
    assert privacy is not None
    counts: dict[str, int] = defaultdict(int)
    for clip in part.dataset.clips:
        counts[speaker_name(clip)] += 1
    return PrivacyFacts(
        epsilon=round(spent(ledger, privacy.delta), 4),
        delta=privacy.delta,
        unit=privacy.unit,
        units=len(plan.units),
        most_clips=max(counts.values()),
        max_grad_norm=privacy.max_grad_norm,
        stages=list(ledger),
        not_covered=_not_covered(encoders),
    )


def _not_covered(encoders: Mapping[Modality, Encoder]) -> list[str]:
    """Parts of a model folder that depend on clips without privacy."""
    found = ["number and label frequencies of the training clips"]
    for m, encoder in encoders.items():
        if isinstance(encoder.input_spec, TextSpec) and encoder.input_spec.tokenizer == "trained":
            found.append(f"the vocabulary of the {m} tokenizer")
        if type(encoder).fit_statistics is not Encoder.fit_statistics:
            found.append(f"input statistics of the {m} encoder")
    return [*found, "names in seen.safetensors (digests)", "calibration and choice of the epoch, from validation clips"]
