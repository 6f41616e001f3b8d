"""Records of measured faithfulness, stored beside a model as ``faithfulness.json``."""

from __future__ import annotations

from dataclasses import field
from typing import TypeAlias

from multiemo.explanation.records import Trust, UnitKind
from multiemo.records import Record, record
from multiemo.types import Modality

#: Lower and upper bound of a 95% interval over speakers.
Interval: TypeAlias = tuple[float, float]


@record
class Difference(Record):
    """A mean over clips with its interval over speakers.

    Args:
        mean: mean over clips.
        interval: 95% bootstrap interval over speakers.
    """

    mean: float
    interval: Interval


@record
class ViewFaithfulness(Record):
    """How faithful one view of one modality is on this model.

    Areas are means over the share of parts removed (or kept), of the log-odds of the explained label.

    Args:
        modality: the modality.
        unit: what the parts are.
        method: how scores are computed.
        clips: number of clips.
        speakers: number of their speakers.
        deletion: area under the curve when parts are removed at random, minus that when the highest scores are removed
            first; positive if the scores find what the model uses.
        deletion_over_magnitude: the same against removing the largest parts first, whatever the model.
        insertion: area when the highest scores are kept first, minus that when parts are kept at random.
        insertion_over_magnitude: the same against keeping the largest parts first.
        comprehensiveness: mean fall of the probability when the top 10, 20 and 50% of the parts are removed.
        sufficiency: mean fall of the probability when only the top 10, 20 and 50% of the parts are kept.
        similarity_to_shuffled: mean absolute rank correlation with the scores of the same model with shuffled weights.
        stability: mean rank correlation with the scores of a slightly disturbed input.
        trust: whether the view passed: deletion above zero with its whole interval, and not similar to shuffled
            weights.
        reasons: why it failed, one sentence each.
    """

    modality: Modality
    unit: UnitKind
    method: str
    clips: int
    speakers: int
    deletion: Difference
    deletion_over_magnitude: Difference
    insertion: Difference
    insertion_over_magnitude: Difference
    comprehensiveness: Difference
    sufficiency: Difference
    similarity_to_shuffled: Difference
    stability: Difference
    trust: Trust
    reasons: list[str] = field(default_factory=list)


@record
class ClaimCheck(Record):
    """Does a model use the modality that it credits most?

    Args:
        system: name of the model or system.
        clips: number of clips with at least two modalities.
        credited: share of clips whose label changes when the most credited modality is removed.
        random: share of clips whose label changes when a random modality is removed.
        difference: ``credited - random``.
    """

    system: str
    clips: int
    credited: Difference
    random: Difference
    difference: Difference


@record
class Faithfulness(Record):
    """Measured faithfulness of the explanations of one model.

    Args:
        corpus: name of the manifest it was measured on.
        part: part of the split: ``val`` unless another one was asked for.
        clips: number of clips that were drawn.
        seed: seed of the draw and of the random orders.
        views: each view of each modality.
        claims: whether the model uses the modality it credits most; left out for a single branch.
        notes: remarks.
    """

    corpus: str
    part: str
    clips: int
    seed: int
    views: list[ViewFaithfulness]
    claims: ClaimCheck | None = None
    notes: list[str] = field(default_factory=list)
