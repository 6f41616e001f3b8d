"""What modalities contribute over a whole corpus, and for each label, with intervals over speakers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from multiemo.arrays import Array
from multiemo.explanation.faithfulness.records import Difference
from multiemo.explanation.records import ModalityAttribution
from multiemo.metrics import mean_estimate
from multiemo.records import Record, record
from multiemo.types import Modality

#: Largest effect on a value of -1..1: an interaction is a difference of differences.
_BOUND = 4.0


@record
class MeanEffect(Record):
    """The mean effect of a modality, or of the interaction of two.

    Args:
        clips: number of clips that have the modality, or both modalities.
        size: mean absolute value: how much the effect matters.
        signed: mean value: for (above 0) or against the explained label.
    """

    clips: int
    size: Difference
    signed: Difference


@record
class ModalityEffects(Record):
    """The effects of the modalities on a group of clips.

    Args:
        clips: number of clips.
        speakers: number of their speakers.
        contribution: {modality: mean Shapley value}.
        interaction: {"text+speech": mean Shapley interaction index}.
    """

    clips: int
    speakers: int
    contribution: dict[Modality, MeanEffect]
    interaction: dict[str, MeanEffect]


@record
class ModalitySummary(Record):
    """The effects of the modalities over a corpus.

    Args:
        overall: over all clips.
        by_label: {label: over the clips for which this label was explained}; with ``task: dimensions``, {dimension:
            over all clips}.
    """

    overall: ModalityEffects
    by_label: dict[str, ModalityEffects]


@dataclass(frozen=True, slots=True)
class Attributed:
    """The effects of one clip.

    Args:
        speaker: speaker of the clip.
        label: label, or dimension, that was explained.
        contribution: {modality: Shapley value}.
        interaction: {"text+speech": Shapley interaction index}.
    """

    speaker: str
    label: str
    contribution: Mapping[Modality, float]
    interaction: Mapping[str, float]

    @classmethod
    def of(cls, attribution: ModalityAttribution, speaker: str) -> Attributed:
        """The effects of a clip from its attribution."""
        return cls(speaker, attribution.label, attribution.contribution, attribution.interaction)


def summarise(clips: Sequence[Attributed]) -> ModalitySummary:
    """Average the effects over clips, with intervals over speakers.

    Args:
        clips: effects of at least one clip; with ``task: dimensions``, one entry per clip and dimension.
    """
    labels = list(dict.fromkeys(clip.label for clip in clips))
    return ModalitySummary(
        overall=_effects(clips), by_label={label: _effects([c for c in clips if c.label == label]) for label in labels}
    )


def _effects(clips: Sequence[Attributed]) -> ModalityEffects:
    modalities = list(dict.fromkeys(m for clip in clips for m in clip.contribution))
    pairs = list(dict.fromkeys(p for clip in clips for p in clip.interaction))
    return ModalityEffects(
        clips=len(clips),
        speakers=len({clip.speaker for clip in clips}),
        contribution={m: _mean([(c.contribution[m], c.speaker) for c in clips if m in c.contribution])
                      for m in modalities},
        interaction={p: _mean([(c.interaction[p], c.speaker) for c in clips if p in c.interaction]) for p in pairs},
    )  # fmt: skip


def _mean(effects: Sequence[tuple[float, str]]) -> MeanEffect:
    values, speakers = np.array([value for value, _ in effects]), [speaker for _, speaker in effects]
    return MeanEffect(
        clips=len(values),
        size=_difference(np.abs(values), speakers, 0.0),
        signed=_difference(values, speakers, -_BOUND),
    )


def _difference(values: Array, speakers: Sequence[str], low: float) -> Difference:
    found = mean_estimate(values, speakers, low=low, high=_BOUND)
    return Difference(mean=round(found.value, 6), interval=(round(found.low, 6), round(found.high, 6)))
